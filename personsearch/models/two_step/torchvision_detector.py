"""A network of torchvision.models.detection as the detector of a two-step model."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection, get_model, list_models
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.ssd import SSD

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.models.folder import UNUSED, load_strict
from personsearch.models.two_step.torchvision_options import TorchvisionFileOptions, TorchvisionOptions
from personsearch.weights import fingerprint, read_tensors

FAMILIES = (GeneralizedRCNN, detection.FCOS, detection.RetinaNet, SSD)
# settings that decide the detections but are neither in the weights nor in the printed form of these networks
SETTINGS = ("score_thresh", "nms_thresh", "detections_per_img", "topk_candidates", "eps", "_pre_nms_top_n", "_post_nms_top_n")


class TorchvisionDetector:
    """Detects people with any Faster, Mask or Keypoint R-CNN, FCOS, RetinaNet or SSD of torchvision.

    Only images of one shape share a batch, so the detections of an image do not depend on its batch.

    Args:
        network: Network with its weights; moved to `device` and set to eval mode here.
        options: Label and threshold.
        device: Where it runs: "cpu", "cuda" or "cuda:1".

    Raises:
        WeightsError: the network is of another kind.
    """

    def __init__(self, network: nn.Module, options: TorchvisionOptions | None = None, *, device: str = "cpu") -> None:
        if not isinstance(network, FAMILIES):
            raise WeightsError(
                f"{type(network).__name__} is not a detector of torchvision.models.detection; pass one of {_names(FAMILIES)}, "
                "or write a Detector for it (personsearch.models.two_step.Detector)"
            )
        self.options = options or TorchvisionOptions()
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.fingerprint = _network_fingerprint(self.network, self.options)

    def prepare(self, image: Array) -> Tensor:
        """(3, H, W) uint8 of an RGB uint8 image (H, W, 3); the network itself resizes and normalises."""
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))

    def detect(self, prepared: Sequence[Tensor]) -> list[tuple[Array, Array]]:
        """Boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, of each image."""
        groups: dict[torch.Size, list[int]] = defaultdict(list)
        for i, image in enumerate(prepared):
            groups[image.shape].append(i)
        detections: dict[int, tuple[Array, Array]] = {}
        with torch.inference_mode():
            for images in groups.values():
                outputs = self.network([prepared[i].to(self.device).float() / 255 for i in images])
                detections.update((i, self._people(output)) for i, output in zip(images, outputs, strict=True))
        return [detections[i] for i in range(len(prepared))]

    def _people(self, output: dict[str, Tensor]) -> tuple[Array, Array]:
        keep = (output["labels"] == self.options.person_label) & (output["scores"] >= self.options.score_threshold)
        return output["boxes"][keep].cpu().numpy(), output["scores"][keep].cpu().numpy()


def open_torchvision(file: Path, options: TorchvisionFileOptions, *, device: str = "cpu") -> TorchvisionDetector:
    """The detector of a safetensors file, which holds the state dict of torchvision's network `options.network`.

    Raises:
        ConfigError: torchvision has no detector of this name.
        WeightsError: the file is missing, is not safetensors, or does not fit the network.
    """
    known = list_models(module=detection)
    if options.network not in known:
        raise ConfigError(f"network: torchvision has no detector {options.network!r}; known: {', '.join(known)}")
    tensors = {name: tensor for name, tensor in read_tensors(file).items() if not name.endswith(UNUSED)}
    network = get_model(options.network, weights=None, weights_backbone=None, num_classes=options.num_classes)
    load_strict(network, tensors, source=str(file))
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and options.norm_eps is not None:
            part.eps = options.norm_eps
    return TorchvisionDetector(network, options, device=device)


def _network_fingerprint(network: nn.Module, options: TorchvisionOptions) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith(UNUSED):
            digest.update(name.encode() + str(tuple(tensor.shape)).encode() + tensor.cpu().numpy().tobytes())
    settings = [str(getattr(part, name)) for part in network.modules() for name in SETTINGS if hasattr(part, name)]
    return fingerprint({"weights": digest.hexdigest(), "network": str(network), "settings": settings, **options.model_dump()}, [])


def _names(classes: tuple[type, ...]) -> str:
    return ", ".join(family.__name__ for family in classes)
