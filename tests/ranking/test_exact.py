"""Exact ranking: by hand, against sorting everything, and with ties that no block or machine may break differently."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.boxes import Array
from personsearch.errors import QueryError, ShapeError
from personsearch.ranking import CBGM, Context, Variant, cosines, exact, rank, rank_cbgm, rank_cbgm_many
from personsearch.ranking.cbgm import choose_scenes, rescore


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def random_unit(seed: int, *shape: int) -> Array:
    return unit(np.random.default_rng(seed).standard_normal(shape))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 7 rows and 2 queries, so that small arrays have many."""
    monkeypatch.setattr(exact, "_ROWS", 7)
    monkeypatch.setattr(exact, "_QUERIES", 2)


GALLERY = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
EAST = np.array([[1, 0]], np.float32)


def test_rank_by_hand() -> None:
    (ranked,) = rank(EAST, GALLERY, 3)
    assert ranked.rows.tolist() == [0, 2, 1]
    assert ranked.similarities.tolist() == pytest.approx([1, 0.6, 0])
    assert ranked.keys.tolist() == ranked.similarities.tolist()


def test_rank_by_similarity_times_score_keeps_both_numbers() -> None:
    (ranked,) = rank(EAST, GALLERY, 2, scores=np.array([0.5, 1, 1, 1], np.float32))
    assert ranked.rows.tolist() == [2, 0]
    assert ranked.similarities.tolist() == pytest.approx([0.6, 1])
    assert ranked.keys.tolist() == pytest.approx([0.6, 0.5])


def test_min_similarity_is_a_cosine_also_where_scores_decide() -> None:
    scores = np.array([0.1, 1, 1, 1], np.float32)
    assert rank(EAST, GALLERY, 4, min_similarity=0.6)[0].rows.tolist() == [0, 2]
    assert rank(EAST, GALLERY, 4, scores=scores, min_similarity=0.61)[0].rows.tolist() == [0]
    assert len(rank(EAST, GALLERY, 4, min_similarity=1.1)[0]) == 0


def test_a_person_just_below_min_similarity_takes_no_rank() -> None:
    """Row 0 has the best product and a cosine that float32 cannot tell from the limit; the best hit is row 2."""
    gallery = unit(np.array([[0.5, 0.75**0.5], [0.8, 0.6], [0.9, 0.19**0.5], [0.85, 0.2775**0.5]]))
    scores = np.array([1, 0.5, 0.5, 0.5], np.float32)
    limit = float(np.nextafter(cosines(EAST, gallery[:1])[0, 0], np.float32(1)))
    assert rank(EAST, gallery, 1, scores=scores, min_similarity=limit)[0].rows.tolist() == [2]
    assert rank(EAST, gallery, 1, scores=scores)[0].rows.tolist() == [0]


def test_empty_gallery_and_no_query() -> None:
    (ranked,) = rank(EAST, np.zeros((0, 2), np.float32), 5)
    assert ranked.rows.shape == ranked.similarities.shape == ranked.keys.shape == (0,)
    assert rank(np.zeros((0, 2), np.float32), GALLERY, 5) == []


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="share D"):
        rank(np.ones((1, 3), np.float32), GALLERY, 1)
    with pytest.raises(ShapeError, match="as many scores"):
        rank(EAST, GALLERY, 1, scores=np.ones(3, np.float32))
    with pytest.raises(QueryError, match="top_k"):
        rank(EAST, GALLERY, 0)


def by_sorting(query: Array, gallery: Array, top_k: int, scores: Array | None, min_similarity: float | None) -> list[int]:
    """The result that `rank` must give: sort all people."""
    similarity = cosines(query[None], gallery)[0]
    key = similarity if scores is None else similarity * scores
    order = sorted(range(len(gallery)), key=lambda row: (-key[row], row))
    return [row for row in order if min_similarity is None or similarity[row] >= min_similarity][:top_k]


