"""What is released: the contents and metadata of wheel and sdist, its licences, and the error of each optional package that is missing."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import personsearch

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LARGEST = 32_000_000  # bytes of the wheel; the two bundled models are most of it


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this checkout, and the wheel made of it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (file,) = built.glob("*.whl")
    assert file.stat().st_size < LARGEST
    return zipfile.ZipFile(file)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "personsearch").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert {name for name in names if ".dist-info/" not in name} == package | {"personsearch/data/weights_manifest.json"}
    assert "personsearch/py.typed" in names


@pytest.mark.slow
def test_the_metadata_are_those_of_the_project(wheel: zipfile.ZipFile) -> None:
    metadata = _metadata(wheel)
    assert (metadata["Name"], metadata["Version"]) == ("personsearch", personsearch.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra", [])) == set(EXTRAS)
    licences = metadata.get_all("License-File", [])
    assert set(licences) == {"LICENSE", "THIRD_PARTY.md", "personsearch/ui/static/htmx.LICENSE.txt"}
    folder = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")).removesuffix("METADATA")
    assert {f"{folder}licenses/{name}" for name in licences} <= set(wheel.namelist())


@pytest.mark.slow
def test_the_sdist_can_be_tested_and_built(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ("pyproject.toml", "README.md", "SECURITY.md", "THIRD_PARTY.md", "weights_manifest.json", ".ci/run", "tests/test_release.py")
    assert set(needed) <= names
    assert {"examples/server/Dockerfile", "docs/deployment.md", "benchmarks/RESULTS.md"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", ".mypy_cache", ".venv"))]


def _metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_what_is_bundled_has_its_notice() -> None:
    notices = (ROOT / "THIRD_PARTY.md").read_text()
    assert {"htmx", "YOLOX", "MakeHuman", "Intel"} <= set(re.findall(r"\w+", notices))
    scripts = {path.name for path in (ROOT / "personsearch").rglob("*.min.*")}
    assert scripts == {"htmx.min.js"}  # a new file of others needs a notice


def test_every_lower_bound_is_among_the_oldest_versions() -> None:
    lines = (ROOT / ".ci/oldest.txt").read_text().splitlines()
    oldest = dict(line.partition("  #")[0].split("==") for line in lines if line and not line.startswith("#"))
    requirements = {*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)}
    bounds = {re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)(?:[,;].*)?", requirement) for requirement in requirements}
    assert None not in bounds
    versions = {match[1]: match[2] for match in bounds if match}
    assert len(versions) > 40
    assert {name: version for name, version in versions.items() if not f"{oldest.get(name)}.0".startswith(f"{version}.")} == {}
    assert set(oldest) - set(versions) == {"click"}


def test_importing_warns_of_nothing() -> None:
    code = "import personsearch, personsearch.cli.app, personsearch.searcher, personsearch.backends, personsearch.evaluation"
    command = [sys.executable, "-W", "error", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stderr == ""


# Package that is missing, extra that its error names, code that needs it
MISSING = [
    ("onnx", "export", "from personsearch.export.scene import require_exporter; require_exporter()"),
    ("onnxscript", "export", "from personsearch.export.scene import require_exporter; require_exporter()"),
    ("numba", "synthetic", "from personsearch.synthetic.kernels import jit; jit.compiled(lambda: None)"),
    ("pandas", "pandas", "from personsearch.gallery.export import to_pandas; to_pandas(None)"),
    ("lmdb", "luperson", "from personsearch.datasets import luperson; luperson._open(__import__('pathlib').Path())"),
    ("openvino", "openvino", "from personsearch.models.two_step.openvino_session import _openvino; _openvino()"),
    ("fastapi", "ui", "import personsearch.ui"),
    ("uvicorn", "ui", "import personsearch.ui"),
    ("ray", "ray", "from personsearch.distributed.cluster import ray; ray()"),
    ("tensorboard", "tensorboard", "from personsearch.training.checkpoint import open_board; open_board(__import__('pathlib').Path(), 0)"),
    ("supervision", "supervision", "from personsearch.results import _supervision; _supervision()"),
]  # fmt: skip


@pytest.mark.parametrize(("package", "extra", "code"), MISSING, ids=[package for package, _, _ in MISSING])
def test_a_missing_package_names_its_extra(package: str, extra: str, code: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from personsearch.errors import MissingExtraError\n"
        f"try:\n    {code}\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.stdout == f"{package} is not installed; run: pip install 'personsearch[{extra}]'\n", run.stderr
    assert any(re.match(rf"{package}\b", requirement) for requirement in EXTRAS[extra])


def test_every_extra_that_an_error_names_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "personsearch").rglob("*.py"))
    named = set(re.findall(r"personsearch\[(\w+)\]", sources))
    assert named == {extra for _, extra, _ in MISSING}
    assert named <= set(EXTRAS)
    assert set(EXTRAS) - named == {"docs", "test"}
