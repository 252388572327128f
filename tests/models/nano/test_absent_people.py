"""The bundled model's threshold rejects everyone when the person is not in the gallery."""

from pathlib import Path

import numpy as np
import pytest

from personsearch import PersonSearcher, Query
from personsearch.cli import demo
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.world import World

QUERIES, SEED = 200, 991  # of a world that neither training nor calibration nor the demo's scenes have seen
TWICE = 2  # the stated rate is of other pictures than these


@pytest.mark.extra
def test_absent_people_are_answered_nobody_at_the_stated_rate(shared: Path, tmp_path: Path) -> None:
    """Each of R people of the gallery matches by mistake at the stated rate, so a query has no match at (1 - rate) ** R."""
    searcher = PersonSearcher.from_pretrained(device="cpu")
    assert searcher.calibration is not None
    gallery = searcher.index(demo.SCENES / "scenes", gallery=tmp_path / "gallery", progress=False)
    world = World(shared / "assets/makehuman", SEED, QUERIES, 20)
    answers = []
    for one in render_person_crops(world, range(QUERIES), views=1, seed=SEED):
        result = searcher.search(Query(one.images[0], crop=True), gallery, top_k=len(gallery), min_similarity="auto")
        answers.append(len(result))
    rate = TWICE * searcher.calibration.false_match_rate
    assert np.mean(answers) / len(gallery) <= rate
    assert np.mean(np.array(answers) == 0) >= (1 - rate) ** len(gallery)
