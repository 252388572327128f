"""What results and queries hold, whatever the caller passed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch import PersonSearcher, Query
from personsearch.errors import BoxError
from tests.helpers.fakes import GREEN, RED, RectangleModel, scene


@pytest.mark.parametrize(
    "box",
    [(10, 10, 30.5, 70), [10, 10, 30.5, 70], np.array([10, 10, 30.5, 70], np.float32), tuple(np.array([10, 10, 30.5, 70], np.float32))],
    ids=["tuple", "list", "array", "tuple of NumPy numbers"],
)
def test_a_query_box_is_four_python_floats(box: Any) -> None:
    query = Query("party.jpg", box)
    assert query == Query("party.jpg", (10, 10, 30.5, 70))
    assert isinstance(query.box, tuple)
    assert {type(value) for value in query.box} == {float}


@pytest.mark.parametrize("box", [(), (1, 2, 3), np.zeros((2, 4)), np.zeros((0, 4)), "1,2,3,4", 7, [[1, 2, 3, 4]]])
def test_a_query_box_that_is_not_four_numbers_is_named(box: Any) -> None:
    with pytest.raises(BoxError, match="four numbers"):
        Query("party.jpg", box)


def test_a_search_by_a_detected_box_can_be_written_down(tmp_path: Path) -> None:
    """The row of an array made `to_json` and `save_html` fail."""
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))).save(tmp_path / "a.png")
    searcher = PersonSearcher(RectangleModel())
    box = searcher.detect(tmp_path / "a.png").boxes[0]
    result = searcher.search(Query(tmp_path / "a.png", box), [tmp_path / "a.png"])
    assert json.loads(result.to_json())["query"]["box"] == [10, 10, 30, 70]
    result.save_html(tmp_path / "hits.html")
    assert "box 10, 10, 30, 70" in (tmp_path / "hits.html").read_text()
