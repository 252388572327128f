"""The strong re-id baseline with BNNeck, which embeds crops of people: DKD's teacher, and the R of its [D; R].

Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification (CVPRW 2019), which "Diverse
Knowledge Distillation for End-to-End Person Search" (DKD), Sec. 3.2, uses as its external re-id model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torchvision.ops import roi_align

from personsearch.boxes import Array
from personsearch.models.config import CROP, OMNI, BackboneConfig
from personsearch.models.folder import load_strict
from personsearch.models.parts.crop_backbone import STRIDE, CropBackbone
from personsearch.models.parts.layers import SHORTEST
from personsearch.models.parts.omni_backbone import OmniBackbone
from personsearch.models.parts.resnet import Backbone, build_backbone
from personsearch.models.rcnn import region_input
from personsearch.options import Settings, parse
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors

CROPS_AT_ONCE = 32
LAST_STRIDES = {1: 16, 2: 32}  # pixels of a cell of the last map, by `last_stride`
ADAPTIVE = 0  # samples of RoIAlign: as many as pixels in a cell, so that large crops are averaged, not subsampled


class ReidConfig(Settings):
    """The config.json of a crop network; defaults are those of DKD's teacher."""

    architecture: Literal["reid"] = "reid"
    name: str = "reid"  # shown to users
    trained_on: str | None = None  # data set, shown to users
    backbone: BackboneConfig = BackboneConfig()
    height: int = Field(default=256, ge=32, le=4096)  # pixels; every crop is resized to height x width
    width: int = Field(default=128, ge=16, le=4096)
    embedding_dim: int = Field(default=2048, ge=2, le=16384)
    bnneck: bool = True  # batch norm between feature and classifier (DKD's Table 6)
    last_stride: Literal[1, 2] = 1  # stride of the last stage (Luo et al., "Last Stride"); 1 needs a ResNet
    pooling: Literal["mean", "weighted"] = "mean"  # of the last map; weighted: a learned weight of each cell and channel
    identities: int = Field(default=0, ge=0, le=10_000_000)  # outputs of the classifier, which a DKD student learns from

    @model_validator(mode="after")
    def _stride_of_a_resnet(self) -> "ReidConfig":
        if self.last_stride == 1 and not self.backbone.name.startswith("resnet"):
            raise ValueError(f"last_stride 1 is for ResNets; {self.backbone.name} needs 2")
        return self


class ReidNetwork(nn.Module):
    """Backbone, mean over the map, BNNeck, and a classifier of the training identities."""

    def __init__(self, config: ReidConfig) -> None:
        super().__init__()
        self.size = (config.height, config.width)
        self.backbone = crop_backbone(config.backbone)
        if config.last_stride == 1:
            keep_size(self.backbone.get_submodule("layer4"))
        channels = self.backbone.channels[max(self.backbone.channels)]
        self.pool = WeightedPool(channels, last_map(config)) if config.pooling == "weighted" else MeanPool()
        self.neck = neck(channels, config.embedding_dim, norm=config.bnneck)
        self.classifier = classifier(config.embedding_dim, config.identities) if config.identities else None

    def forward(self, crops: Tensor) -> Tensor:
        """(N, D) unit rows, float32, of (N, 3, height, width) normalised crops (see `crops_of`)."""
        return F.normalize(self.features(crops), eps=SHORTEST)

    def features(self, crops: Tensor) -> Tensor:
        """(N, D) rows of any norm, float32: the input of the classifier."""
        maps = self.backbone(crops)
        features: Tensor = self.neck(self.pool(maps[max(maps)]))
        return features.float()


class MeanPool(nn.Module):
    """The mean over a map."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C) of (N, C, h, w)."""
        return maps.mean(dim=(2, 3))


