"""The YOLOX adapter on a network with known output: every box and score is computed by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import ConfigError, WeightsError
from personsearch.models.two_step.yolox_onnx import YoloxDetector, YoloxOptions
from tests.helpers.onnx_files import PERSON, SIZE, reid, yolox

BLUE = (0, 0, 255)
LEVEL = (255 + 114) / 2 / 255  # mean of the first channel over 255, half blue and half grey, if that channel is blue


def blue_image() -> np.ndarray:
    """64 high, 128 wide: half its size on the canvas, of which it fills the upper half."""
    return np.full((64, 128, 3), BLUE, np.uint8)


def test_box_score_and_colour_order_by_hand(tmp_path: Path) -> None:
    detector = YoloxDetector(yolox(tmp_path / "yolox.onnx", PERSON))
    ((boxes, scores),) = detector.detect([detector.prepare(blue_image())])
    np.testing.assert_allclose(boxes, [[32, -16, 64, 48]], rtol=1e-6)  # float32; twice (16, -8, 32, 24)
    np.testing.assert_allclose(scores, [0.8 * LEVEL], rtol=1e-6)


def test_every_stride_has_its_rows(tmp_path: Path) -> None:
    rows = {8: (0, 0, 0, 0, 1, 0.9), 66: (0, 0, 0, 0, 1, 0.8), 82: (0, 0, 0, 0, 1, 0.7)}  # cells (0, 1), (2, 0), (0, 1)
    detector = YoloxDetector(yolox(tmp_path / "yolox.onnx", rows, classes=1))
    ((boxes, scores),) = detector.detect([detector.prepare(np.full((SIZE, SIZE, 3), 255, np.uint8))])
    np.testing.assert_allclose(boxes, [[-4, 4, 4, 12], [24, -8, 40, 8], [-16, 16, 16, 48]], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7], rtol=1e-6)


def test_threshold_and_class(tmp_path: Path) -> None:
    file = yolox(tmp_path / "yolox.onnx", PERSON)
    for options, count in ((YoloxOptions(score_threshold=0.57), 1), (YoloxOptions(score_threshold=0.58), 0)):  # 0.8 x LEVEL = 0.579
        detector = YoloxDetector(file, options)
        ((boxes, scores),) = detector.detect([detector.prepare(blue_image())])
        assert (boxes.shape, scores.shape) == ((count, 4), (count,))
    detector = YoloxDetector(file, YoloxOptions(person_class=1))
    np.testing.assert_allclose(detector.detect([detector.prepare(blue_image())])[0][1], [0.3 * LEVEL], rtol=1e-6)


def test_overlapping_boxes_are_one_person(tmp_path: Path) -> None:
    # of stride 32, cell (0, 0): 32 x 32 at the canvas's corner, and the same 8 further right: IoU 24 / 40 = 0.6
    rows = {80: (0.5, 0.5, 0, 0, 1, 0.8), 81: (-0.25, 0.5, 0, 0, 1, 0.9)}
    file = yolox(tmp_path / "yolox.onnx", rows, classes=1)
    for nms_iou, scores in ((0.5, [0.9]), (0.65, [0.9, 0.8])):
        detector = YoloxDetector(file, YoloxOptions(nms_iou=nms_iou))
        ((_, detected),) = detector.detect([detector.prepare(np.full((SIZE, SIZE, 3), 255, np.uint8))])
        np.testing.assert_allclose(detected, scores, rtol=1e-6)


def test_no_images_and_no_people(tmp_path: Path) -> None:
    detector = YoloxDetector(yolox(tmp_path / "yolox.onnx", {}))
    assert detector.detect([]) == []
    ((boxes, scores),) = detector.detect([detector.prepare(blue_image())])
    assert (boxes.shape, boxes.dtype, scores.shape, scores.dtype) == ((0, 4), np.float32, (0,), np.float32)


@pytest.mark.parametrize("batch", [1, 2, "N"])
def test_detections_do_not_depend_on_the_batch(tmp_path: Path, batch: int | str) -> None:
    detector = YoloxDetector(yolox(tmp_path / "yolox.onnx", PERSON, batch=batch))
    images = [np.full((20 + 9 * i, 90 - 7 * i, 3), 40 * i, np.uint8) for i in range(5)]
    together = detector.detect([detector.prepare(image) for image in images])
    for image, (boxes, scores) in zip(images, together, strict=True):
        ((own_boxes, own_scores),) = detector.detect([detector.prepare(image)])
        assert own_boxes.tolist() == boxes.tolist()
        assert own_scores.tolist() == scores.tolist()


def test_tiles_add_views_and_drop_people_cut_by_inner_borders(tmp_path: Path) -> None:
    # a second person at the right border of the canvas: stride 8, cell (7, 0), centre (60, 4), 16 x 8
    rows = {65: (0.5, 0.5, 0, math.log(2), 1.0, 0.8), 7: (0.5, 0.5, math.log(2), 0, 1.0, 0.5)}
    detector = YoloxDetector(yolox(tmp_path / "yolox.onnx", rows, classes=1), YoloxOptions(tiles=(1, 2)))
    ((boxes, scores),) = detector.detect([detector.prepare(np.full((100, 180, 3), 255, np.uint8))])
    # tiles are 100 wide and start at 0 and 80, canvas x 1.5625; the whole image is 64 x 36 on the canvas
    first, second = [25, -12.5, 50, 37.5], [105, -12.5, 130, 37.5]
    whole = [45, -8 * 100 / 36, 90, 24 * 100 / 36]
    right_of_second, right_of_whole = [161.25, 0, 186.25, 12.5], [52 * 2.8125, 0, 68 * 2.8125, 8 * 100 / 36]
    level = (36 * 255 + 28 * 114) / 64 / 255
    np.testing.assert_allclose(boxes, [first, second, whole, right_of_second, right_of_whole], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.8, 0.8, 0.8 * level, 0.5, 0.5 * level], rtol=1e-6)


def test_other_files_are_refused_when_opened(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" * 50)
    with pytest.raises(WeightsError, match="is not an ONNX file"):
        YoloxDetector(photo)
    with pytest.raises(WeightsError, match=r"not a YOLOX detector: an input of 64 x 64 should give \(1, 84, 5 \+ classes\), got \(1, 3\)"):
        YoloxDetector(reid(tmp_path / "reid.onnx", size=(64, 64)))
    with pytest.raises(WeightsError, match=r"sides of its input must be multiples of 32, got \(8, 4\)"):
        YoloxDetector(reid(tmp_path / "small.onnx"))
    with pytest.raises(WeightsError, match="needs one input"):
        YoloxDetector(reid(tmp_path / "reid_nhwc.onnx", layout="nhwc", size=(64, 64)))


def test_scores_without_sigmoid_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"its scores are -2\.5\.\.0, not 0\.\.1"):
        YoloxDetector(yolox(tmp_path / "yolox.onnx", {3: (0, 0, 0, 0, 0, -2.5)}, classes=1))


def test_options_that_do_not_fit_the_file(tmp_path: Path) -> None:
    fixed, free = yolox(tmp_path / "fixed.onnx", PERSON), yolox(tmp_path / "free.onnx", PERSON, size=("H", "W"))
    with pytest.raises(ConfigError, match=r"person_class is 2, but .* has 2 classes"):
        YoloxDetector(fixed, YoloxOptions(person_class=2))
    with pytest.raises(ConfigError, match=r"size is \(32, 64\), but .* takes \(64, 64\)"):
        YoloxDetector(fixed, YoloxOptions(size=(32, 64)))
    with pytest.raises(ConfigError, match="takes inputs of any size; set size"):
        YoloxDetector(free)
    with pytest.raises(ConfigError, match=r"size is \(64, 65\); height and width must be multiples of 32"):
        YoloxDetector(free, YoloxOptions(size=(64, 65)))
    detector = YoloxDetector(free, YoloxOptions(size=(64, 64)))
    assert len(detector.detect([detector.prepare(blue_image())])[0][1]) == 1


def test_fingerprint_depends_on_content_and_options(tmp_path: Path) -> None:
    file, copy = yolox(tmp_path / "yolox.onnx", PERSON), yolox(tmp_path / "copy.onnx", PERSON)
    other = yolox(tmp_path / "other.onnx", {65: (0, 0, 0, 0, 1, 0.8, 0.3)})
    first = YoloxDetector(file).fingerprint
    assert YoloxDetector(copy).fingerprint == first
    assert len({first, YoloxDetector(other).fingerprint, YoloxDetector(file, YoloxOptions(nms_iou=0.4)).fingerprint}) == 3
