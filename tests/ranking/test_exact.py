"""Exact ranking: by hand, against sorting everything, and with ties that no block or machine may break differently."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.boxes import Array
from personsearch.errors import ConfigError, QueryError, ShapeError
from personsearch.ranking import Context, cosines, exact, rank, rank_cbgm
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
    (found,) = rank(EAST, GALLERY, 3)
    assert found.rows.tolist() == [0, 2, 1]
    assert found.similarities.tolist() == pytest.approx([1, 0.6, 0])
    assert found.keys.tolist() == found.similarities.tolist()


def test_rank_by_similarity_times_score_keeps_both_numbers() -> None:
    (found,) = rank(EAST, GALLERY, 2, scores=np.array([0.5, 1, 1, 1], np.float32))
    assert found.rows.tolist() == [2, 0]
    assert found.similarities.tolist() == pytest.approx([0.6, 1])
    assert found.keys.tolist() == pytest.approx([0.6, 0.5])


def test_min_similarity_is_a_cosine_also_where_scores_decide() -> None:
    scores = np.array([0.1, 1, 1, 1], np.float32)
    assert rank(EAST, GALLERY, 4, min_similarity=0.6)[0].rows.tolist() == [0, 2]
    assert rank(EAST, GALLERY, 4, scores=scores, min_similarity=0.61)[0].rows.tolist() == [0]
    assert len(rank(EAST, GALLERY, 4, min_similarity=1.1)[0]) == 0


def test_someone_just_below_min_similarity_takes_nobodys_place() -> None:
    """Row 0 has the best product and a cosine that float32 cannot tell from the limit; the best hit is row 2."""
    gallery = unit(np.array([[0.5, 0.75**0.5], [0.8, 0.6], [0.9, 0.19**0.5], [0.85, 0.2775**0.5]]))
    scores = np.array([1, 0.5, 0.5, 0.5], np.float32)
    limit = float(np.nextafter(cosines(EAST, gallery[:1])[0, 0], np.float32(1)))
    assert rank(EAST, gallery, 1, scores=scores, min_similarity=limit)[0].rows.tolist() == [2]
    assert rank(EAST, gallery, 1, scores=scores)[0].rows.tolist() == [0]


def test_empty_gallery_and_no_query() -> None:
    (found,) = rank(EAST, np.zeros((0, 2), np.float32), 5)
    assert found.rows.shape == found.similarities.shape == found.keys.shape == (0,)
    assert rank(np.zeros((0, 2), np.float32), GALLERY, 5) == []


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ShapeError, match="share D"):
        rank(np.ones((1, 3), np.float32), GALLERY, 1)
    with pytest.raises(ShapeError, match="as many scores"):
        rank(EAST, GALLERY, 1, scores=np.ones(3, np.float32))
    with pytest.raises(QueryError, match="top_k"):
        rank(EAST, GALLERY, 0)


def by_sorting(query: Array, gallery: Array, top_k: int, scores: Array | None, min_similarity: float | None) -> list[int]:
    """What `rank` must give: sort everything."""
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
def test_rank_is_sorting_everything(
    seed: int, people: int, top_k: int, directions: int, weighted: bool, min_similarity: float | None
) -> None:
    rng = np.random.default_rng(seed)
    gallery = random_unit(seed, directions, 5)[rng.integers(0, directions, people)].reshape(people, 5)
    scores = rng.choice(np.array([0, 0.5, 0.9, 1], np.float32), people) if weighted else None
    queries = np.concatenate([random_unit(seed + 1, 4, 5), gallery[:1]])
    for query, found in zip(queries, rank(queries, gallery, top_k, scores=scores, min_similarity=min_similarity), strict=True):
        assert found.rows.tolist() == by_sorting(query, gallery, top_k, scores, min_similarity)


def test_equal_people_tie_wherever_they_stand() -> None:
    """A float32 matrix product rounds a row by its place in the matrix; the ranking must not."""
    gallery = random_unit(0, 40_000, 33)
    places = [3, 16_383, 16_384, 16_387, 31_001, 39_999]  # ends of blocks, odd remainders
    gallery[places] = gallery[3]
    query = unit(gallery[3:4] + 0.05 * random_unit(1, 1, 33))
    (found,) = rank(query, gallery, len(places))
    assert found.rows.tolist() == places
    assert len(set(found.similarities.tolist())) == 1


@pytest.mark.parametrize("rows_a_block", [100, 16_384])
def test_nearly_equal_people_rank_as_if_all_were_compared(rows_a_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closer than float32 can add: the shortlist has to keep them all, in one block and over many."""
    monkeypatch.setattr(exact, "_ROWS", rows_a_block)
    query = random_unit(0, 1, 256)
    gallery = unit(query + 1e-3 * random_unit(1, 3000, 256))
    float32_order = np.argsort(-(query @ gallery.T)[0], kind="stable")[:50].tolist()
    exact_order = by_sorting(query[0], gallery, 50, None, None)
    assert rank(query, gallery, 50)[0].rows.tolist() == exact_order
    assert float32_order != exact_order, "too easy to tell anything"


