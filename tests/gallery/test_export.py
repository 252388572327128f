"""Export of a gallery's people to Arrow, pandas and CSV."""

import sys
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import MissingExtraError
from personsearch.gallery import FramePeople, Gallery
from personsearch.results import Detections
from tests.helpers.gallery_frames import KEY


@pytest.fixture
def small(tmp_path: Path) -> Gallery:
    """A picture and a video with one person each."""
    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    one = Detections(np.array([[1, 2, 3.5, 4]], np.float32), np.array([0.5], np.float32), np.array([[0, 0.25, 1]], np.float32))
    gallery.add([FramePeople('a "1", b.jpg', 0, None, 10, 20, "f", 1, 1, None, True, one)])
    gallery.add([FramePeople("v.mp4", 25, 1.5, 10, 20, "f", 1, 1, None, True, one)])
    return gallery


def test_to_arrow(small: Gallery) -> None:
    assert small.to_arrow().to_pylist() == [
        {"image": image, "frame": number, "row": 0, "time": time, "box": [1, 2, 3.5, 4], "score": 0.5, "embedding": [0, 0.25, 1]}
        for image, number, time in (('a "1", b.jpg', 0, None), ("v.mp4", 25, 1.5))
    ]


def test_to_pandas(small: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = small.to_pandas()
    assert frame.columns.tolist() == ["image", "frame", "row", "time", "x1", "y1", "x2", "y2", "score", "embedding"]
    assert frame.loc[1, ["image", "frame", "time", "x2"]].tolist() == ["v.mp4", 25, 1.5, 3.5]
    assert frame.loc[1, "embedding"].tolist() == [0, 0.25, 1]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'personsearch\[pandas\]'"):
        small.to_pandas()


def test_to_csv(small: Gallery, tmp_path: Path) -> None:
    small.to_csv(tmp_path / "people.csv")
    assert (tmp_path / "people.csv").read_text().splitlines() == [
        '"image","frame","row","time","x1","y1","x2","y2","score"',
        '"a ""1"", b.jpg",0,0,,1,2,3.5,4,0.5',
        '"v.mp4",25,0,1.5,1,2,3.5,4,0.5',
    ]
    small.to_csv(tmp_path / "features.csv", embeddings=True)
    assert (tmp_path / "features.csv").read_text().splitlines()[2] == '"v.mp4",25,0,1.5,1,2,3.5,4,0.5,0,0.25,1'
