"""The bundled detector on PyTorch: a small anchor-free network for people only, for images of any shape."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from personsearch.boxes import Array
from personsearch.models.nano.options import NanoOptions
from personsearch.models.nano.steps import ViewDetector
from personsearch.models.parts.csp_darknet import STRIDES, Conv, CSPDarknet, DepthwiseConv, with_activation

PRIOR_SCORE = 0.01  # score of every cell before training: few cells hold a person
ACTIVATIONS: dict[str, type[nn.Hardswish | nn.ReLU]] = {"hardswish": nn.Hardswish, "relu": nn.ReLU}  # in the place of SiLU
MAX_LOG_SIDE = 8.0  # keeps exp() of a predicted side finite


@dataclass(frozen=True)
class CellPredictions:
    """Predictions for the P cells of all levels, for a batch of B images."""

    logits: Tensor  # (B, P) logit of each cell holding a person
    boxes: Tensor  # (B, P, 4) xyxy pixels of the resized image


class NanoHead(nn.Module):
    """One level's predictions: a tower for the score, one for the box.

    Source: the decoupled head of YOLOX (arXiv 2107.08430, Sec. 3) with one logit, trained to be the overlap of the box
    with the person (arXiv 2006.04388, Sec. 3), instead of objectness and classes.
    """

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.stem = Conv(inputs, channels)
        self.score_tower = nn.Sequential(DepthwiseConv(channels, channels), DepthwiseConv(channels, channels))
        self.box_tower = nn.Sequential(DepthwiseConv(channels, channels), DepthwiseConv(channels, channels))
        self.score = nn.Conv2d(channels, 1, 1)
        self.box = nn.Conv2d(channels, 4, 1)
        nn.init.constant_(self.score.bias, float(np.log(PRIOR_SCORE / (1 - PRIOR_SCORE))))  # type: ignore[arg-type]  # it has a bias

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P) logits and (B, P, 4) boxes of a (B, inputs, H, W) map, P = H * W, row by row."""
        x = self.stem(maps)
        logits = self.score(self.score_tower(x)).float().flatten(1)
        return logits, cell_boxes(self.box(self.box_tower(x)), self.stride)


def cell_boxes(predicted: Tensor, stride: int) -> Tensor:
    """(B, P, 4) float32 xyxy pixels of (B, 4, H, W): shift of the box's centre, and log width and height, all in cells."""
    height, width = predicted.shape[2:]
    rows = predicted.float().flatten(2).transpose(1, 2)
    shift, size = rows[..., :2], rows[..., 2:]
    axes = (torch.arange(side, device=predicted.device) for side in (height, width))
    row, column = torch.meshgrid(*axes, indexing="ij")
    centre = (torch.stack([column, row], dim=2).flatten(0, 1) + shift) * stride
    half = size.clamp(max=MAX_LOG_SIDE).exp() * (stride / 2)
    return torch.cat([centre - half, centre + half], dim=2)


class NanoNetwork(nn.Module):
    """Backbone, neck and a head for each of three levels."""

    def __init__(self, options: NanoOptions) -> None:
        super().__init__()
        self.backbone = CSPDarknet(options.width)
        self.heads = nn.ModuleList(
            NanoHead(inputs, options.channels, stride) for inputs, stride in zip(self.backbone.channels, STRIDES, strict=True)
        )
        if options.activation in ACTIVATIONS:
            with_activation(self, ACTIVATIONS[options.activation])

    def forward(self, pixels: Tensor) -> CellPredictions:
        """All cells of (B, 3, H, W) pixels, BGR 0..255; H and W are multiples of 32."""
        return self.of_maps(self.backbone(pixels))

    def of_maps(self, maps: list[Tensor]) -> CellPredictions:
        """All cells of the neck's three maps."""
        predictions = [head(level) for head, level in zip(self.heads, maps, strict=True)]
        logits, boxes = zip(*predictions, strict=True)
        return CellPredictions(torch.cat(logits, dim=1), torch.cat(boxes, dim=1))


class NanoDetector(ViewDetector):
    """The network as the `Detector` of a two-step model.

    Args:
        network: Network with its weights; moved to `device` and set to eval mode here.
        options: Size of the input, and thresholds.
        fingerprint: Digest of options and weights.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
    """

    def __init__(self, network: NanoNetwork, options: NanoOptions, *, fingerprint: str, device: str = "cpu") -> None:
        super().__init__(options, fingerprint=fingerprint)
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.device = torch.device(device)

    def _cells(self, canvases: Array) -> tuple[Array, Array]:
        with torch.inference_mode():
            cells: CellPredictions = self.network(pixels_of(torch.from_numpy(canvases).to(self.device)))
            return cells.logits.cpu().numpy(), cells.boxes.cpu().numpy()


def pixels_of(canvases: Tensor) -> Tensor:
    """(B, 3, H, W) float32 BGR of (B, H, W, 3) uint8 RGB, channels-last."""
    return canvases.flip(3).permute(0, 3, 1, 2).float()