@pytest.mark.usefixtures("small_blocks")
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(0, 40),
    top_k=st.integers(1, 45),
    directions=st.integers(1, 12),  # few directions make many exact ties
    weighted=st.booleans(),
    min_similarity=st.none() | st.floats(-1, 1),
)
def test_rank_equals_sorting_everything(
    seed: int, people: int, top_k: int, directions: int, weighted: bool, min_similarity: float | None
) -> None:
    rng = np.random.default_rng(seed)
    gallery = random_unit(seed, directions, 5)[rng.integers(0, directions, people)].reshape(people, 5)
    scores = rng.choice(np.array([0, 0.5, 0.9, 1], np.float32), people) if weighted else None
    queries = np.concatenate([random_unit(seed + 1, 4, 5), gallery[:1]])
    for query, ranked in zip(queries, rank(queries, gallery, top_k, scores=scores, min_similarity=min_similarity), strict=True):
        assert ranked.rows.tolist() == by_sorting(query, gallery, top_k, scores, min_similarity)


def test_equal_people_tie_in_every_row() -> None:
    """The rounding of a float32 matrix product depends on the row's position; the ranking must not."""
    gallery = random_unit(0, 40_000, 33)
    rows = [3, 16_383, 16_384, 16_387, 31_001, 39_999]  # ends of blocks, odd remainders
    gallery[rows] = gallery[3]
    query = unit(gallery[3:4] + 0.05 * random_unit(1, 1, 33))
    (ranked,) = rank(query, gallery, len(rows))
    assert ranked.rows.tolist() == rows
    assert len(set(ranked.similarities.tolist())) == 1


