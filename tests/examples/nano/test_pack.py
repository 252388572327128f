"""What the detector's training and the calibration of the small model take: the whole command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.nano import pack as module
from examples.nano.command import run
from examples.nano.pack import main
from examples.nano.pictures import listed, view
from personsearch.errors import DataError
from tests.helpers.bundled_pictures import FRAME, PHOTO, STREET, TALL, KnownLabeller, write_pictures


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures; the boxes' teacher is known to find one person in each photograph."""
    folder = tmp_path / "shared"
    write_pictures(folder / "data")
    found = {size: ([list(map(float, TALL))], [0.9]) for size in (PHOTO, STREET)} | {FRAME: ([[0.0, 0, 20, 30]], [0.6])}
    monkeypatch.setattr(module, "Finder", lambda folder: None)
    monkeypatch.setattr(module, "Labeller", lambda finder: KnownLabeller(found))
    return folder


def test_the_command_writes_what_is_needed(shared: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    main(shared, pack)
    assert sorted(path.name for path in (pack / "backgrounds").iterdir()) == ["003.jpg", "005.jpg"]
    rows = json.loads((pack / "photos.json").read_text())
    assert len(rows) == 3 + 8 + 2
    assert view(listed(pack / "photos.json")[-1], np.random.default_rng(0), (64, 64)).any()
    assert np.load(pack / module.CROPS_FILE).shape == (2, 256, 128, 3)
    assert np.load(pack / module.NUMBERS_FILE).tolist() == [0, 0]


def test_missing_pictures_are_one_line(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(shared / "data/videos")
    with pytest.raises(DataError, match="videos"):
        main(shared, tmp_path / "pack")
    monkeypatch.setattr("sys.argv", ["pack", "--shared", str(shared), "--out", str(tmp_path / "pack")])
    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: ")
