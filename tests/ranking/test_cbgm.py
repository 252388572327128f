"""Context bipartite graph matching, by hand and by properties that hold for every scene."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.boxes import Array
from personsearch.errors import ConfigError, QueryError, ShapeError
from personsearch.ranking import CBGM, Context, Variant, context_of, cosines, rerank_options
from personsearch.ranking.cbgm import choose_scenes, match, rescore
from personsearch.results import Detections


def random_unit(seed: int, *shape: int) -> Array:
    rows = np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def test_cbgm_defaults_are_the_papers() -> None:
    assert CBGM() == CBGM(30, 4, "paper")
    assert rerank_options("cbgm") == CBGM()
    assert rerank_options(CBGM(10, 3, "authors")) == CBGM(10, 3, "authors")
    assert rerank_options(None) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"k1": value}, "k1 must be") for value in (0, -1, 1.5, "30", None, True)),
        *(({"k2": value}, "k2 must be") for value in (0, 2.5, "4", (1, 2))),
        *(({"variant": value}, "variant must be") for value in ("code", None, 5)),
    ],
)
def test_cbgm_checks_its_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CBGM(**options)


@pytest.mark.parametrize("value", ["hungarian", 5, [], (30, 4), np.array([1, 2]), True])
def test_rerank_takes_only_cbgm(value: object) -> None:
    with pytest.raises(QueryError, match="rerank must be"):
        rerank_options(value, QueryError)


def test_context_of_drops_the_query_person() -> None:
    """The first box has an IoU of 0.6 with the query's, the second exactly 0.5, which is another person."""
    boxes = np.array([[0, 0, 10, 6], [0, 0, 10, 5], [50, 0, 60, 10]], np.float32)
    detections = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.eye(3, dtype=np.float32))
    row = np.array([0.6, 0.8, 0], np.float32)
    context = context_of(row, np.array([0, 0, 10, 10], np.float32), detections)
    assert context.scores.tolist() == pytest.approx([1, 0.8, 0.7])
    np.testing.assert_array_equal(context.embeddings, [row, [0, 1, 0], [0, 0, 1]])


def test_context_of_an_empty_scene_is_the_query() -> None:
    detections = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 2), np.float32))
    context = context_of(np.array([1, 0], np.float32), np.array([0, 0, 10, 10], np.float32), detections)
    assert (context.embeddings.tolist(), context.scores.tolist()) == ([[1, 0]], [1])


def test_match_corrects_the_lookalike() -> None:
    """The paper's Figure 2: (a) looks more like (d), but (b) is (d); so (a) is (c), with the matching's largest edge."""
    edges = np.array([[0.5, 0.6], [0.1, 0.8]])  # (a), (b) of the query's scene to (c), (d)
    assert match(edges).tolist() == [0.8, 0.6]


def test_match_keeps_the_similarity_when_context_takes_the_only_person() -> None:
    assert match(np.array([[0.6], [1.0]])).tolist() == [0.6]


def test_match_takes_the_largest_sum_not_the_largest_edge() -> None:
    """0.9 + 0.1 loses to 0.7 + 0.8."""
    assert match(np.array([[0.9, 0.7], [0.8, 0.1]])).tolist() == [0.9, 0.8]


def test_match_of_an_empty_scene_is_empty() -> None:
    assert match(np.zeros((2, 0))).shape == (0,)


@given(seed=st.integers(0, 2**32 - 1), people=st.integers(1, 5), others=st.integers(0, 8))
def test_match_raises_at_most_one_and_never_lowers(seed: int, people: int, others: int) -> None:
    edges = np.random.default_rng(seed).uniform(-1, 1, (people, others))
    after = match(edges)
    assert (after >= edges[0]).all()
    assert (after != edges[0]).sum() <= 1
    assert set(after.tolist()) <= set(edges.ravel().tolist())
    assert np.array_equal(match(edges[:1]), edges[0])  # alone, without context


def test_context_keeps_the_query_whatever_its_score() -> None:
    context = Context(np.eye(4, dtype=np.float32), np.array([0.1, 0.5, 0.9, 0.9], np.float32))
    assert context.keep(1).embeddings.argmax(axis=1).tolist() == [0]
    assert context.keep(3).embeddings.argmax(axis=1).tolist() == [0, 2, 3]  # equal scores in row order
    assert context.keep(9).scores.tolist() == pytest.approx([0.1, 0.9, 0.9, 0.5])


