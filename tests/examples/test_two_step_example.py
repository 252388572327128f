"""The example, run as a user runs it, on networks that find one person in any picture."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.onnx_files import PERSON, reid, yolox

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "examples/two_step_search.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_from_two_networks_and_a_folder_to_a_picture_of_hits(tmp_path: Path) -> None:
    networks = [yolox(tmp_path / "yolox.onnx", PERSON), reid(tmp_path / "reid.onnx")]
    (tmp_path / "photos").mkdir()
    for name, colour in (("red", (255, 0, 150)), ("blue", (0, 0, 255))):
        Image.fromarray(np.full((64, 128, 3), colour, np.uint8)).save(tmp_path / f"photos/{name}.png")
    done = run(*networks, "photos", "photos/red.png", "--box", "32,0,64,48", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "similarity 1.000" in first
    assert "red.png  [32, 0, 64, 48]" in first
    assert "blue.png" in second
    with Image.open(tmp_path / "hits.png") as hits:
        assert hits.width > 200
    assert (tmp_path / "two_step_model/config.json").is_file()
    swapped = run(*networks[::-1], "photos", "photos/red.png", folder=tmp_path)
    assert swapped.returncode == 1
    assert "error: " in swapped.stderr
    assert "is not a YOLOX detector" in swapped.stderr
    assert "Traceback" not in swapped.stderr
