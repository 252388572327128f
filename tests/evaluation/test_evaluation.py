"""The evaluator: the authors' own numbers to 1e-6, each rule by hand, and errors that name the field of a file."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.errors import ConfigError, DataError
from personsearch.evaluation import (
    UNLABELLED,
    EvaluationData,
    EvaluationQuery,
    GalleryEntry,
    Scene,
    evaluate,
    evaluate_dataset,
    evaluate_file,
    read,
)
from personsearch.evaluation.schema import UNLABELLED_IN_FILES
from personsearch.ranking import CBGM, Context, rerank_options
from personsearch.results import Detections
from personsearch.searching import SearchOptions

GOLDEN = Path(__file__).parents[1] / "data" / "evaluation.json"
EXAMPLE = Path(__file__).parents[2] / "examples" / "evaluation_small.json"
# The authors add in float32, in another order; a similarity may differ by 1e-7, and no order changes by that here.
TOLERANCE = 1e-6
# The authors' code ranks by cosine x score, with CBGM too.
AUTHORS = CBGM(8, 3, "authors")
SEARCHES: dict[str, dict[str, Any]] = {
    "prw_all_cameras": {"protocol": "prw", "confidence_weighted": True},
    "prw_cross_camera": {"protocol": "prw", "cross_camera": True, "confidence_weighted": True},
    "cuhk_lists": {"protocol": "cuhk-sysu", "confidence_weighted": True},
    "prw_all_cameras_cbgm_k1_8_k2_3": {"protocol": "prw", "rerank": AUTHORS, "confidence_weighted": True},
    "prw_cross_camera_cbgm_k1_8_k2_3": {"protocol": "prw", "cross_camera": True, "rerank": AUTHORS, "confidence_weighted": True},
    "cuhk_lists_cbgm_k1_8_k2_3": {"protocol": "cuhk-sysu", "rerank": AUTHORS, "confidence_weighted": True},
}


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, float]]:
    groups: dict[str, dict[str, float]] = json.loads(GOLDEN.read_text())["expected"]
    assert set(groups) == {*SEARCHES, "detection_all", "detection_labelled_only"}
    return groups


@pytest.mark.parametrize("group", SEARCHES)
def test_search_gives_the_authors_numbers(group: str, expected: dict[str, dict[str, float]]) -> None:
    measured = evaluate_file(GOLDEN, **SEARCHES[group])["search"]
    assert measured.pop("queries") == 20
    assert measured == pytest.approx(expected[group], abs=TOLERANCE)


@pytest.mark.parametrize("group", ["all", "labelled_only"])
def test_detection_gives_the_authors_numbers(group: str, expected: dict[str, dict[str, float]]) -> None:
    assert evaluate_file(GOLDEN, protocol="prw")["detection"][group] == pytest.approx(expected[f"detection_{group}"], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("group", "detail"),
    [
        ("prw_all_cameras", {"confidence_weighted": False}),
        ("prw_all_cameras", {"min_score": 0.4}),
        ("prw_all_cameras", {"cross_camera": True}),
        ("prw_all_cameras", {"protocol": "cuhk-sysu"}),
        ("prw_all_cameras_cbgm_k1_8_k2_3", {"rerank": CBGM(8, 3)}),
        ("prw_all_cameras_cbgm_k1_8_k2_3", {"rerank": CBGM(8, 2, "authors")}),
        ("prw_all_cameras_cbgm_k1_8_k2_3", {"rerank": CBGM(7, 3, "authors")}),
        ("prw_all_cameras_cbgm_k1_8_k2_3", {"rerank": None}),
        ("prw_all_cameras_cbgm_k1_8_k2_3", {"confidence_weighted": False}),
    ],
)
def test_one_wrong_detail_gives_other_numbers(group: str, detail: dict[str, Any], expected: dict[str, dict[str, float]]) -> None:
    measured = evaluate(read(GOLDEN), **SEARCHES[group] | detail)["search"]
    assert abs(measured["mAP"] - expected[group]["mAP"]) > 1e-4


def test_another_detection_threshold_gives_other_numbers(expected: dict[str, dict[str, float]]) -> None:
    measured = evaluate_file(GOLDEN, protocol="prw", detection_min_score=0.5)["detection"]
    assert abs(measured["all"]["ap"] - expected["detection_all"]["ap"]) > 1e-4


ANNA, BEN = np.array([1, 0, 0], np.float32), np.array([0, 1, 0], np.float32)
HERE, THERE = [100, 100, 160, 300], [300, 100, 360, 300]


def like_anna(cosine: float) -> Array:
    return np.array([cosine, 0, (1 - cosine**2) ** 0.5], np.float32)


def scene(
    name: str, *detections: tuple[list[int], Array], people: dict[int, list[int]] | None = None, score: float = 1, camera: int = 1
) -> Scene:
    """A picture of `people` (identity -> box) with detections (box, embedding), all of one score."""
    people = people or {}
    return Scene(
        name,
        camera,
        np.array(list(people.values()), np.float32).reshape(-1, 4),
        np.array(list(people), np.int64),
        Detections(
            np.array([box for box, _ in detections], np.float32).reshape(-1, 4),
            np.full(len(detections), score, np.float32),
            np.array([row for _, row in detections], np.float32).reshape(-1, 3),
        ),
    )


def test_an_evaluation_measures_by_default_what_a_search_does() -> None:
    """Evaluation weighted by the score and took the authors' CBGM, searching did neither."""
    defaults = {name: field.default for name, field in inspect.signature(evaluate_dataset).parameters.items()}
    options = SearchOptions()
    assert (defaults["rerank"], defaults["confidence_weighted"]) == (options.rerank, options.confidence_weighted)
    assert rerank_options("cbgm") == SearchOptions(rerank="cbgm").cbgm


