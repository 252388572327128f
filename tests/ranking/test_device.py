"""Ranking on a device gives the rows and the bits of the exact ranking in memory."""

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.errors import QueryError, ShapeError
from personsearch.ranking import device
from personsearch.ranking.device import DeviceGallery
from personsearch.ranking.exact import Ranked, rank
from tests.helpers.stand_in_cuda import stand_in_cuda


def unit(count: int, dim: int, seed: int) -> Array:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def assert_same(ours: list[Ranked], theirs: list[Ranked]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert (a.rows.tolist(), a.similarities.tolist(), a.keys.tolist()) == (b.rows.tolist(), b.similarities.tolist(), b.keys.tolist())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("top_k", [1, 10, 500, 2000])
def test_the_result_is_that_of_the_ranking_in_memory(top_k: int, weighted: bool) -> None:
    gallery, queries = unit(1000, 32, 0), unit(70, 32, 1)  # two groups of queries, and blocks of 300 rows
    scores = np.random.default_rng(2).random(1000).astype(np.float32) if weighted else None
    assert_same(DeviceGallery(gallery, "cpu", rows=300).rank(queries, top_k, scores=scores), rank(queries, gallery, top_k, scores=scores))


def test_rows_that_float16_cannot_tell_apart_are_in_order() -> None:
    """Two hundred rows nearer to each other than float16's steps: a shortlist of four times top_k does not decide."""
    gallery, queries = unit(1000, 16, 0), unit(2, 16, 1)
    gallery[100:300] = queries[0] + np.random.default_rng(3).normal(size=(200, 16)).astype(np.float32) * 1e-5
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    expected = rank(queries, gallery, 5)
    assert_same(DeviceGallery(gallery, "cpu", rows=400).rank(queries, 5), expected)
    by_half = np.argsort(-(queries[:1] @ gallery.astype(np.float16).astype(np.float32).T)[0], kind="stable")[:5]
    assert by_half.tolist() != expected[0].rows.tolist()  # the order of float16 alone is another one


def test_float16_galleries_and_equal_rows() -> None:
    gallery, queries = unit(50, 16, 0).astype(np.float16), unit(3, 16, 1)
    gallery[10] = gallery[40]
    assert_same(DeviceGallery(gallery, "cpu", rows=7).rank(queries, 50), rank(queries, gallery.astype(np.float32), 50))


def test_an_empty_gallery_and_wrong_arguments() -> None:
    (people,) = DeviceGallery(np.zeros((0, 4), np.float32), "cpu").rank(unit(1, 4, 0), 3)
    assert len(people) == 0
    gallery = DeviceGallery(unit(5, 4, 0), "cpu")
    with pytest.raises(ShapeError, match="must share D"):
        gallery.rank(unit(1, 3, 0), 3)
    with pytest.raises(ShapeError, match="as many scores"):
        gallery.rank(unit(1, 4, 0), 3, scores=np.ones(4, np.float32))
    with pytest.raises(QueryError, match="top_k must be at least 1"):
        gallery.rank(unit(1, 4, 0), 0)


def test_ranking_on_cuda_has_all_its_tensors_there() -> None:
    gallery, queries = unit(100, 8, 0), unit(2, 8, 1)
    with stand_in_cuda():
        ranked = DeviceGallery(gallery, "cuda:0", rows=device.ROWS).rank(queries, 3, scores=np.ones(100, np.float32))
    assert_same(ranked, rank(queries, gallery, 3, scores=np.ones(100, np.float32)))