def test_memory_stays_bounded() -> None:
    queries, gallery = random_unit(0, 300, 16), random_unit(1, 100_000, 16)
    tracemalloc.start()
    rank(queries, gallery, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = exact._QUERIES * exact._ROWS * 4
    assert peak < 3 * block < len(queries) * len(gallery) * 4


def cbgm_by_sorting(context: Context, gallery: Array, scores: Array, scenes: Array, **options: object) -> list[tuple[int, float]]:
    """What `rank_cbgm` must give: compare with everybody, re-score, sort everything."""
    weights = scores if options["variant"] == "authors" else None
    similarity = cosines(context.embeddings[:1], gallery)[0]
    key = similarity.copy() if weights is None else similarity * weights
    chosen = choose_scenes(key, scenes, options["k1"], options["variant"])  # type: ignore[arg-type]
    rows, values = rescore(context.keep(options["k2"]), gallery, scenes, chosen, weights)  # type: ignore[arg-type]
    key[rows] = values
    order = [(row, key[row]) for row in np.lexsort((np.arange(len(key)), -key)).tolist()]
    return [(row, value) for row, value in order if similarity[row] >= options["min_similarity"]][: options["top_k"]]  # type: ignore[misc, operator]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("variant", ["paper", "authors"])
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(0, 60),
    crowd=st.integers(1, 20),
    k1=st.integers(1, 8),
    k2=st.integers(1, 5),
    top_k=st.integers(1, 20),
    min_similarity=st.sampled_from([-1.0, 0.0, 0.5]),
)
def test_rank_cbgm_is_rescoring_and_sorting_everything(
    variant: str, seed: int, people: int, crowd: int, k1: int, k2: int, top_k: int, min_similarity: float
) -> None:
    rng = np.random.default_rng(seed)
    gallery = random_unit(seed, 9, 4)[rng.integers(0, 9, people)].reshape(people, 4)
    scores = rng.choice(np.array([0.3, 0.5, 0.9, 1], np.float32), people)
    scenes = np.sort(rng.integers(0, 1 + people // crowd, people))
    context = Context(random_unit(seed + 1, 4, 4), rng.random(4, np.float32))
    options = {"k1": k1, "k2": k2, "variant": variant, "min_similarity": min_similarity, "top_k": top_k}
    found = rank_cbgm(context, gallery, scores, scenes, **options)  # type: ignore[arg-type]
    assert list(zip(found.rows.tolist(), found.keys.tolist(), strict=True)) == cbgm_by_sorting(context, gallery, scores, scenes, **options)


def test_rank_cbgm_keeps_the_cosine_beside_its_own_number() -> None:
    """The companion of the query is found beside row 1, so row 1 takes the companion's similarity of 1."""
    context = Context(np.array([[1, 0, 0], [0, 0, 1]], np.float32), np.ones(2, np.float32))
    gallery = np.array([[0.8, 0.6, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    found = rank_cbgm(context, gallery, np.ones(3, np.float32), np.array([0, 1, 1]), 2, k1=2, k2=2)
    assert found.rows.tolist() == [1, 0]
    assert found.keys.tolist() == pytest.approx([1, 0.8])
    assert found.similarities.tolist() == pytest.approx([0.6, 0.8])


def test_rank_cbgm_looks_behind_a_crowd_for_the_next_scene() -> None:
    """Scene 0 holds nine people before anyone else comes; the paper's k1 = 2 scenes still include the second."""
    context = Context(np.array([[1, 0, 0], [0, 0, 1]], np.float32), np.ones(2, np.float32))
    gallery = np.array([[0.8, 0.6, 0]] * 9 + [[0.6, 0.8, 0], [0, 0, 1]], np.float32)
    scenes = np.array([0] * 9 + [1, 1])
    assert rank_cbgm(context, gallery, np.ones(11, np.float32), scenes, 1, k1=2, k2=2).rows.tolist() == [9]
    assert rank_cbgm(context, gallery, np.ones(11, np.float32), scenes, 1, k1=1, k2=2).rows.tolist() == [0]


def test_rank_cbgm_refuses_bad_options() -> None:
    context = Context(EAST, np.ones(1, np.float32))
    scores, scenes = np.ones(4, np.float32), np.arange(4)
    with pytest.raises(QueryError, match="top_k"):
        rank_cbgm(context, GALLERY, scores, scenes, 0, k1=1, k2=1)
    with pytest.raises(ConfigError, match="at least 1"):
        rank_cbgm(context, GALLERY, scores, scenes, 1, k1=0, k2=1)
    with pytest.raises(ConfigError, match="variant"):
        rank_cbgm(context, GALLERY, scores, scenes, 1, k1=1, k2=1, variant="mean")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="as many scenes"):
        rank_cbgm(context, GALLERY, scores, scenes[:3], 1, k1=1, k2=1)