def search(*scenes: Scene, query: EvaluationQuery | None = None, **options: Any) -> dict[str, Any]:
    query = query or EvaluationQuery("query.jpg", camera=1, identity=7, embedding=ANNA)
    measured: dict[str, Any] = evaluate(EvaluationData(scenes, (query,)), **{"protocol": "prw"} | options)["search"]
    return measured


ANNA_HERE = {7: HERE}


def test_search_by_hand() -> None:
    """A stranger first, then Anna in one of two pictures: precision 1/2 at recall 1, times the half that was found."""
    measured = search(
        scene("a", (THERE, like_anna(0.9)), (HERE, like_anna(0.8)), people=ANNA_HERE),
        scene("b", (THERE, like_anna(0.1)), people=ANNA_HERE),
    )
    assert measured == {"mAP": pytest.approx(0.25), "top1": 0, "top5": 1, "top10": 1, "queries": 1}


def test_only_the_most_similar_box_on_the_person_is_a_hit() -> None:
    """The box that overlaps best is less similar, so it counts as wrong, here before the hit of the other picture."""
    nearly = [100, 100, 160, 280]
    measured = search(
        scene("a", (HERE, like_anna(0.7)), (nearly, like_anna(0.9)), people=ANNA_HERE),
        scene("b", (HERE, like_anna(0.6)), people=ANNA_HERE),
    )
    assert measured["mAP"] == pytest.approx((1 + 2 / 3) / 2)


def test_scores_weigh_the_order() -> None:
    scenes = scene("a", (HERE, like_anna(0.8)), people=ANNA_HERE), scene("b", (HERE, like_anna(0.9)), score=0.6)
    assert search(*scenes, confidence_weighted=True)["top1"] == 1
    assert search(*scenes)["top1"] == 0


def test_a_tiny_box_is_found_with_less_overlap() -> None:
    """10 x 30 pixels ask for 0.375: an overlap of 0.4 will do, for a large box it will not."""
    tiny, large = [0, 0, 10, 30], [0, 0, 100, 300]
    assert search(scene("a", ([0, 0, 10, 12], ANNA), people={7: tiny}))["top1"] == 1
    assert search(scene("a", ([0, 0, 100, 120], ANNA), people={7: large}))["top1"] == 0


