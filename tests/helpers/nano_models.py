"""A small form of the bundled model with random weights."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from personsearch.boxes import Array
from personsearch.models.folder import UNUSED
from personsearch.models.nano.detector import NanoHead, NanoNetwork
from personsearch.models.nano.model import DETECTOR, EMBEDDER, build
from personsearch.models.nano.options import NanoConfig, NanoOptions, NanoReidOptions
from personsearch.weights import save_model

OPTIONS = NanoOptions(width=8, channels=8, short_side=64, long_side=96)
REID = NanoReidOptions(backbone={"name": "shufflenet", "width": 0.5}, height=32, width=16, embedding_dim=24)
CONFIG = NanoConfig(name="small", min_score=0.2, detector=OPTIONS, embedder=REID)


def lively(network: nn.Module) -> nn.Module:
    """Random weights with which the output depends on the image, and half of the cells hold a person."""
    torch.manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            nn.init.normal_(part.bias, std=0.1) if part.bias is not None else None
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
        if isinstance(part, NanoHead):
            part.score.weight.data *= 0.1
            part.box.weight.data *= 0.01
    if isinstance(network, NanoNetwork):
        network.backbone.stem[0].weight.data /= 128  # type: ignore[assignment]  # its input is 0..255
    return network.eval()


def tensors(config: NanoConfig = CONFIG) -> dict[str, Array]:
    networks = zip((DETECTOR, EMBEDDER), build(config), strict=True)
    named = [(prefix + name, tensor) for prefix, network in networks for name, tensor in lively(network).state_dict().items()]
    return {name: tensor.numpy().astype(np.float16) for name, tensor in named if not name.endswith(UNUSED)}


def write(folder: Path, arrays: dict[str, Array] | None = None, config: NanoConfig = CONFIG) -> Path:
    save_model(folder, config.model_dump(mode="json"), tensors(config) if arrays is None else arrays)
    return folder
