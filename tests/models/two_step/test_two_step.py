"""Any detector with any embedder: order and borders of boxes, unit rows, and refused outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.boxes import Array
from personsearch.errors import ShapeError, WeightsError
from personsearch.models.base import PersonModel
from personsearch.models.two_step.model import TwoStep, crop


class ListedDetector:
    """A detector whose detections are those of the key in an image's first pixel."""

    fingerprint = "d"

    def __init__(self, people: dict[int, list[list[float]]]) -> None:
        self.people = people  # key -> rows x1, y1, x2, y2, score

    def prepare(self, image: Array) -> int:
        return int(image[0, 0, 0])

    def detect(self, prepared: Sequence[int]) -> list[tuple[Array, Array]]:
        rows = [np.array(self.people.get(key, []), float).reshape(-1, 5) for key in prepared]
        return [(people[:, :4], people[:, 4]) for people in rows]


class MeanEmbedder:
    """An embedder whose feature is the crop's mean colour."""

    fingerprint = "e"
    embedding_dim = 3

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def embed(self, crops: Sequence[Array]) -> Array:
        self.batch_sizes.append(len(crops))
        return np.array([crop.reshape(-1, 3).mean(axis=0) for crop in crops], np.float32).reshape(-1, 3)


def scene(key: int, height: int = 10, width: int = 20) -> Array:
    """Red on the left half, blue on the right; the first pixel holds the key."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0], image[:, width // 2 :, 2] = 200, 100
    image[0, 0] = key
    return image


def detect(model: TwoStep, *images: Array) -> list[Any]:
    return model.detect([model.prepare(image) for image in images])


def test_a_two_step_model_is_a_person_model() -> None:
    model = TwoStep(ListedDetector({}), MeanEmbedder(), min_score=0.4, name="both")
    assert isinstance(model, PersonModel)
    assert (model.name, model.min_score, model.embedding_dim) == ("both", 0.4, 3)


def test_people_come_best_first_with_boxes_inside_the_image() -> None:
    people = {1: [[2, 1, 5, 4, 0.3], [12.4, 2, 25, 12, 0.9], [-9, 2, -1, 8, 0.8], [20, 0, 30, 5, 0.7], [8, 2, 12, 6, 0.3]]}
    (detections,) = detect(TwoStep(ListedDetector(people), MeanEmbedder()), scene(1))
    np.testing.assert_allclose(detections.boxes, [[12.4, 2, 20, 10], [2, 1, 5, 4], [8, 2, 12, 6]], rtol=1e-6)  # two are outside
    np.testing.assert_allclose(detections.scores, [0.9, 0.3, 0.3], rtol=1e-6)
    both = np.array([100, 0, 50]) / np.hypot(100, 50)  # half red, half blue
    np.testing.assert_allclose(detections.embeddings, [[0, 0, 1], [1, 0, 0], both], rtol=1e-6)
    assert {detections.boxes.dtype, detections.scores.dtype, detections.embeddings.dtype} == {np.dtype(np.float32)}


def test_people_below_min_score_are_not_embedded() -> None:
    model = TwoStep(ListedDetector({1: [[2, 1, 5, 4, 0.3], [8, 2, 12, 6, 0.7]]}), embedder := MeanEmbedder())
    (detections,) = model.detect([model.prepare(scene(1))], min_score=0.5)
    assert detections.scores.tolist() == pytest.approx([0.7])
    assert embedder.batch_sizes == [1]


def test_crops_of_all_images_are_embedded_in_one_call() -> None:
    embedder = MeanEmbedder()
    people = {1: [[2, 1, 5, 4, 0.5], [12, 1, 15, 4, 0.4]], 3: [[12, 1, 15, 4, 0.5]]}
    first, empty, third = detect(TwoStep(ListedDetector(people), embedder), scene(1), scene(2), scene(3))
    assert embedder.batch_sizes == [3]
    assert first.embeddings.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (empty.boxes.shape, empty.scores.shape, empty.embeddings.shape) == ((0, 4), (0,), (0, 3))
    assert third.embeddings.tolist() == [[0, 0, 1]]


def test_no_images_no_boxes_and_no_crops() -> None:
    model = TwoStep(ListedDetector({}), MeanEmbedder())
    assert model.detect([]) == []
    assert model.embed([], []) == []
    assert model.embed([model.prepare(scene(1))], [np.zeros((0, 4), np.float32)])[0].shape == (0, 3)
    assert model.embed_crops([]).shape == (0, 3)


def test_boxes_of_the_user_are_embedded_as_detected_ones() -> None:
    model = TwoStep(ListedDetector({1: [[2, 1, 5, 4, 0.5], [8, 2, 12, 6, 0.4]]}), MeanEmbedder())
    (detections,) = detect(model, scene(1))
    (rows,) = model.embed([model.prepare(scene(1))], [detections.boxes])
    assert rows.tolist() == detections.embeddings.tolist()
    assert model.embed_crops([scene(1)[1:4, 2:5]]).tolist() == detections.embeddings[:1].tolist()


def test_a_feature_of_zeros_stays_zeros() -> None:
    model = TwoStep(ListedDetector({}), MeanEmbedder())
    assert model.embed_crops([np.zeros((4, 4, 3), np.uint8), scene(0)[1:, :5]]).tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_very_long_and_very_short_features_become_unit_rows(factor: float) -> None:
    class Scaled(MeanEmbedder):
        def embed(self, crops: Sequence[Array]) -> Array:
            return super().embed(crops) * np.float32(factor)

    row = TwoStep(ListedDetector({}), Scaled()).embed_crops([scene(0)])
    assert np.linalg.norm(row) == pytest.approx(1, rel=1e-6)


def test_features_not_finite_or_of_wrong_shape_are_refused() -> None:
    class Broken(MeanEmbedder):
        def embed(self, crops: Sequence[Array]) -> Array:
            return super().embed(crops) * np.nan

    class Wide(MeanEmbedder):
        def embed(self, crops: Sequence[Array]) -> Array:
            return np.ones((len(crops), 4), np.float32)

    with pytest.raises(WeightsError, match="the embedder gave a feature that is not finite"):
        TwoStep(ListedDetector({}), Broken()).embed_crops([scene(0)])
    with pytest.raises(ShapeError, match=r"1 crops need features \(1, 3\), the embedder gave \(1, 4\)"):
        TwoStep(ListedDetector({}), Wide()).embed_crops([scene(0)])


def test_boxes_not_finite_or_of_wrong_shape_are_refused() -> None:
    class Flat(ListedDetector):
        def detect(self, prepared: Sequence[int]) -> list[tuple[Array, Array]]:
            return [(np.zeros(4), np.zeros(1)) for _ in prepared]

    for row in ([np.nan, 1, 5, 4, 0.5], [2, 1, np.inf, 4, 0.5], [2, 1, 5, 4, np.nan]):
        with pytest.raises(WeightsError, match="the detector gave a box or score that is not finite"):
            detect(TwoStep(ListedDetector({1: [row]}), MeanEmbedder()), scene(1))
    with pytest.raises(ShapeError, match=r"the detector gave boxes \(4,\) and scores \(1,\); they must be \(N, 4\) and \(N,\)"):
        detect(TwoStep(Flat({}), MeanEmbedder()), scene(1))


def test_fingerprint_depends_on_both_networks() -> None:
    class Other(MeanEmbedder):
        fingerprint = "f"

    class OtherListed(ListedDetector):
        fingerprint = "f"

    models = [TwoStep(ListedDetector({}), MeanEmbedder()), TwoStep(ListedDetector({}), Other()), TwoStep(OtherListed({}), MeanEmbedder())]
    assert len({model.fingerprint for model in models}) == 3
    assert TwoStep(ListedDetector({}), MeanEmbedder(), min_score=0.9).fingerprint == models[0].fingerprint  # min_score changes no feature


def test_crops_by_hand() -> None:
    image = np.arange(10 * 20 * 3, dtype=np.uint16).reshape(10, 20, 3)
    assert np.array_equal(crop(image, np.array([2.4, 1.6, 5.4, 4.6])), image[2:5, 2:5])
    assert np.array_equal(crop(image, np.array([7.1, 3, 7.3, 9])), image[3:9, 7:8])  # thinner than a pixel
    assert np.array_equal(crop(image, np.array([19.8, 9.7, 20, 10])), image[9:, 19:])  # in the last corner
    assert np.shares_memory(crop(image, np.array([0, 0, 4, 4])), image)


number = st.floats(-30, 30)


@given(number, number, number, number)
def test_a_crop_is_never_empty(x1: float, y1: float, x2: float, y2: float) -> None:
    pixels = crop(np.zeros((7, 5, 3), np.uint8), np.array([x1, y1, x2, y2]))
    assert 1 <= pixels.shape[0] <= 7
    assert 1 <= pixels.shape[1] <= 5