def test_the_querys_own_picture_is_not_searched() -> None:
    assert search(scene("query.jpg", (HERE, ANNA), people=ANNA_HERE), scene("b", (HERE, BEN), people=ANNA_HERE))["mAP"] == 1
    assert search(scene("query.jpg", (HERE, ANNA), people=ANNA_HERE))["mAP"] == 0


def test_cross_camera_leaves_out_the_whole_camera() -> None:
    same = scene("a", (THERE, ANNA), (HERE, BEN), people=ANNA_HERE, camera=1)
    other = scene("b", (HERE, like_anna(0.5)), people=ANNA_HERE, camera=2)
    assert search(same, other)["top1"] == 0
    assert search(same, other, cross_camera=True)["mAP"] == 1


def test_a_query_without_a_true_match_counts_zero_in_the_means() -> None:
    data = EvaluationData(
        (scene("a", (HERE, ANNA), people=ANNA_HERE),),
        (EvaluationQuery("q", 1, 7, ANNA), EvaluationQuery("q", 1, 8, ANNA), EvaluationQuery("q", 1, 9, BEN)),
    )
    assert evaluate(data, protocol="prw")["search"] == pytest.approx(
        {"mAP": 1 / 3, "top1": 1 / 3, "top5": 1 / 3, "top10": 1 / 3, "queries": 3}
    )


def test_pictures_without_people_or_detections() -> None:
    """Nothing found in c lowers the part that was found; d's false alarm ranks, but enters no detection number."""
    scenes = (scene("b"), scene("c", people=ANNA_HERE), scene("d", (HERE, like_anna(0.9))), scene("a", (HERE, ANNA), people=ANNA_HERE))
    assert search(*scenes)["mAP"] == pytest.approx(0.5)
    measured = evaluate(EvaluationData(scenes, ()), protocol="prw")
    assert measured["search"] == {"mAP": 0, "top1": 0, "top5": 0, "top10": 0, "queries": 0}
    assert measured["detection"]["all"] == {"recall": 0.5, "ap": 0.5}


def test_nothing_at_all() -> None:
    measured = evaluate(EvaluationData((), ()), protocol="cuhk-sysu")
    assert measured["search"]["mAP"] == measured["detection"]["all"]["ap"] == 0
    assert (
        search(scene("a"), rerank=CBGM(3, 2), query=EvaluationQuery("q", 1, 7, ANNA, Context(ANNA[None], np.ones(1, np.float32))))["mAP"]
        == 0
    )


def test_unlabelled_people_count_for_detection_only() -> None:
    scenes = (scene("a", (HERE, ANNA), people={7: HERE, UNLABELLED: THERE}),)
    measured = evaluate(EvaluationData(scenes, ()), protocol="prw")["detection"]
    assert measured["all"]["recall"] == 0.5
    assert measured["labelled_only"]["recall"] == 1


def listed(*entries: tuple[str, tuple[float, float, float, float] | None]) -> EvaluationQuery:
    return EvaluationQuery("query.jpg", 1, 7, ANNA, gallery=tuple(GalleryEntry(*entry) for entry in entries))


def test_cuhk_searches_the_list_only() -> None:
    """Anna in the list's box; c, more like her, is not in the list. The box is width and height, cut to whole pixels."""
    scenes = scene("a", (HERE, like_anna(0.8))), scene("b", (HERE, like_anna(0.7))), scene("c", (HERE, ANNA))
    query = listed(("a", (100.9, 100.9, 60.9, 200.9)), ("b", None))
    assert search(*scenes, query=query, protocol="cuhk-sysu")["mAP"] == 1
    assert search(*scenes, query=query, protocol="prw")["mAP"] == 0


def test_cuhk_cuts_boxes_to_whole_pixels() -> None:
    """A width of 100.9 becomes 100, which overlaps 201 pixels by less than half; uncut it would be more."""
    found = scene("a", ([0, 0, 201, 100], ANNA))
    assert search(found, query=listed(("a", (0, 0, 100.9, 100))), protocol="cuhk-sysu")["top1"] == 0
    assert search(found, query=listed(("a", (0, 0, 101, 100))), protocol="cuhk-sysu")["top1"] == 1


