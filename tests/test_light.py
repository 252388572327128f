"""A model on ONNX Runtime runs where PyTorch cannot be imported; the commands answer without loading what they do not use."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from personsearch.models.exported import PREPARE, OnnxSceneModel, _config
from personsearch.models.rcnn import region_input
from personsearch.models.scene_input import region_array
from tests.helpers.onnx_files import PERSON, exported, reid, yolox

# Importing torch or torchvision is an error, as in an installation without them
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None
def loaded():
    return {name.split(".")[0] for name, module in sys.modules.items() if module is not None}
"""
DEMO = Path(__file__).parent.parent / "personsearch/data/demo"


def run(code: str, *arguments: object, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PERSONSEARCH_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "PATH": "",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", WITHOUT_TORCH + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=600)


def test_commands_of_the_bundled_model_never_import_torch(tmp_path: Path) -> None:
    code = """
from personsearch.cli.app import app
scene, query, home = sys.argv[1:]
for command in (
    ["detect", scene, "--draw", "drawn.png"],
    ["index", scene, "--gallery", "g"],
    ["search", query, "g", "--out", "hits.html"],
    ["models"],
):
    app(command, standalone_mode=False)
assert "onnxruntime" in loaded()
"""
    scene = next((DEMO / "scenes").iterdir())
    outcome = run(code, scene, DEMO / "query.jpg", "home", tmp_path=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "hits.html").stat().st_size > 1000
    assert '"boxes"' in outcome.stdout


@pytest.mark.slow
def test_the_demo_never_imports_torch(tmp_path: Path) -> None:
    outcome = run("from personsearch.cli.app import app\napp(['demo'], standalone_mode=False)", tmp_path=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert '"rank_1_is_right": true' in outcome.stdout


def test_two_step_and_exported_models_never_import_torch(tmp_path: Path) -> None:
    yolox(tmp_path / "yolox.onnx", PERSON)
    reid(tmp_path / "reid.onnx")
    exported(tmp_path / "scene.onnx")
    code = """
import numpy as np
from personsearch import PersonSearcher, save_two_step
save_two_step("two", detector_file="yolox.onnx", embedder_file="reid.onnx")
picture = np.full((64, 128, 3), 255, np.uint8)
for name, people in (("two", 1), ("scene.onnx", 1)):
    searcher = PersonSearcher.from_pretrained(name)
    assert len(searcher.detect(picture)) == people, name
    gallery = searcher.index([picture], gallery=name + ".gallery", progress=False)
    assert len(searcher.search(picture[:, :20], gallery)) == people
"""
    outcome = run(code, tmp_path=tmp_path)
    assert outcome.returncode == 0, outcome.stderr


def test_the_service_never_imports_torch(tmp_path: Path) -> None:
    code = """
from starlette.testclient import TestClient
from personsearch import PersonSearcher
from personsearch.ui import create_app
token = "t" * 32
app = create_app(PersonSearcher.from_pretrained(), token=token)
with TestClient(app, base_url="http://127.0.0.1") as client:
    answer = client.get("/", headers={"Authorization": "Bearer " + token})
assert answer.status_code == 200, answer.text
assert "onnxruntime" in loaded()
"""
    outcome = run(code, tmp_path=tmp_path)
    assert outcome.returncode == 0, outcome.stderr


def test_a_network_of_pytorch_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.json").write_text('{"architecture": "seqnet", "name": "mine"}')
    code = """
from personsearch import PersonSearchError, PersonSearcher
for arguments in (("m",), (None, "torch")):
    try:
        PersonSearcher.from_pretrained(arguments[0], backend=arguments[-1] if len(arguments) > 1 else "auto")
    except PersonSearchError as error:
        print(error)
"""
    outcome = run(code, tmp_path=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    first, second = outcome.stdout.splitlines()
    assert first == "torch is not installed, and the network of m (seqnet) needs it; run: pip install torch torchvision"
    assert second.startswith("torch is not installed, and the network of ")


@pytest.mark.parametrize("command", ["train", "convert", "export", "recipes"])
def test_commands_that_need_torch_name_what_is_missing(tmp_path: Path, command: str) -> None:
    (tmp_path / "a.pth").write_bytes(b"x")
    arguments = {
        "train": "['train', 'seqnet-prw-paper', 'data', 'out']",
        "convert": "['convert', 'a.pth', 'out', '--from', 'seqnet']",
        "export": "['export', 'nano', 'out']",
        "recipes": "['recipes', 'seqnet-prw']",
    }
    outcome = run(f"sys.argv[1:] = {arguments[command]}\nfrom personsearch.cli import main\nmain()", tmp_path=tmp_path)
    assert (outcome.returncode, outcome.stderr.splitlines()[-1]) == (
        1,
        "error: torch is not installed, and this command needs it; run: pip install torch torchvision",
    )


HEAVY = {"cv2", "huggingface_hub", "lance", "numpy", "onnxruntime", "PIL", "pyarrow", "safetensors", "scipy"}


@pytest.mark.parametrize(
    ("arguments", "heavy"), [("--help", HEAVY | {"pydantic"}), ("search --help", HEAVY), ("models", HEAVY), ("recipes", HEAVY)]
)
def test_help_and_lists_are_quick(tmp_path: Path, arguments: str, heavy: set[str]) -> None:
    code = f"import time\nfrom personsearch.cli.app import app\napp({arguments.split()}, standalone_mode=False)\n"
    code += f"print(time.process_time(), sorted({heavy} & loaded()), file=sys.stderr)"
    outcomes = [run(code, tmp_path=tmp_path).stderr.splitlines()[-1].split(maxsplit=1) for _ in range(3)]
    assert outcomes[0][1] == "[]"
    assert min(float(seconds) for seconds, _ in outcomes) < 0.5  # the least of three: the machine may be busy


def test_the_exported_file_of_the_tests_embeds_boxes(tmp_path: Path) -> None:
    model = OnnxSceneModel(exported(tmp_path / "scene.onnx"))
    prepared = [model.prepare(np.full((40, 60, 3), 200, np.uint8))]
    rows = model.embed(prepared, [np.zeros((2, 4), np.float32)])[0]
    assert rows.shape == (2, 3)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_the_server_requirements_are_those_of_the_package_without_torch() -> None:
    root = Path(__file__).parent.parent
    lines = (root / "examples/server/requirements.txt").read_text().splitlines()
    needed = {re.split("[;]", line)[0].strip() for line in tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]}
    needed = {line.replace("opencv-python", "opencv-python-headless") for line in needed if not re.match("torch|onnxruntime-gpu", line)}
    assert {line for line in lines if not line.startswith("#")} == needed


def test_every_exported_architecture_has_its_input() -> None:
    from personsearch.export.scene import NETWORKS

    assert list(PREPARE) == list(NETWORKS)


def test_an_exported_file_without_a_rule_ranks_as_its_paper() -> None:
    from personsearch.export.scene import NETWORKS

    for architecture, (schema, _) in NETWORKS.items():
        values = {"architecture": architecture}
        assert _config(values, "x").confidence_weighted == schema.model_validate(values).confidence_weighted, architecture
        assert _config(values | {"confidence_weighted": False}, "x").confidence_weighted is False


@pytest.mark.parametrize("size", [(40, 60), (120, 95), (64, 96), (300, 50)])
def test_the_numpy_input_equals_the_one_of_pytorch(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    numpy, tensor = region_array(image, 64, 96), region_input(image, 64, 96)
    assert (numpy.resized, numpy.original) == (tensor.resized, tensor.original)
    torch.testing.assert_close(torch.from_numpy(numpy.pixels), tensor.pixels, atol=1e-5, rtol=0)  # values up to 2.6 in other orders of sums
