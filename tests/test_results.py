"""What results and queries hold, whatever the caller passed."""

import json
from pathlib import Path

from PIL import Image

from personsearch import PersonSearcher, Query
from tests.helpers.fakes import GREEN, RED, RectangleModel, scene


def test_a_search_by_a_detected_box_can_be_written_down(tmp_path: Path) -> None:
    """The row of an array made `to_json` and `save_html` fail."""
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))).save(tmp_path / "a.png")
    searcher = PersonSearcher(RectangleModel())
    box = searcher.detect(tmp_path / "a.png").boxes[0]
    result = searcher.search(Query(tmp_path / "a.png", box), [tmp_path / "a.png"])
    assert json.loads(result.to_json())["query"]["box"] == [10, 10, 30, 70]
    result.save_html(tmp_path / "hits.html")
    assert "box 10, 10, 30, 70" in (tmp_path / "hits.html").read_text()