def test_a_picture_twice_in_a_list_is_searched_once_and_expected_twice() -> None:
    box = (100, 100, 60, 200)
    once, twice = listed(("a", box)), listed(("a", box), ("a", box))
    assert search(scene("a", (HERE, ANNA)), query=once, protocol="cuhk-sysu")["mAP"] == 1
    assert search(scene("a", (HERE, ANNA)), query=twice, protocol="cuhk-sysu")["mAP"] == 0.5


def test_of_two_true_boxes_in_one_picture_the_first_counts() -> None:
    here = scene("a", (HERE, ANNA), people={7: HERE, 8: THERE})
    twice = replace(here, ids=np.array([7, 7]))
    assert search(twice)["mAP"] == 1
    assert search(replace(twice, boxes=twice.boxes[::-1]))["mAP"] == 0
    first, second = ("a", (100, 100, 60, 200)), ("a", (300, 100, 60, 200))
    assert search(here, query=listed(first, second), protocol="cuhk-sysu")["top1"] == 1
    assert search(here, query=listed(second, first), protocol="cuhk-sysu")["top1"] == 0


BESIDE_BEN = EvaluationQuery("q", 1, 7, ANNA, Context(np.stack([ANNA, BEN]), np.ones(2, np.float32)))
CBGM_SCENES = scene("a", (HERE, like_anna(0.6)), (THERE, BEN), people=ANNA_HERE), scene("b", (HERE, like_anna(0.8)))


@pytest.mark.parametrize(
    ("rerank", "top1"), [(None, 0), ("cbgm", 1), (CBGM(2, 2), 1), (CBGM(1, 2), 0), (CBGM(2, 1), 0), (CBGM(2, 1, "authors"), 0)]
)
def test_cbgm_by_hand(rerank: Any, top1: int) -> None:
    """In a the companion Ben shows which person is Anna; in b a person more like her comes first without him."""
    assert search(*CBGM_SCENES, query=BESIDE_BEN, rerank=rerank)["top1"] == top1


def test_cbgm_variants_by_hand() -> None:
    first, second = CBGM_SCENES
    weak = replace(first, detections=replace(first.detections, scores=np.full(2, 0.7, np.float32)))
    assert search(weak, second, query=BESIDE_BEN, rerank=CBGM(2, 2))["top1"] == 1
    assert search(weak, second, query=BESIDE_BEN, rerank=CBGM(2, 2), confidence_weighted=True)["top1"] == 0  # 1 x 0.7 < 0.8


def test_options_that_do_not_fit() -> None:
    query = EvaluationQuery("q", None, 7, ANNA)
    with pytest.raises(ConfigError, match="protocol"):
        search(scene("a"), protocol="market")
    with pytest.raises(ConfigError, match="cross_camera belongs"):
        search(scene("a"), protocol="cuhk-sysu", cross_camera=True)
    with pytest.raises(ConfigError, match="rerank must be"):
        search(scene("a"), rerank=(8, 3))
    with pytest.raises(DataError, match=r"queries\[0\] has no camera"):
        search(scene("a"), query=query, cross_camera=True)
    with pytest.raises(DataError, match=r"queries\[0\] has no context"):
        search(scene("a"), query=query, rerank=CBGM(3, 2))
    with pytest.raises(DataError, match=r"queries\[0\] has no cuhk_gallery"):
        search(scene("a"), query=query, protocol="cuhk-sysu")
    with pytest.raises(DataError, match=r"queries\[0\].cuhk_gallery\[1\] names 'z'"):
        search(scene("a"), query=listed(("a", None), ("z", None)), protocol="cuhk-sysu")


@pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
def test_the_example_works_with_every_option(options: dict[str, Any]) -> None:
    measured = evaluate_file(EXAMPLE, **options)
    assert measured["search"]["queries"] == 3
    assert 0 < measured["search"]["mAP"] <= 1
    assert measured["detection"]["all"]["recall"] == pytest.approx(11 / 12)  # one of twelve people is missed


