"""Re-ranking in a search: which people take part, and what the hits say."""

import numpy as np
import pytest

from personsearch import Gallery, KReciprocal, QueryExpansion
from personsearch.boxes import Array
from personsearch.errors import QueryError
from personsearch.gallery import FramePeople, ModelKey
from personsearch.ranking import cosines, expanded, k_reciprocal
from personsearch.results import Detections
from personsearch.searching import QueryRows, SearchOptions, search

DIM, PEOPLE = 8, 60


@pytest.fixture(scope="module")
def rows() -> Array:
    values = np.random.default_rng(5).standard_normal((PEOPLE, DIM)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def gallery(rows: Array, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """One person in each picture."""
    made = Gallery.create_or_open(tmp_path_factory.mktemp("people"), ModelKey("m", "f@0", DIM))
    scores = np.linspace(0.5, 1, PEOPLE, dtype=np.float32)
    people = [Detections(np.array([[0, 0, 9, 9]], np.float32), scores[i : i + 1], rows[i : i + 1]) for i in range(PEOPLE)]
    made.add([FramePeople(f"{i:02d}.jpg", 0, None, 9, 9, f"{i}", 1, 1, None, True, one) for i, one in enumerate(people)])
    return made


def found(gallery: Gallery, query: QueryRows, options: SearchOptions) -> list[tuple[int, float, float]]:
    (result,) = search([gallery], [query], options)
    return [(int(hit.image[:2]), hit.similarity, hit.ranked_by) for hit in result.hits()]


def test_k_reciprocal_ranks_the_best_candidates_anew(gallery: Gallery, rows: Array) -> None:
    query = np.asarray(rows[3] + rows[8], np.float32) / np.linalg.norm(rows[3] + rows[8])
    options = KReciprocal(k1=4, k2=2, candidates=20)
    hits = found(gallery, QueryRows(query[None]), SearchOptions(top_k=30, rerank=options))
    cosine = cosines(query[None], rows)[0]
    near = np.argsort(-cosine, kind="stable")[:20]
    keys = k_reciprocal(cosine[near], cosines(rows[near], rows[near]), options)
    expected = near[np.argsort(-keys, kind="stable")]
    assert {row for row, *_ in hits[:20]} == set(near.tolist())
    assert [row for row, *_ in hits[:5]] == expected[:5].tolist()
    assert [similarity for _, similarity, _ in hits] == [float(cosine[row]) for row, *_ in hits]
    assert [row for row, *_ in hits[20:]] == np.argsort(-cosine, kind="stable")[20:30].tolist()  # the others follow by cosine


def test_an_expanded_query_searches_again(gallery: Gallery, rows: Array) -> None:
    query = rows[11]
    hits = found(gallery, QueryRows(query[None]), SearchOptions(top_k=9, rerank=QueryExpansion(neighbours=3, alpha=2)))
    cosine = cosines(query[None], rows)[0]
    first = np.argsort(-cosine, kind="stable")[:3]
    again = cosines(expanded(query, rows[first], cosine[first], 2)[None], rows)[0]
    order = np.argsort(-again, kind="stable")[:9]
    assert [row for row, *_ in hits] == order.tolist()
    np.testing.assert_allclose([key for *_, key in hits], again[order], atol=1e-6)
    assert [similarity for _, similarity, _ in hits] == [float(cosine[row]) for row in order]


def test_a_threshold_is_about_the_query_itself(gallery: Gallery, rows: Array) -> None:
    similar = set(np.flatnonzero(cosines(rows[11:12], rows)[0] >= 0.3).tolist())
    for rerank in ("query-expansion", "k-reciprocal"):
        hits = found(gallery, QueryRows(rows[11:12]), SearchOptions(top_k=PEOPLE, rerank=rerank, min_similarity=0.3))  # type: ignore[arg-type]
        assert {row for row, *_ in hits} == similar
        assert [key for *_, key in hits] == sorted((key for *_, key in hits), reverse=True)


def test_negatives_do_not_join_an_expanded_query(gallery: Gallery, rows: Array) -> None:
    nearest = int(np.argsort(-cosines(rows[11:12], rows)[0], kind="stable")[1])
    query = QueryRows(rows[11:12], rows[nearest : nearest + 1])
    hits = found(gallery, query, SearchOptions(top_k=PEOPLE, rerank=QueryExpansion(neighbours=1)))
    kept = cosines(rows[nearest : nearest + 1], rows)[0] < cosines(rows[11:12], rows)[0]
    assert {row for row, *_ in hits} == set(np.flatnonzero(kept).tolist())
    np.testing.assert_allclose(hits[0][2], 1, atol=1e-6)  # the only neighbour is the query itself


def test_fewer_people_than_candidates(gallery: Gallery, rows: Array) -> None:
    for rerank in ("query-expansion", "k-reciprocal"):
        assert len(found(gallery, QueryRows(rows[:1]), SearchOptions(top_k=1000, rerank=rerank))) == PEOPLE  # type: ignore[arg-type]


def test_k_reciprocal_does_not_weigh_by_score() -> None:
    with pytest.raises(QueryError, match="confidence_weighted"):
        SearchOptions(rerank="k-reciprocal", confidence_weighted=True)
