"""The query's box, and the fields of a hit."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from personsearch.errors import BoxError
from personsearch.hits import Hit, Query


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
def test_a_query_box_that_is_not_four_numbers_is_an_error(box: Any) -> None:
    with pytest.raises(BoxError, match="four numbers"):
        Query("party.jpg", box)


def test_a_query_without_a_box_is_a_crop() -> None:
    assert Query("me.jpg").box is None


def test_queries_and_hits_cannot_be_changed() -> None:
    hit = Hit(rank=1, image="a.jpg", frame=0, time=None, box=(1, 2, 3, 4), score=0.9, similarity=0.8, ranked_by=0.72)
    for value, field in ((hit, "rank"), (Query("me.jpg"), "box")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, 2)