class WeightedPool(nn.Module):
    """A sum over a map with a learned weight of each cell and channel, which begins as the mean.

    Source: Chen et al., MobileFaceNets (arXiv 1804.07573), Sec. 3.2, global depthwise convolution.
    """

    def __init__(self, channels: int, cells: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, *cells), 1 / (cells[0] * cells[1])))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C) of (N, C, h, w)."""
        return (maps * self.weight).sum(dim=(2, 3))


def crop_backbone(config: BackboneConfig) -> CropBackbone | Backbone:
    """The backbone of a crop network."""
    kinds: dict[str, type[CropBackbone]] = {CROP: CropBackbone, OMNI: OmniBackbone}
    return kinds[config.name](config.width) if config.name in kinds else build_backbone(config)


def last_map(config: ReidConfig) -> tuple[int, int]:
    """Rows and columns of the backbone's last map."""
    stride = STRIDE if config.backbone.name in (CROP, OMNI) else LAST_STRIDES[config.last_stride]
    return -(-config.height // stride), -(-config.width // stride)


def neck(channels: int, dim: int, *, norm: bool = True) -> nn.Sequential:
    """BNNeck, from a pooled map to the feature that is classified and compared: a batch norm whose shift stays 0.

    A linear layer comes first if the backbone and the embedding differ in size, which the papers' do not; it has a shift of its own if
    no batch norm follows.

    Source: Luo et al. (CVPRW 2019), Sec. 3.5.
    """
    layers: list[nn.Module] = [] if channels == dim else [nn.Linear(channels, dim, bias=not norm)]
    if norm:
        layers.append(batch_norm := nn.BatchNorm1d(dim))
        batch_norm.bias.requires_grad_(False)
    return nn.Sequential(*layers)


def classifier(dim: int, identities: int) -> nn.Linear:
    """(N, dim) features to (N, identities) logits, without bias. Source: Luo et al. (CVPRW 2019), Sec. 3.5."""
    layer = nn.Linear(dim, identities, bias=False)
    nn.init.normal_(layer.weight, std=0.001)  # nearly even probabilities keep the first gradients of the backbone small
    return layer


def keep_size(stage: nn.Module) -> None:
    """Set the stride of a ResNet's stage to 1, in place."""
    for part in stage.modules():
        if isinstance(part, nn.Conv2d):
            part.stride = (1, 1)


def crops_of(pixels: Tensor, boxes: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """(N, 3, height, width) float32 crops of all images' boxes, resized to one size; 0, the mean colour, outside the image.

    Args:
        pixels: Images (B, 3, H, W), normalised as in `region_input`.
        boxes: Boxes (N_i, 4) of each image, xyxy pixels, whole or not; N is their sum.
        size: (height, width) of the crops.
    """
    crops: Tensor = roi_align(pixels.float(), list(boxes), size, 1.0, ADAPTIVE, aligned=True)
    return crops


class CropEmbedder:
    """A crop network as the `Embedder` of a two-step model.

    Args:
        network: Network with its weights; moved to `device` and set to eval mode here.
        config: Config of the network.
        fingerprint: Digest of config and weights.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
    """

    def __init__(self, network: ReidNetwork, config: ReidConfig, *, fingerprint: str, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        self.embedding_dim = config.embedding_dim
        self.fingerprint = fingerprint
        self.device = torch.device(device)

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N crops, RGB uint8 (h, w, 3); N may be 0."""
        rows = [np.zeros((0, self.embedding_dim), np.float32)]
        for start in range(0, len(crops), CROPS_AT_ONCE):
            inputs = torch.stack([self._input(crop) for crop in crops[start : start + CROPS_AT_ONCE]])
            with torch.inference_mode():
                rows.append(self.network(inputs.to(self.device)).cpu().numpy())
        return np.concatenate(rows)

    def _input(self, crop: Array) -> Tensor:
        height, width = crop.shape[:2]
        pixels = region_input(crop, min(height, width), max(height, width)).pixels[None]  # normalised, not resized
        return crops_of(pixels, [torch.tensor([[0.0, 0.0, width, height]])], self.network.size)[0]


def read_network(folder: Path) -> tuple[ReidConfig, ReidNetwork]:
    """Config and network of a folder, in eval mode, without merged layers.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    config = parse(ReidConfig, read_config(folder), folder)
    network = ReidNetwork(config)
    weights = folder / WEIGHTS_FILE
    load_strict(network, read_tensors(weights), source=str(weights))
    return config, network.eval()
