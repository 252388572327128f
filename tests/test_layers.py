"""The house of DESIGN: a module imports only from layers below, and importing the package loads nothing heavy."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "personsearch"
LAYERS = (
    ("errors", "memory"),
    ("options", "boxes", "checks", "home"),
    ("hits",),
    ("images", "calibration", "onnx_session"),
    ("sources", "ranking", "weights"),
    ("render",),
    ("results",),
    ("gallery",),
    ("models",),
    ("export", "convert"),
    ("backends",),
    ("indexing", "searching"),
    ("searcher",),
    ("datasets",),
    ("evaluation",),
    ("synthetic",),
    ("training",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
TORCH_FREE = {name for names in LAYERS[: LAYERS.index(("models",))] for name in names}


def imported_modules(source: str) -> set[str]:
    """Dotted names imported anywhere in a file, inside functions too, but not for type checking only."""
    tree = ast.parse(source)
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(part: str, source: str) -> list[str]:
    """Imports of one file of `part` that break the layers."""
    found = []
    for name in imported_modules(source):
        root, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if root in ("torch", "torchvision") and part in TORCH_FREE:
            found.append(f"{part} imports {name}")
        if root != "personsearch" or target not in LEVEL or target == part:
            continue
        if LEVEL[target] >= LEVEL[part]:
            found.append(f"{part} imports {name}")
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_module_imports_only_from_layers_below() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert {part_of(path) for path in files} <= set(LEVEL), "a module stands in no layer"
    assert [line for path in files for line in violations(part_of(path), path.read_text())] == []


def test_the_layer_test_sees_an_upward_import_inside_a_function() -> None:
    assert violations("boxes", "def f():\n    from personsearch.searcher import PersonSearcher\n")
    assert violations("gallery", "def f():\n    import torch\n")
    assert not violations("searcher", "from personsearch.boxes import iou\nimport torch\n")


def test_import_is_light() -> None:
    code = (
        "import time; start = time.perf_counter(); import personsearch; seconds = time.perf_counter() - start\n"
        "import sys; heavy = {'torch', 'onnxruntime', 'cv2', 'lance', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy; print(seconds)"
    )
    seconds = [float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    assert statistics.median(seconds) < 0.3


def test_every_public_name_can_be_imported() -> None:
    import personsearch

    for name in personsearch.__all__:
        assert getattr(personsearch, name) is not None
