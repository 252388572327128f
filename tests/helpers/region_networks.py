"""Small networks on Faster R-CNN, images for them, and what tests do with both."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from personsearch.boxes import Array
from personsearch.models.base import PersonModel
from personsearch.models.dkd import DKD, DKDConfig
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.scene import SceneModel
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.models.trident import Trident, TridentConfig
from personsearch.options import Precision
from personsearch.results import Detections
from personsearch.weights import save_model
from tests.data.deterministic_weights import fill
from tests.helpers.seqnet_golden import picture

TINY: dict[str, Any] = {
    "backbone": {"name": "resnet18", "width": 0.25},
    "short_side": 160,
    "long_side": 256,
    "embedding_dim": 32,
    "proposals": {"after_nms": 40},
}
KINDS: dict[str, dict[str, Any]] = {
    "oim": {"architecture": "oim"},
    "nae": {"architecture": "nae"},
    "nae+": {"architecture": "nae", "pixelwise": True},
}
PEOPLE, TALL, EMPTY = picture(120, 160, 1), picture(160, 120, 2), np.zeros((120, 160, 3), np.uint8)


def detect(model: PersonModel, *images: Array) -> list[Detections]:
    """Detections of images, in one call."""
    return model.detect([model.prepare(image) for image in images])


def tiny_rcnn(kind: str = "nae", **changes: Any) -> SceneModel:
    """An OIM, NAE or NAE+ that keeps every person after NMS."""
    torch.manual_seed(0)
    network = RCNN(RCNNConfig(**TINY | KINDS[kind] | {"keep_score": 0.0} | changes))
    return SceneModel(network, name=kind, fingerprint=kind, min_score=0.5)


def tiny_seqnet(precision: Precision = "float32", **changes: Any) -> SceneModel:
    """A SeqNet that detects people in PEOPLE and TALL, and none in EMPTY."""
    torch.manual_seed(0)
    network = SeqNet(SeqNetConfig(**TINY | changes))
    with torch.no_grad():
        network.first.classes.bias[1] += 5.5
    return SceneModel(network, name="tiny", fingerprint="", min_score=0.5, precision=precision)


def dkd_student(**changes: Any) -> DKD:
    """A student that detects people in PEOPLE and TALL, and none in EMPTY; its batch norms are as after training."""
    torch.manual_seed(0)
    network = DKD(DKDConfig(**TINY | {"embedding_dim": 128} | changes))
    with torch.no_grad():
        network.detection.classes.bias[1] += 5.5
    for part in network.reid.modules():
        if isinstance(part, nn.BatchNorm1d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return network.eval()


def tiny_dkd(**changes: Any) -> SceneModel:
    """The student as a model."""
    return SceneModel(dkd_student(**changes), name="tiny", fingerprint="", min_score=0.5)


def trident_network(**changes: Any) -> Trident:
    """A Trident with the weights of tests/data; it takes nearly every proposal for a person."""
    network = Trident(TridentConfig(**TINY | changes))
    fill(network.state_dict(), "seqnet")
    return network.eval()


def tiny_trident(precision: Precision = "float32", **changes: Any) -> SceneModel:
    """The Trident as a model."""
    return SceneModel(
        trident_network(**changes), name="tiny", fingerprint="f", min_score=0.5, precision=precision, confidence_weighted=True
    )


def tensors_of(network: nn.Module) -> dict[str, Array]:
    """A network's tensors by name, without batch norm's counters."""
    return {name: tensor.numpy() for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def save_network(folder: Path, network: nn.Module, config: dict[str, Any]) -> Path:
    """A model folder of the network."""
    save_model(folder, config, tensors_of(network))
    return folder
