"""Values of results and queries, for every type that a caller may pass."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from personsearch import Hit, PersonSearcher, Query
from tests.helpers.fakes import GREEN, RED, RectangleModel, scene


def test_a_search_by_a_detected_box_can_be_written(tmp_path: Path) -> None:
    """The row of an array made `to_json` and `save_html` fail."""
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))).save(tmp_path / "a.png")
    searcher = PersonSearcher(RectangleModel())
    box = searcher.detect(tmp_path / "a.png").boxes[0]
    result = searcher.search(Query(tmp_path / "a.png", box), [tmp_path / "a.png"])
    assert json.loads(result.to_json())["query"]["box"] == [10, 10, 30, 70]
    result.save_html(tmp_path / "hits.html")
    assert "box 10, 10, 30, 70" in (tmp_path / "hits.html").read_text()


def test_a_result_shows_its_hits_in_one_line(tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    result = searcher.search(np.full((60, 20, 3), RED, np.uint8), [scene((RED, 10, 10, 60))])
    assert repr(result) == f"SearchResult(1 hits, best 1.000 in {result[0].image}, engine='exact')"
    assert repr(searcher.search(np.full((60, 20, 3), RED, np.uint8), [scene()])) == "SearchResult(0 hits, engine='exact')"
    assert repr(searcher) == "PersonSearcher('rectangles', RectangleModel, 3 dimensions)"


def test_a_slice_of_a_result_is_a_tuple_of_hits() -> None:
    picture = scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))
    result = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), RED, np.uint8), [picture])
    first: tuple[Hit, ...] = result[:1]
    assert first == (result[0],)