@pytest.mark.parametrize("rows_a_block", [100, 16_384])
def test_nearly_equal_people_rank_exactly(rows_a_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are closer than float32 rounding: the shortlist must keep all of them, in one block and over many."""
    monkeypatch.setattr(exact, "_ROWS", rows_a_block)
    query = random_unit(0, 1, 256)
    gallery = unit(query + 1e-3 * random_unit(1, 3000, 256))
    float32_order = np.argsort(-(query @ gallery.T)[0], kind="stable")[:50].tolist()
    exact_order = by_sorting(query[0], gallery, 50, None, None)
    assert rank(query, gallery, 50)[0].rows.tolist() == exact_order
    assert float32_order != exact_order, "float32 alone gives the same order, so this test cannot fail"


def test_memory_stays_bounded() -> None:
    queries, gallery = random_unit(0, 300, 16), random_unit(1, 100_000, 16)
    tracemalloc.start()
    rank(queries, gallery, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = exact._QUERIES * exact._ROWS * 4
    assert peak < 3 * block < len(queries) * len(gallery) * 4


def cbgm_by_sorting(
    context: Context, gallery: Array, weights: Array | None, scenes: Array, top_k: int, cbgm: CBGM, min_similarity: float
) -> list[tuple[int, float]]:
    """The result that `rank_cbgm` must give: compare all people, re-score, sort all."""
    similarity = cosines(context.embeddings[:1], gallery)[0]
    key = similarity.copy() if weights is None else similarity * weights
    chosen = choose_scenes(key, scenes, cbgm.k1, cbgm.variant)
    rows, values = rescore(context.keep(cbgm.k2), gallery, scenes, chosen, weights)
    key[rows] = values
    order = [(row, key[row]) for row in np.lexsort((np.arange(len(key)), -key)).tolist()]
    return [(row, value) for row, value in order if similarity[row] >= min_similarity][:top_k]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("variant", ["paper", "authors"])
@pytest.mark.parametrize("weighted", [False, True])
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(0, 60),
    crowd=st.integers(1, 20),
    k1=st.integers(1, 8),
    k2=st.integers(1, 5),
    top_k=st.integers(1, 20),
    min_similarity=st.sampled_from([-1.0, 0.0, 0.5]),
)
def test_rank_cbgm_equals_sorting_everything(
    weighted: bool, variant: Variant, seed: int, people: int, crowd: int, k1: int, k2: int, top_k: int, min_similarity: float
) -> None:
    rng = np.random.default_rng(seed)
    gallery = random_unit(seed, 9, 4)[rng.integers(0, 9, people)].reshape(people, 4)
    scores = rng.choice(np.array([0.3, 0.5, 0.9, 1], np.float32), people)
    scenes = np.sort(rng.integers(0, 1 + people // crowd, people))
    context = Context(random_unit(seed + 1, 4, 4), rng.random(4, np.float32))
    cbgm = CBGM(k1, k2, variant)
    weights = scores if weighted else None
    ranked = rank_cbgm(context, gallery, scenes, top_k, cbgm, scores=weights, min_similarity=min_similarity)
    expected = cbgm_by_sorting(context, gallery, weights, scenes, top_k, cbgm, min_similarity)
    assert list(zip(ranked.rows.tolist(), ranked.keys.tolist(), strict=True)) == expected


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_several_queries_are_ranked_as_each_alone(variant: Variant) -> None:
    gallery, scores, scenes = random_unit(0, 90, 4), np.linspace(0.2, 1, 90, dtype=np.float32), np.arange(90) // 6
    contexts = [Context(random_unit(seed, 1 + seed % 3, 4), np.ones(1 + seed % 3, np.float32)) for seed in range(1, 8)]
    cbgm = CBGM(3, 2, variant)
    together = rank_cbgm_many(contexts, gallery, scenes, 5, cbgm, scores=scores, min_similarity=0.1)
    alone = [rank_cbgm(context, gallery, scenes, 5, cbgm, scores=scores, min_similarity=0.1) for context in contexts]
    assert [ranked.rows.tolist() for ranked in together] == [ranked.rows.tolist() for ranked in alone]
    assert [ranked.keys.tolist() for ranked in together] == [ranked.keys.tolist() for ranked in alone]
    assert rank_cbgm_many([], gallery, scenes, 5, cbgm) == []


def test_rank_cbgm_keeps_the_cosine_beside_its_key() -> None:
    """Row 1 is in a scene with the query's companion, so row 1 takes the companion's similarity of 1."""
    context = Context(np.array([[1, 0, 0], [0, 0, 1]], np.float32), np.ones(2, np.float32))
    gallery = np.array([[0.8, 0.6, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    ranked = rank_cbgm(context, gallery, np.array([0, 1, 1]), 2, CBGM(2, 2))
    assert ranked.rows.tolist() == [1, 0]
    assert ranked.keys.tolist() == pytest.approx([1, 0.8])
    assert ranked.similarities.tolist() == pytest.approx([0.6, 0.8])


def test_rank_cbgm_reaches_the_scene_behind_a_crowd() -> None:
    """The nine best people are all in scene 0; the paper's k1 = 2 scenes still include the second scene."""
    context = Context(np.array([[1, 0, 0], [0, 0, 1]], np.float32), np.ones(2, np.float32))
    gallery = np.array([[0.8, 0.6, 0]] * 9 + [[0.6, 0.8, 0], [0, 0, 1]], np.float32)
    scenes = np.array([0] * 9 + [1, 1])
    assert rank_cbgm(context, gallery, scenes, 1, CBGM(2, 2)).rows.tolist() == [9]
    assert rank_cbgm(context, gallery, scenes, 1, CBGM(1, 2)).rows.tolist() == [0]


def test_rank_cbgm_refuses_bad_options() -> None:
    context = Context(EAST, np.ones(1, np.float32))
    scenes = np.arange(4)
    with pytest.raises(QueryError, match="top_k"):
        rank_cbgm(context, GALLERY, scenes, 0, CBGM())
    with pytest.raises(ShapeError, match="as many scenes"):
        rank_cbgm(context, GALLERY, scenes[:3], 1, CBGM())
