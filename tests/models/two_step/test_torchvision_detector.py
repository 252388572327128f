"""torchvision's detectors behind the `Detector` protocol."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import detection, resnet18

from personsearch.errors import ConfigError, WeightsError
from personsearch.models.two_step.torchvision_detector import TorchvisionDetector, open_torchvision
from personsearch.models.two_step.torchvision_options import TorchvisionFileOptions, TorchvisionOptions

NAME = "ssdlite320_mobilenet_v3_large"


class FixedDetections(detection.FCOS):
    """Gives the same three boxes for every image; the first score is the mean of the red channel."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.shapes: list[list[tuple[int, ...]]] = []

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        self.shapes.append([tuple(image.shape) for image in images])
        boxes = torch.tensor([[0.0, 0, 4, 8], [1, 1, 5, 9], [2, 2, 6, 9]])
        return [
            {"boxes": boxes, "labels": torch.tensor([1, 2, 1]), "scores": torch.stack([image[0].mean(), *torch.tensor([0.9, 0.05])])}
            for image in images
        ]


@pytest.fixture(scope="module")
def ssd() -> nn.Module:
    torch.manual_seed(0)
    return detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()


def test_label_and_threshold_by_hand() -> None:
    detector = TorchvisionDetector(FixedDetections())
    image = np.zeros((10, 12, 3), np.uint8)
    image[..., 0] = 51  # 0.2 of 255, in the red channel
    ((boxes, scores),) = detector.detect([detector.prepare(image)])
    assert boxes.tolist() == [[0, 0, 4, 8]]  # label 2 is another class, 0.05 is below the threshold
    np.testing.assert_allclose(scores, [0.2], rtol=1e-6)
    ((boxes, scores),) = TorchvisionDetector(FixedDetections(), TorchvisionOptions(person_label=2)).detect([detector.prepare(image)])
    assert boxes.tolist() == [[1, 1, 5, 9]]


def test_only_images_of_one_shape_share_a_batch() -> None:
    network = FixedDetections()
    detector = TorchvisionDetector(network)
    images = [np.full((10, 12 + i % 2, 3), 40 * i, np.uint8) for i in range(5)]
    detections = detector.detect([detector.prepare(image) for image in images])
    assert network.shapes == [[(3, 10, 12)] * 3, [(3, 10, 13)] * 2]
    np.testing.assert_allclose([scores[0] for _, scores in detections if len(scores)], np.array([40, 80, 120, 160]) / 255, rtol=1e-6)


def test_no_images_and_no_people() -> None:
    detector = TorchvisionDetector(FixedDetections())
    assert detector.detect([]) == []
    ((boxes, scores),) = detector.detect([detector.prepare(np.zeros((9, 9, 3), np.uint8))])
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_a_file_gives_the_detections_of_its_network(ssd: nn.Module, tmp_path: Path) -> None:
    save_file(ssd.state_dict(), tmp_path / "ssd.safetensors")
    options = TorchvisionFileOptions(network=NAME, num_classes=3, score_threshold=0.3)
    detector = open_torchvision(tmp_path / "ssd.safetensors", options)
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    ((boxes, scores),) = detector.detect([detector.prepare(image)])
    with torch.inference_mode():
        (expected,) = ssd([torch.from_numpy(image).permute(2, 0, 1) / 255])
    people = (expected["labels"] == 1) & (expected["scores"] >= 0.3)
    assert people.any()
    assert boxes.tolist() == expected["boxes"][people].tolist()
    assert scores.tolist() == expected["scores"][people].tolist()


def test_eps_of_batch_norm_can_be_set(ssd: nn.Module, tmp_path: Path) -> None:
    save_file(ssd.state_dict(), tmp_path / "ssd.safetensors")
    detector = open_torchvision(tmp_path / "ssd.safetensors", TorchvisionFileOptions(network=NAME, num_classes=3, norm_eps=0))
    assert {part.eps for part in detector.network.modules() if isinstance(part, nn.BatchNorm2d)} == {0}


def test_a_network_of_another_kind_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"ResNet is not a detector of torchvision\.models\.detection"):
        TorchvisionDetector(resnet18(weights=None))


def test_files_that_do_not_fit_are_refused(ssd: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "ssd.safetensors"
    save_file(ssd.state_dict(), file)
    with pytest.raises(WeightsError, match="does not fit a SSD"):
        open_torchvision(file, TorchvisionFileOptions(network=NAME, num_classes=91))
    with pytest.raises(ConfigError, match="network: torchvision has no detector 'resnet50'"):
        open_torchvision(file, TorchvisionFileOptions(network="resnet50"))
    torch.save(ssd.state_dict(), tmp_path / "ssd.pth")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        open_torchvision(tmp_path / "ssd.pth", TorchvisionFileOptions(network=NAME))


def test_fingerprint_depends_on_weights_settings_and_options(ssd: nn.Module) -> None:
    ssd = copy.deepcopy(ssd)
    first = TorchvisionDetector(ssd).fingerprint
    assert TorchvisionDetector(ssd).fingerprint == first
    other_options = TorchvisionDetector(ssd, TorchvisionOptions(score_threshold=0.2)).fingerprint
    ssd.nms_thresh += 0.1  # type: ignore[assignment]
    other_setting = TorchvisionDetector(ssd).fingerprint
    ssd.nms_thresh -= 0.1  # type: ignore[assignment]
    with torch.no_grad():
        next(ssd.parameters()).view(-1)[0] += 1
    other_weights = TorchvisionDetector(ssd).fingerprint
    assert len({first, other_options, other_setting, other_weights}) == 4
