"""Region proposals: where on the map of level 4 a person may be."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import nms, remove_small_boxes

from personsearch.models.parts.region_pool import STRIDE
from personsearch.options import Settings

SMALLEST = 1e-3  # side of a proposal in pixels; smaller ones are dropped


class ProposalConfig(Settings):
    """Anchors, and how many proposals of an image go on; the defaults are the released networks'."""

    anchor_sizes: tuple[int, ...] = Field(default=(32, 64, 128, 256, 512), min_length=1)  # square root of the area, in pixels
    anchor_ratios: tuple[float, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)  # height / width
    before_nms: int = Field(default=6000, ge=1)
    after_nms: int = Field(default=300, ge=1)
    nms_iou: float = Field(default=0.7, gt=0, le=1)


class RegionProposals(nn.Module):
    """The region proposal network on one map of stride 16, of torchvision's head and anchors.

    Source: Faster R-CNN (arXiv 1506.01497); serend1p1ty/SeqNet@edec285.
    """

    cell_anchors: Tensor  # (K, 4) xyxy around the corner of a cell

    def __init__(self, channels: int, config: ProposalConfig) -> None:
        super().__init__()
        self.config = config
        anchors = AnchorGenerator((config.anchor_sizes,), (config.anchor_ratios,)).cell_anchors[0]
        self.head = RPNHead(channels, len(anchors))
        self.register_buffer("cell_anchors", anchors, persistent=False)
        self.coder = BoxCoder((1.0, 1.0, 1.0, 1.0))

    def forward(self, features: Tensor, frames: Tensor) -> list[Tensor]:
        """Proposals of each image, best first: (N, 4) float32 xyxy pixels of the resized image.

        Args:
            features: (B, C, H, W), stride 16.
            frames: (B, 4) float32, width, height, width, height of each resized image; boxes are cut to it.
        """
        logits, deltas = self.predict(features)
        return self.select(logits, deltas, self.anchors(features), frames)

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A) logits of being a person, and (B, A, 4) box deltas from the anchors; both float32."""
        (logits,), (deltas,) = self.head([features])
        by_anchor = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)
        return logits.permute(0, 2, 3, 1).flatten(1).float(), by_anchor.flatten(1, 3).float()

    def anchors(self, features: Tensor) -> Tensor:
        """(A, 4) xyxy pixels, row by row, in each cell all of its anchors."""
        height, width = features.shape[2:]
        y, x = (torch.arange(side, device=features.device) * STRIDE for side in (height, width))
        shift_y, shift_x = torch.meshgrid(y, x, indexing="ij")
        shifts = torch.stack([shift_x, shift_y, shift_x, shift_y], dim=2).reshape(-1, 1, 4)
        return (shifts + self.cell_anchors).reshape(-1, 4)

    def select(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, frames: Tensor, *, limits: tuple[int, int] | None = None
    ) -> list[Tensor]:
        """The best proposals of each image after NMS (see `forward`); `limits` replace the config's numbers before and after it."""
        # Gradients go through the losses of the head, never through where a proposal lies
        before_nms, after_nms = limits or (self.config.before_nms, self.config.after_nms)
        scores, order = logits.detach().topk(min(before_nms, logits.shape[1]), dim=1)
        proposals = []
        for image, index in enumerate(order):
            boxes = cut(self.coder.decode_single(deltas[image, index].detach(), anchors[index]), frames[image])
            big = remove_small_boxes(boxes, SMALLEST)
            boxes = boxes[big]
            proposals.append(boxes[first_kept(boxes, scores[image, big], self.config.nms_iou, after_nms)])
        return proposals


def first_kept(boxes: Tensor, scores: Tensor, iou: float, limit: int) -> Tensor:
    """(K,) int64, the first `limit` boxes that NMS keeps, of (N, 4) boxes and (N,) scores, best first.

    No box depends on a worse one, so on a CPU, where NMS takes the square of the boxes it is given, it gets the best ones and more only
    if too few are left. A GPU would have to be waited for, and an exported graph has no such choice.
    """
    if boxes.device.type == "cpu" and not torch.compiler.is_exporting():
        for several in (2, 8):
            kept: Tensor = nms(boxes[: several * limit], scores[: several * limit], iou)[:limit]
            if len(kept) == limit or several * limit >= len(boxes):
                return kept
    all_kept: Tensor = nms(boxes, scores, iou)
    return all_kept[:limit]


def cut(boxes: Tensor, frame: Tensor) -> Tensor:
    """(N, 4) boxes moved into the image of `frame` = (4,) width, height, width, height."""
    return boxes.clamp(min=0).minimum(frame)


def frames_of(sizes: list[tuple[int, int]], like: Tensor) -> Tensor:
    """(B, 4) float32: width, height, width, height of (height, width) pairs, on the device of `like`."""
    return torch.tensor([[width, height, width, height] for height, width in sizes], dtype=torch.float32, device=like.device)