def test_unlabelled_people_of_a_file_are_minus_one(tmp_path: Path) -> None:
    file = json.loads(EXAMPLE.read_text())
    file["images"][0]["ids"][1] = 5555
    (tmp_path / "unlabelled.json").write_text(json.dumps(file))
    assert read(tmp_path / "unlabelled.json").scenes[0].ids[1] == UNLABELLED == -1


def test_the_length_of_an_embedding_does_not_count(tmp_path: Path) -> None:
    file = json.loads(EXAMPLE.read_text())
    for image in file["images"]:
        image["embeddings"] = [[3 * value for value in row] for row in image["embeddings"]]
    (tmp_path / "longer.json").write_text(json.dumps(file))
    assert evaluate_file(tmp_path / "longer.json", protocol="prw") == evaluate_file(EXAMPLE, protocol="prw")


def test_an_embedding_of_zeros_stays_zero(tmp_path: Path) -> None:
    file = json.loads(EXAMPLE.read_text())
    file["images"][1]["embeddings"][2] = [0, 0, 0, 0]
    (tmp_path / "zeros.json").write_text(json.dumps(file))
    assert not read(tmp_path / "zeros.json").scenes[1].detections.embeddings[2].any()


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("queries"), "queries: Field required"),
        (lambda file: file["images"][1].pop("boxes"), r"images\[1\].boxes: Field required"),
        (lambda file: file["images"][1]["boxes"][0].pop(), r"images\[1\].boxes\[0\]\[3\]: Field required"),
        (lambda file: file["images"][1]["detections"][2].__setitem__(4, 1.5), r"images\[1\].detections\[2\]\[4\]: .* got 1.5"),
        (lambda file: file["images"][0]["boxes"][0].__setitem__(1, float("nan")), r"images\[0\].boxes\[0\]\[1\]: .* finite"),
        (lambda file: file["images"][0]["boxes"][0].__setitem__(2, 60), r"images\[0\]: boxes\[0\] is empty"),
        (lambda file: file["images"][0]["ids"].pop(), r"images\[0\]: 3 boxes need as many ids, got 2"),
        (lambda file: file["images"][0]["embeddings"].pop(), r"images\[0\]: 3 detections need as many embeddings, got 2"),
        (lambda file: file["images"][2]["embeddings"][1].pop(), r"images\[2\].embeddings\[1\] has 3 numbers"),
        (lambda file: file["images"][3].update(name="street_1.jpg"), r"images\[3\] has the name of images\[0\]"),
        (lambda file: file["images"][0].update(camera="north"), r"images\[0\].camera: .* got 'north'"),
        (lambda file: file["queries"][1].update(id=UNLABELLED_IN_FILES), r"queries\[1\]: id 5555"),
        (lambda file: file["images"][0]["ids"].__setitem__(0, UNLABELLED), r"images\[0\].ids\[0\]: .* got -1"),
        (lambda file: file["queries"][1].pop("context_embeddings"), r"queries\[1\]: .* go together"),
        (lambda file: file["queries"][1]["context_embeddings"].reverse(), r"queries\[1\]: context_embeddings must begin"),
        (
            lambda file: file["queries"][1].update(context_embeddings=[], context_detections=[]),
            r"queries\[1\]: context_embeddings must begin",
        ),
        (lambda file: file["queries"][0]["cuhk_gallery"][2].pop("image"), r"queries\[0\].cuhk_gallery\[2\].image: Field required"),
    ],
)
def test_an_error_in_the_file_names_the_field(change: Change, message: str, tmp_path: Path) -> None:
    file = json.loads(EXAMPLE.read_text())
    change(file)
    (tmp_path / "wrong.json").write_text(json.dumps(file))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "wrong.json")


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"images": [')
    with pytest.raises(DataError, match="Invalid JSON"):
        read(tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="object"):
        read(tmp_path / "list.json")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "absent.json")
