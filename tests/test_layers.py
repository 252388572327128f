"""The layers of docs/architecture.md: imports point up its table, and importing the package loads nothing heavy."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "personsearch"
ROW = re.compile(r"^\| *(\d+) *\|(.*)\| *(yes|no) *\|$", re.MULTILINE)


@dataclass(frozen=True)
class Layer:
    """One row of the table: its number and whether its modules load torch."""

    row: int
    torch: bool


@cache
def layers() -> dict[str, Layer]:
    """Rooms of the table, such as `boxes` and `models.parts`, with the layer of each."""
    text = (ROOT / "docs/architecture.md").read_text()
    named = [
        (name, Layer(int(row), torch == "yes")) for row, names, torch in ROW.findall(text) for name in re.findall(r"`([\w.]+)`", names)
    ]
    assert len(dict(named)) == len(named), "a module has two rows"
    return dict(named)


@cache
def modules() -> dict[str, Path]:
    """Files of the package by their dotted names, without `personsearch` itself."""
    names = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for parts, path in names.items() if parts != ("__init__",)}


def room_of(module: str) -> str:
    """The table's longest name that holds this module: `models.parts` of `models.parts.afa`; "" if there is none.

    A folder that the table lists room by room holds its own `__init__` only.
    """
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    room = next((name for name in names if name in layers()), "")
    by_room = room in ("models", "training")
    return "" if by_room and room != module else room


@cache
def imported_names(source: str, *, inside_functions: bool = True) -> set[str]:
    """Dotted names that a file imports, inside functions too or not, but not for type checking only."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
        if isinstance(node, ast.FunctionDef) and not inside_functions:
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def imported_modules(source: str, *, inside_functions: bool = True) -> set[str]:
    """Modules of the package that a file imports, without `personsearch` itself."""
    known, targets = modules(), set()
    for name in imported_names(source, inside_functions=inside_functions):
        target = name.removeprefix("personsearch.") if name.startswith("personsearch.") else ""
        while target and target not in known:
            target = target.rpartition(".")[0]
        targets |= {target} if target else set()
    return targets


def violations(module: str, source: str) -> list[str]:
    """Imports of one file that break the table."""
    layer, room = layers()[room_of(module)], room_of(module)
    torch = [] if layer.torch else [name for name in imported_names(source) if name.split(".")[0] in ("torch", "torchvision")]
    above = [name for name in imported_modules(source) if room_of(name) != room and layers()[room_of(name)].row >= layer.row]
    return [f"{module} imports {name}" for name in sorted(torch + above)]


def loads_torch(module: str, sources: Mapping[str, str]) -> bool:
    """Whether importing a module, and so the folders it is in, imports torch or torchvision."""
    waiting, done = [module], set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        if {used.split(".")[0] for used in imported_names(sources[name], inside_functions=False)} & {"torch", "torchvision"}:
            return True
        parts = name.split(".")
        waiting += [".".join(parts[:count]) for count in range(1, len(parts))]
        waiting += imported_modules(sources[name], inside_functions=False)
    return False


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """The modules of one import circle, or none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_has_a_row_in_the_table() -> None:
    assert [name for name in modules() if not room_of(name)] == []


def test_imports_point_up_the_table() -> None:
    assert [line for name, path in modules().items() for line in violations(name, path.read_text())] == []


def test_the_table_says_which_rows_load_torch() -> None:
    sources = {name: path.read_text() for name, path in modules().items()}
    loading = {name for name in sources if loads_torch(name, sources)}
    assert [name for name in sorted(loading) if not layers()[room_of(name)].torch] == []
    rooms = {room_of(name) for name in loading}
    assert [name for name, layer in layers().items() if layer.torch and name not in rooms] == []


def test_a_way_to_torch_is_seen_through_other_modules() -> None:
    sources = {
        "images": "",
        "boxes": "from personsearch.models.parts import afa",
        "models": "",
        "models.parts": "",
        "models.parts.afa": "import torch",
    }
    assert loads_torch("boxes", sources)
    assert not loads_torch("boxes", sources | {"boxes": "def f():\n    from personsearch.models.parts import afa"})
    assert loads_torch("models.parts.afa", sources | {"models.parts.afa": "", "models": "from torch import nn"})


def test_an_upward_import_is_seen_inside_a_function_too() -> None:
    assert violations("boxes", "def f():\n    from personsearch.searcher import PersonSearcher\n")
    assert violations("gallery.table", "def f():\n    import torch\n")
    assert violations("models.parts.afa", "from personsearch.models.rcnn import RCNN\n")
    assert violations("training.data.dataset", "from personsearch.training.losses.oim import OIM\n")
    assert not violations("training.run", "from personsearch.boxes import iou\nimport torch\n")


def test_only_the_command_line_imports_training() -> None:
    rooms = {
        room_of(name).split(".")[0]
        for name, path in modules().items()
        for used in imported_modules(path.read_text())
        if used.split(".")[0] == "training"
    }
    assert rooms <= {"training", "cli"}


def test_no_import_circle() -> None:
    assert circle({name: imported_modules(path.read_text()) - {name} for name, path in modules().items()}) == []


def test_a_circle_is_seen() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def test_the_top_of_the_package_holds_at_most_18_files() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 18


def test_no_file_is_longer_than_400_lines() -> None:
    files = [path for folder in ("personsearch", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
    assert {path.name: lines for path in files if (lines := len(path.read_text().splitlines())) > 400} == {}


def test_import_is_light() -> None:
    code = (
        "import time; start = time.perf_counter(); import personsearch; seconds = time.perf_counter() - start\n"
        "import sys; heavy = {'torch', 'onnxruntime', 'cv2', 'lance', 'pyarrow', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy; print(seconds)"
    )
    seconds = [float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    assert statistics.median(seconds) < 0.3


@pytest.mark.slow
def test_every_public_name_can_be_imported() -> None:
    import personsearch

    for name in personsearch.__all__:
        assert getattr(personsearch, name) is not None


def test_submodules_load_when_they_are_first_used() -> None:
    code = "import personsearch; assert personsearch.memory.keep_freed_memory() in (True, False); personsearch.no_such_module"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AttributeError: module 'personsearch' has no attribute 'no_such_module'" in run.stderr
