"""The measure across cameras: which crops are read, what counts as found."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.bundled import error_rates
from benchmarks.crops_across_cameras import across_cameras, read_crops
from personsearch import Calibration, PersonSearcher
from personsearch.errors import DataError
from tests.helpers.fakes import RectangleModel


def test_a_person_is_looked_for_in_the_other_cameras_only() -> None:
    """Crops 0 and 1 of camera 0 are alike; in camera 1 person 0 looks like person 1 of camera 0, and person 1 like no other."""
    rows = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0.8, 0.6], [0, 0, 1]], np.float32)
    result = across_cameras(rows, np.array([0, 0, 1, 0, 1]), np.array([0, 0, 0, 1, 1]))
    # ranks: 1, 1 (equal cosines, the first wins), 2; of the queries of camera 1: 2, 3
    assert result["queries"] == 5
    assert result["rank1"] == pytest.approx(2 / 5)


def test_average_precision_across_cameras_by_hand() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6], [0, 1]], np.float32)
    result = across_cameras(rows, np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]))
    # query 0: its own is second of two; 1: first of two; 2: second of two; 3: second of two
    assert result == {"rank1": 0.0, "mAP": pytest.approx(0.5), "queries": 4}


def test_somebody_of_one_camera_is_no_query() -> None:
    rows = np.eye(3, dtype=np.float32)
    assert across_cameras(rows, np.array([0, 0, 7]), np.array([0, 1, 0]))["queries"] == 2


def test_crops_are_read_by_their_names(tmp_path: Path) -> None:
    for name, level in (("0003001", 10), ("0003002", 20), ("0003003", 30), ("0004004", 40)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((16, 8, 3), level, np.uint8))
    (tmp_path / "notes.png").write_bytes(b"not a crop")
    crops = read_crops(tmp_path)
    assert [int(image[0, 0, 0]) for image in crops.images] == [10, 20, 30, 40]
    assert (crops.identities.tolist(), crops.cameras.tolist()) == ([3, 3, 3, 4], [0, 0, 1, 1])


def test_a_folder_without_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no crop named IIIIKKK"):
        read_crops(tmp_path)


def test_error_rates_are_of_pairs_of_two_cameras() -> None:
    """Two people in two cameras; only the same person in one camera is alike. Two pairs are of one person, two of different people."""
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1], [0.8, 0.6]], np.float32)
    identities, cameras = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    searcher = PersonSearcher(RectangleModel(), calibration=Calibration(min_similarity=0.7, false_match_rate=0, miss_rate=0, data="none"))
    # same: .6 and .6; different: 0-3 .8, 1-2 .8
    assert error_rates(rows, identities, cameras, searcher) == {"false_match": 1.0, "miss": 1.0}
    assert error_rates(rows[:1], identities[:1], cameras[:1], searcher) == {}
    assert error_rates(rows, identities, cameras, PersonSearcher(RectangleModel())) == {}
