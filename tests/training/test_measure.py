"""A training's own measure ranks as the model's paper does."""

from typing import Any

import numpy as np

from personsearch.training.data.dataset import Sample
from personsearch.training.measure import search_scores
from tests.helpers.fakes import RED, RectangleModel, scene

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
