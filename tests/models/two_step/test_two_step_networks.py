"""The adapters with real public networks, on street photos."""

import re
from pathlib import Path

import numpy as np
import pytest

from personsearch import images
from personsearch.boxes import iou
from personsearch.errors import WeightsError
from personsearch.models.two_step import TwoStep
from personsearch.models.two_step.reid_onnx import ReidEmbedder, ReidOptions
from personsearch.models.two_step.yolox_onnx import YoloxDetector

pytestmark = pytest.mark.extra

BOX = re.compile(r"Bounding box for object .*: \((\d+), (\d+)\) - \((\d+), (\d+)\)")
INTEL = ReidOptions(layout="nhwc", channels="bgr", scale=1, mean=(0, 0, 0), std=(1, 1, 1))


def true_boxes(photo: Path) -> np.ndarray:
    text = (photo.parent.parent / "Annotation" / f"{photo.stem}.txt").read_text()
    return np.array(BOX.findall(text), np.float32).reshape(-1, 4)


def test_yolox_detects_98_percent_on_street_photos(shared: Path) -> None:
    detector = YoloxDetector(shared / "teachers/yolox_nano_416x416.onnx")
    detected = people = 0
    for photo in sorted((shared / "data/pennfudan/PNGImages").glob("*.png")):
        ((boxes, _),) = detector.detect([detector.prepare(images.load(photo))])
        overlaps = iou(true_boxes(photo), boxes)
        detected += int((overlaps.max(axis=1, initial=0) >= 0.5).sum())
        people += len(overlaps)
    assert people == 423
    assert round(detected / people, 2) >= 0.98  # as measured for this network


@pytest.mark.parametrize(
    ("file", "options", "dim"),
    [
        ("osnet_x0_25_msmt17.onnx", ReidOptions(), 512),
        ("person-reidentification-retail-0248.onnx", INTEL, 256),
    ],
)
def test_every_embedder_recognizes_a_person(shared: Path, file: str, options: ReidOptions, dim: int) -> None:
    teachers = shared / "teachers"
    model = TwoStep(YoloxDetector(teachers / "yolox_nano_416x416.onnx"), ReidEmbedder(teachers / file, options))
    assert model.embedding_dim == dim
    # numbers 1 and 19 of the ground truth, in frames 1 and 4 of the same sequence, near enough for one box each
    boxes = np.array([[260, 450, 362, 712], [1686, 387, 1857, 732]], np.float32)
    frames = [images.load(shared / f"data/mot17_mini/MOT17-09-FRCNN/img1/00000{number}.jpg") for number in (1, 4)]
    first, fourth = model.embed([model.prepare(frame) for frame in frames], [boxes, boxes])
    assert (first @ fourth.T).argmax(axis=1).tolist() == [0, 1]


def test_real_networks_in_the_wrong_role_are_refused(shared: Path) -> None:
    teachers = shared / "teachers"
    with pytest.raises(WeightsError, match=r"osnet.* is not a YOLOX detector: .* got \(1, 512\)"):
        YoloxDetector(teachers / "osnet_x0_25_msmt17.onnx")
    with pytest.raises(WeightsError, match=r"0248.* is not a YOLOX detector: it needs one input"):
        YoloxDetector(teachers / "person-reidentification-retail-0248.onnx")
    with pytest.raises(WeightsError, match=r"yolox.* is not a re-identification network: .* got \(1, 3549, 85\)"):
        ReidEmbedder(teachers / "yolox_nano_416x416.onnx")
