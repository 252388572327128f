"""The bundled detector: a small anchor-free network for people only, for images of any shape."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.ops import nms

from personsearch.boxes import Array
from personsearch.images import opencv
from personsearch.models.parts.csp_darknet import STRIDES, Conv, CSPDarknet, DepthwiseConv
from personsearch.models.parts.letterbox import View, letterbox
from personsearch.options import Settings

cv2 = opencv()

PRIOR_SCORE = 0.01  # score of every cell before training: few cells hold a person
MAX_LOG_SIDE = 8.0  # keeps exp() of a predicted side finite
HALVE_ABOVE = 2  # an image more than this many times larger than its canvas is halved first
BEFORE_NMS = 1000  # cells of an image that enter NMS, best first


class NanoOptions(Settings):
    """How the detector is built and used."""

    width: int = Field(default=16, ge=8, le=128)  # channels of the backbone's first map
    channels: int = Field(default=64, ge=8, le=1024)  # channels of the heads
    short_side: int = Field(default=448, ge=32, le=8192)  # pixels; the resized image fits into short_side x long_side
    long_side: int = Field(default=800, ge=32, le=8192)
    score_threshold: float = Field(default=0.1, ge=0, le=1)  # people below this score are not embedded
    nms_iou: float = Field(default=0.45, ge=0, le=1)


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

    def forward(self, pixels: Tensor) -> CellPredictions:
        """All cells of (B, 3, H, W) pixels, BGR 0..255; H and W are multiples of 32."""
        return self.of_maps(self.backbone(pixels))

    def of_maps(self, maps: list[Tensor]) -> CellPredictions:
        """All cells of the neck's three maps."""
        predictions = [head(level) for head, level in zip(self.heads, maps, strict=True)]
        logits, boxes = zip(*predictions, strict=True)
        return CellPredictions(torch.cat(logits, dim=1), torch.cat(boxes, dim=1))


class NanoDetector:
    """The network as the `Detector` of a two-step model.

    Args:
        network: Network with its weights; moved to `device` and set to eval mode here.
        options: Size of the input, and thresholds.
        fingerprint: Digest of options and weights.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
    """

    def __init__(self, network: NanoNetwork, options: NanoOptions, *, fingerprint: str, device: str = "cpu") -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.options = options
        self.fingerprint = fingerprint
        self.device = torch.device(device)

    def prepare(self, image: Array) -> View:
        """An RGB uint8 image (H, W, 3), resized with its aspect ratio kept, on a canvas of whole cells."""
        return resized(image, self.options.short_side, self.options.long_side)

    def detect(self, prepared: Sequence[View]) -> list[tuple[Array, Array]]:
        """For each image boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, best first."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, view in enumerate(prepared):
            groups[view.canvas.shape].append(i)
        detections: dict[int, tuple[Array, Array]] = {}
        for images in groups.values():
            with torch.inference_mode():
                cells = self._cells(np.stack([prepared[i].canvas for i in images]))
                for row, i in enumerate(images):
                    boxes, scores = self._select(cells.logits[row].sigmoid(), cells.boxes[row])
                    detections[i] = prepared[i].to_image(boxes.cpu().numpy()), scores.cpu().numpy()
        return [detections[i] for i in range(len(prepared))]

    def _cells(self, canvases: Array) -> CellPredictions:
        """The network's predictions for (B, H, W, 3) canvases."""
        cells: CellPredictions = self.network(pixels_of(torch.from_numpy(canvases).to(self.device)))
        return cells

    def _select(self, scores: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, 4) and scores (N,) of the people among P cells, best first."""
        likely = (scores >= self.options.score_threshold).nonzero()[:, 0]
        order = likely[scores[likely].argsort(descending=True, stable=True)[:BEFORE_NMS]]
        people = order[nms(boxes[order], scores[order], self.options.nms_iou)]
        return boxes[people], scores[people]


def resized(image: Array, short_side: int, long_side: int) -> View:
    """The whole image, resized to fit short_side x long_side, on a canvas whose sides are multiples of the coarsest stride."""
    height, width = image.shape[:2]
    ratio = min(short_side / min(height, width), long_side / max(height, width))
    size = (_whole_cells(height * ratio), _whole_cells(width * ratio))
    # Averaging keeps the outlines of small people; exact halves are the fastest way to average
    while min(image.shape[:2]) > 1 and image.shape[0] > HALVE_ABOVE * size[0] and image.shape[1] > HALVE_ABOVE * size[1]:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    view = letterbox(image, (0, 0, image.shape[1], image.shape[0]), size)
    return View(view.canvas, (0, 0, width, height), view.resized, (height, width))


def pixels_of(canvases: Tensor) -> Tensor:
    """(B, 3, H, W) float32 BGR of (B, H, W, 3) uint8 RGB, channels-last."""
    return canvases.flip(3).permute(0, 3, 1, 2).float()


def _whole_cells(pixels: float) -> int:
    return max(1, round(pixels / STRIDES[-1])) * STRIDES[-1]
