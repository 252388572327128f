"""Region proposals: boxes on the map of level 4 that may hold a person."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import nms, remove_small_boxes

from personsearch.models.parts.region_pool import STRIDE
from personsearch.options import Settings, Side

Ratio = Annotated[float, Field(ge=0.01, le=100)]
MIN_SIDE = 1e-3  # pixels; proposals with a shorter side are dropped


class ProposalConfig(Settings):
    """Anchors, and the number of proposals of an image; defaults are those of the released networks."""

    anchor_sizes: tuple[Side, ...] = Field(
        default=(32, 64, 128, 256, 512), min_length=1, max_length=16
    )  # square root of the area, in pixels
    anchor_ratios: tuple[Ratio, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1, max_length=16)  # height / width
    before_nms: int = Field(default=6000, ge=1, le=100_000)
    after_nms: int = Field(default=300, ge=1, le=100_000)
    nms_iou: float = Field(default=0.7, gt=0, le=1)
    rounded: bool = True  # anchors in whole pixels, as torchvision has them; mmdet does not round


class RegionProposals(nn.Module):
    """The region proposal network on one map of stride 16, with torchvision's head and anchors.

    Source: Faster R-CNN (arXiv 1506.01497); serend1p1ty/SeqNet@edec285.
    """

    cell_anchors: Tensor  # (K, 4) xyxy around the corner of a cell

    def __init__(self, channels: int, config: ProposalConfig) -> None:
        super().__init__()
        self.config = config
        anchors = cell_anchors(config)
        self.head = RPNHead(channels, len(anchors))
        self.register_buffer("cell_anchors", anchors, persistent=False)
        self.coder = BoxCoder((1.0, 1.0, 1.0, 1.0))

    def forward(self, features: Tensor, frames: Tensor) -> list[Tensor]:
        """Proposals of each image, best first: (N, 4) float32 xyxy pixels of the resized image.

        Args:
            features: Map (B, C, H, W) of stride 16.
            frames: Width, height, width, height of each resized image, (B, 4) float32; boxes are cut to it.
        """
        logits, deltas = self.predict(features)
        return self.select(logits, deltas, self.anchors(features), frames)

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A) logits of a person, and (B, A, 4) box deltas from the anchors; both float32."""
        (logits,), (deltas,) = self.head([features])
        by_anchor = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)
        return logits.permute(0, 2, 3, 1).flatten(1).float(), by_anchor.flatten(1, 3).float()

    def anchors(self, features: Tensor) -> Tensor:
        """(A, 4) xyxy pixels, row by row, all anchors of a cell together."""
        height, width = features.shape[2:]
        y, x = (torch.arange(side, device=features.device) * STRIDE for side in (height, width))
        shift_y, shift_x = torch.meshgrid(y, x, indexing="ij")
        shifts = torch.stack([shift_x, shift_y, shift_x, shift_y], dim=2).reshape(-1, 1, 4)
        return (shifts + self.cell_anchors).reshape(-1, 4)

    def select(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        frames: Tensor,
        *,
        limits: tuple[int, int] | None = None,
        min_side: float = MIN_SIDE,
    ) -> list[Tensor]:
        """The best proposals of each image after NMS (see `forward`).

        Args:
            logits: (B, A) of a person.
            deltas: (B, A, 4) from the anchors.
            anchors: (A, 4).
            frames: (B, 4), see `forward`.
            limits: Numbers before and after NMS in place of the config's.
            min_side: Pixels; proposals with a shorter side are dropped.
        """
        # Gradients reach the head through its losses, never through the position of a proposal
        before_nms, after_nms = limits or (self.config.before_nms, self.config.after_nms)
        scores, order = logits.detach().topk(min(before_nms, logits.shape[1]), dim=1)
        proposals = []
        for image, best in enumerate(order):
            boxes = cut(self.coder.decode_single(deltas[image, best].detach(), anchors[best]), frames[image])
            big = remove_small_boxes(boxes, min_side)
            boxes = boxes[big]
            proposals.append(boxes[first_after_nms(boxes, scores[image, big], self.config.nms_iou, after_nms)])
        return proposals


def cell_anchors(config: ProposalConfig) -> Tensor:
    """(K, 4) float32 xyxy anchors around the corner of a cell: ratio slowest, size fastest."""
    if config.rounded:
        anchors: Tensor = AnchorGenerator((config.anchor_sizes,), (config.anchor_ratios,)).cell_anchors[0]
        return anchors
    heights = torch.tensor(config.anchor_ratios, dtype=torch.float32).sqrt()[:, None]
    sizes = torch.tensor(config.anchor_sizes, dtype=torch.float32)
    corner = torch.stack([sizes / heights, sizes * heights], dim=2).flatten(0, 1) / 2
    return torch.cat([-corner, corner], dim=1)


def first_after_nms(boxes: Tensor, scores: Tensor, iou: float, limit: int) -> Tensor:
    """(K,) int64 indices of the first `limit` boxes after NMS, of (N, 4) boxes and (N,) scores, best first.

    A box never depends on a worse one. On a CPU, where the time of NMS is quadratic, it first gets the best boxes, and more
    only if too few remain. On a GPU such a check would wait for the device, and an exported graph cannot branch.
    """
    if boxes.device.type == "cpu" and not torch.compiler.is_exporting():
        for several in (2, 8):
            best: Tensor = nms(boxes[: several * limit], scores[: several * limit], iou)[:limit]
            if len(best) == limit or several * limit >= len(boxes):
                return best
    order: Tensor = nms(boxes, scores, iou)
    return order[:limit]


def cut(boxes: Tensor, frame: Tensor) -> Tensor:
    """(N, 4) boxes cut to the image of `frame`, (4,) width, height, width, height."""
    return boxes.clamp(min=0).minimum(frame)


def frames_of(sizes: list[tuple[int, int]], like: Tensor) -> Tensor:
    """(B, 4) float32: width, height, width, height of (height, width) pairs, on the device of `like`."""
    return torch.tensor([[width, height, width, height] for height, width in sizes], dtype=torch.float32, device=like.device)