def test_context_without_the_query_is_refused() -> None:
    with pytest.raises(ShapeError, match="row 0 is the query"):
        Context(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    with pytest.raises(ShapeError, match="row 0 is the query"):
        Context(np.eye(4, dtype=np.float32), np.ones(3, np.float32))


SIMILARITIES = np.array([0.9, 0.8, 0.7, 0.7, 0.6], np.float32)
SCENES = np.array([4, 4, 5, 6, 7])


def test_paper_counts_scenes_and_authors_count_people() -> None:
    """Scene 4 has the two best people: the paper takes scene 5 besides, the authors' code does not."""
    assert choose_scenes(SIMILARITIES, SCENES, 2, "paper").tolist() == [4, 5]
    assert choose_scenes(SIMILARITIES, SCENES, 2, "authors").tolist() == [4]


def test_equal_similarities_choose_the_first_scene() -> None:
    assert choose_scenes(SIMILARITIES, SCENES, 3, "authors").tolist() == [4, 5]
    level = np.array([0.5, 0.6, 0.6, 0.5, 0.6], np.float32)
    assert choose_scenes(level, SCENES, 2, "paper").tolist() == [4, 5]
    assert choose_scenes(level[::-1], SCENES, 1, "authors").tolist() == [4]


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_choosing_from_few_and_from_none(variant: Variant) -> None:
    assert choose_scenes(SIMILARITIES, SCENES, 99, variant).tolist() == [4, 5, 6, 7]
    assert choose_scenes(np.zeros(0, np.float32), np.zeros(0, np.int64), 5, variant).shape == (0,)


CONTEXT = Context(np.array([[1, 0], [0, 1]], np.float32), np.ones(2, np.float32))
GALLERY = np.array([[0, 1], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)


def test_rescore_by_hand() -> None:
    """Of scenes 0 (rows 0, 1) and 2 (row 3) only the chosen ones: in scene 0 row 1 gets the query and the edge of 1."""
    rows, similarities = rescore(CONTEXT, GALLERY, np.array([0, 0, 1, 2]), np.array([0, 2]))
    assert rows.tolist() == [0, 1, 3]
    assert similarities.tolist() == pytest.approx([0, 1, 0.6])  # scene 2: 0.8 with the companion is the larger sum


def test_rescore_by_hand_with_scores() -> None:
    """The edges are 0 x 0.5, 1 x 0.5 (companion) and 0.8 x 0.9, 0.6 x 0.9: the query's own edge of 0.72 is the largest."""
    weights = np.array([0.5, 0.9, 1, 1], np.float32)
    rows, similarities = rescore(CONTEXT, GALLERY, np.array([0, 0, 1, 2]), np.array([0]), weights)
    assert rows.tolist() == [0, 1]
    assert similarities.tolist() == pytest.approx([0, 0.72])


def test_rescore_of_no_scene_is_empty() -> None:
    rows, similarities = rescore(CONTEXT, GALLERY, np.array([0, 0, 1, 2]), np.zeros(0, np.int64))
    assert rows.shape == similarities.shape == (0,)
    rows, similarities = rescore(CONTEXT, GALLERY[:0], np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert rows.shape == similarities.shape == (0,)


@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(1, 40),
    k1=st.integers(1, 6),
    k2=st.integers(1, 5),
    variant=st.sampled_from(["paper", "authors"]),
)
def test_one_person_a_chosen_scene_changes_and_only_upwards(seed: int, people: int, k1: int, k2: int, variant: Variant) -> None:
    rng = np.random.default_rng(seed)
    gallery, context = random_unit(seed, people, 6), Context(random_unit(seed + 1, 5, 6), rng.random(5, np.float32))
    scenes = np.sort(rng.integers(0, 10, people))
    weights = rng.random(people, np.float32) if variant == "authors" else None
    before = cosines(context.embeddings[:1], gallery)[0] * (1 if weights is None else weights)
    chosen = choose_scenes(before, scenes, k1, variant)
    rows, after = rescore(context.keep(k2), gallery, scenes, chosen, weights)
    assert len(chosen) <= k1
    assert rows.tolist() == np.flatnonzero(np.isin(scenes, chosen)).tolist()
    assert (after >= before[rows]).all()
    changed = scenes[rows[after != before[rows]]]
    assert len(changed) == len(set(changed.tolist()))
    assert k2 > 1 or len(changed) == 0
    if variant == "paper":
        assert len(chosen) == min(k1, len(set(scenes.tolist())))
