"""A training's own measure ranks as the model's paper does, or as it is asked to."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from personsearch.datasets.people import Picture, QueryPerson, SearchSet
from personsearch.training.data.dataset import Sample
from personsearch.training.measure import load_test_set, scores_of_test_set, search_scores
from personsearch.training.recipes.catalogue import recipes
from personsearch.training.run import TrainOptions, _measurement
from tests.helpers.fakes import BLUE, RED, RectangleModel, scene

# A stranger of the same red is 95 high (score 0.95); the person is 60 and 80 high. Of equal cosines the first ranks first.
PICTURES = [scene((RED, 10, 10, 60)), scene((RED, 10, 10, 80)), scene((RED, 100, 20, 95))]
BOXES = [[10, 10, 30, 70], [10, 10, 30, 90], [100, 20, 120, 115]]
IDENTITIES = [0, 0, -1]


class ThreePictures:
    identities = 1

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Sample:
        return Sample(PICTURES[number], np.array([BOXES[number]], np.float32), np.array([IDENTITIES[number]]), None)


def test_the_measure_of_a_training_follows_the_paper() -> None:
    model: Any = RectangleModel()
    dataset: Any = ThreePictures()
    plain = search_scores(model, dataset)
    assert (plain["confidence_weighted"], plain["top1"]) == (False, 1.0)
    model.confidence_weighted = True
    weighted = search_scores(model, dataset)
    assert (weighted["confidence_weighted"], weighted["top1"]) == (True, 0.0)


@pytest.mark.parametrize("paper", [False, True])
def test_the_measure_takes_another_rule_by_the_options_name(paper) -> None:
    model: Any = RectangleModel()
    model.confidence_weighted = paper
    dataset: Any = ThreePictures()
    for rule, top1 in ((False, 1.0), (True, 0.0)):
        scores = search_scores(model, dataset, confidence_weighted=rule)
        assert (scores["confidence_weighted"], scores["top1"]) == (rule, top1)


def test_a_test_set_is_measured_by_either_rule(tmp_path: Path) -> None:
    model: Any = RectangleModel()
    pictures = []
    for number, image in enumerate(PICTURES):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        boxes, identities = np.array([BOXES[number]], np.float32), np.array([IDENTITIES[number]])
        pictures.append(Picture(tmp_path / f"{number}.png", boxes, identities))
    queries = tuple(QueryPerson(picture.path, picture.boxes[0], 0) for picture in pictures[:2])
    data = SearchSet(tuple(pictures), queries)
    assert scores_of_test_set(model, data)["top1"] == 1.0
    assert scores_of_test_set(model, data, confidence_weighted=True)["top1"] == 0.0


def test_regions_to_ignore_counted_against_a_model_in_training(tmp_path: Path) -> None:
    """PoseTrack21: an unannotated person detected in such a region does not count as a wrong hit, as in `evaluate`."""
    model: Any = RectangleModel()
    shown = [*PICTURES[:2], scene((RED, 100, 20, 95), (BLUE, 10, 10, 40))]
    annotated = [*zip(BOXES[:2], IDENTITIES[:2], strict=True), ([10, 10, 30, 50], 1)]  # blue in place of the stranger
    pictures = []
    for number, (image, (box, identity)) in enumerate(zip(shown, annotated, strict=True)):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        pictures.append(Picture(tmp_path / f"{number}.png", np.array([box], np.float32), np.array([identity])))
    queries = tuple(QueryPerson(picture.path, picture.boxes[0], 0) for picture in pictures[:2])
    counted = scores_of_test_set(model, SearchSet(tuple(pictures), queries), confidence_weighted=True)
    assert (counted["top1"], counted["recall"]) == (0.0, 1.0)
    assert counted["ap"] < 1
    around = np.array([[95, 15], [125, 15], [125, 120], [95, 120]], np.float32)
    pictures[2] = replace(pictures[2], ignore_polygons=(around,))
    ignored = scores_of_test_set(model, SearchSet(tuple(pictures), queries), confidence_weighted=True)
    assert (ignored["top1"], ignored["recall"], ignored["ap"]) == (1.0, 1.0, 1.0)


def test_cuhk_sysu_is_measured_in_the_papers_galleries_of_100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.datasets.cuhk_sysu.load_test", lambda *arguments: arguments)
    assert load_test_set("cuhk-sysu", tmp_path) == (tmp_path, 100)


def test_the_option_reaches_the_measure_of_a_training() -> None:
    options = TrainOptions(test_data=cast(Any, ThreePictures()), confidence_weighted=True)
    measure = _measurement(recipes()["alignps-prw-scratch"], options)
    assert measure is not None
    assert measure(cast(Any, RectangleModel()))["top1"] == 0.0
