"""Person search on Faster R-CNN: the base of its networks, and OIM, NAE and NAE+."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import nms

from personsearch.boxes import Array
from personsearch.models.config import SceneConfig
from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.heads import REGION_LEVEL, BaselineHead, HeadKind, HeadOutput, build_baseline_head
from personsearch.models.parts.region_pool import LazyRegions, RegionPool
from personsearch.models.parts.resnet import build_backbone
from personsearch.models.parts.rpn import ProposalConfig, RegionProposals, cut, frames_of
from personsearch.models.scene import SceneBatch, SceneDetections, SceneInput, SceneModel, SceneNetwork
from personsearch.models.scene_input import PAD_TO, RGB_MEAN, RGB_STD, region_size

MIN_SIDE = 1e-2  # pixels of the resized image; people with a shorter side are dropped
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # weights of the deltas x, y, width, height


class RegionConfig(SceneConfig):
    """The config of every network of this family; defaults are those of the released networks."""

    embedding_dim: int = Field(default=256, ge=2, le=16384)
    proposals: ProposalConfig = ProposalConfig()
    keep_score: float = Field(default=0.5, ge=0, lt=1)  # the network keeps people above this score
    max_people: int = Field(default=300, ge=1, le=100_000)


class RCNNConfig(RegionConfig):
    """The config.json of an OIM or NAE model."""

    architecture: Literal["oim", "nae"] = "nae"
    name: str = "nae"
    pixelwise: bool = False  # NAE+
    nms_iou: float = Field(default=0.4, gt=0, le=1)
    serial: bool = False  # SeqNet's Table 1: a second pass takes the people of the first as its proposals

    @model_validator(mode="before")
    @classmethod
    def _rule_of_the_paper(cls, values: Any) -> Any:
        """NAE's paper ranks by cosine x score ("confidence weighted similarity"), OIM's by cosine."""
        if not isinstance(values, dict):
            return values
        return {"confidence_weighted": values.get("architecture", "nae") == "nae"} | values

    @model_validator(mode="after")
    def _pixelwise_is_nae(self) -> "RCNNConfig":
        if self.pixelwise and self.architecture != "nae":
            raise ValueError(f"pixelwise is NAE+; its architecture must be nae, got {self.architecture!r}")
        return self


@dataclass(frozen=True)
class Candidates:
    """People of one image before the last selection."""

    boxes: Tensor  # (N, 4) xyxy pixels of the resized image
    scores: Tensor  # (N,)
    embeddings: Tensor  # (N, D) unit rows

    def take(self, index: Tensor) -> "Candidates":
        """The people at `index`."""
        return Candidates(self.boxes[index], self.scores[index], self.embeddings[index])

    def after(self, first: "Candidates") -> "Candidates":
        """The people of `first`, then these."""
        return Candidates(
            torch.cat([first.boxes, self.boxes]), torch.cat([first.scores, self.scores]), torch.cat([first.embeddings, self.embeddings])
        )


class RegionNetwork(SceneNetwork):
    """Backbone to level 4 and region proposals; subclasses add the heads that see the regions."""

    def __init__(self, config: RegionConfig) -> None:
        super().__init__()
        self.short_side, self.long_side = config.short_side, config.long_side
        self.backbone = build_backbone(config.backbone, REGION_LEVEL)
        self.rpn = RegionProposals(self.backbone.channels[REGION_LEVEL], config.proposals)
        self.pool = RegionPool()
        self.coder = BoxCoder(BOX_WEIGHTS)
        self.embedding_dim = config.embedding_dim

    @property
    @abstractmethod
    def reid_head(self) -> nn.Module:
        """The head that embeds; its output has `embeddings`."""

    @abstractmethod
    def find(self, c4: Tensor, proposals: Tensor, frame: Tensor, known: Candidates | None = None) -> Candidates:
        """The people of one image, best first.

        Args:
            c4: Backbone map of stride 16, (1, C, H, W).
            proposals: Boxes (N, 4), xyxy pixels of the resized image.
            frame: Sides of the resized image, (4,), see `frames_of`.
            known: People known to be in the image, such as the query; they take part in the last NMS.
        """

    def prepare(self, image: Array) -> SceneInput:
        """`region_input` of the image, in the config's size."""
        return region_input(image, self.short_side, self.long_side)

    def forward(self, pixels: Tensor) -> Tensor:
        """The backbone's map of level 4, (B, C, H / 16, W / 16), of (B, 3, H, W) pixels."""
        c4: Tensor = self.backbone(pixels)[REGION_LEVEL]
        return c4

    def detect(self, batch: SceneBatch) -> list[SceneDetections]:
        """People of each image, best first."""
        return self.detect_on(self(batch.pixels), batch)

    def detect_on(self, c4: Tensor, batch: SceneBatch) -> list[SceneDetections]:
        """People of each image, best first, of the batch's map of level 4."""
        frames = frames_of(batch.resized, batch.pixels)
        # Image by image, so that neither a region's numbers nor the memory depend on the batch
        images = zip(torch.split(c4, 1), self.rpn(c4, frames), frames, strict=True)
        return self._in_original(batch, frames, [self.find(*image) for image in images])

    def detect_around(self, batch: SceneBatch, boxes: list[Tensor]) -> list[SceneDetections]:
        """People of each image, those at (N, 4) `boxes` (original pixels) first with score 1: a query's context.

        Detections that overlap one of the boxes by more than the last NMS allows are dropped.

        Source: serend1p1ty/SeqNet@edec285 (query_img_as_gallery).
        """
        c4, frames = self(batch.pixels), frames_of(batch.resized, batch.pixels)
        resized = self._in_resized(batch, frames, boxes)
        known = [
            Candidates(people, people.new_ones(len(people)), rows) for people, rows in zip(resized, self._embed(c4, resized), strict=True)
        ]
        images = zip(torch.split(c4, 1), self.rpn(c4, frames), frames, known, strict=True)
        return self._in_original(batch, frames, [self.find(*image) for image in images])

    def embed(self, batch: SceneBatch, boxes: list[Tensor]) -> list[Tensor]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""
        return self._embed(self(batch.pixels), self._in_resized(batch, frames_of(batch.resized, batch.pixels), boxes))

    def refine(self, boxes: Tensor, deltas: Tensor, frame: Tensor) -> Tensor:
        """(N, 4) boxes moved by (N, 4) deltas and cut to the image."""
        return cut(self.coder.decode_single(deltas, boxes), frame)

    def _embed(self, c4: Tensor, boxes: list[Tensor]) -> list[Tensor]:
        images = zip(torch.split(c4, 1), boxes, strict=True)
        return [self.reid_head(LazyRegions(self.pool, image_map, [image_boxes])).embeddings for image_map, image_boxes in images]

    def _in_resized(self, batch: SceneBatch, frames: Tensor, boxes: list[Tensor]) -> list[Tensor]:
        scales = frames / frames_of(batch.original, frames)
        return [image_boxes * scale for image_boxes, scale in zip(boxes, scales, strict=True)]

    def _in_original(self, batch: SceneBatch, frames: Tensor, people: list[Candidates]) -> list[SceneDetections]:
        scales = frames_of(batch.original, frames) / frames
        images = zip(people, scales, strict=True)
        return [SceneDetections(candidates.boxes * scale, candidates.scores, candidates.embeddings) for candidates, scale in images]


def region_input(image: Array, short_side: int, long_side: int) -> SceneInput:
    """Normalise an RGB uint8 image, resize it to fit short and long side (bilinear on float), pad with zeros to a multiple of 32."""
    original = (image.shape[0], image.shape[1])
    height, width = region_size(original, short_side, long_side)
    pixels = torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255)
    pixels = pixels.sub_(torch.tensor(RGB_MEAN)[:, None, None]).div_(torch.tensor(RGB_STD)[:, None, None])
    pixels = F.interpolate(pixels[None], size=(height, width), mode="bilinear")[0]
    return SceneInput(F.pad(pixels, (0, -width % PAD_TO, 0, -height % PAD_TO)), (height, width), original)


class RCNN(RegionNetwork):
    """OIM, NAE or NAE+: one head detects and embeds at the proposals."""

    def __init__(self, config: RCNNConfig) -> None:
        super().__init__(config)
        self.config = config
        kind: HeadKind = "nae+" if config.pixelwise else config.architecture
        self.head = build_baseline_head(config.backbone, kind, config.embedding_dim)

    @property
    def reid_head(self) -> BaselineHead:
        """The only head."""
        return self.head

    def find(self, c4: Tensor, proposals: Tensor, frame: Tensor, known: Candidates | None = None) -> Candidates:
        """The people of one image, best first (see `RegionNetwork.find`)."""
        if self.config.serial:
            proposals = self._pass(c4, proposals, frame, None).boxes
        return self._pass(c4, proposals, frame, known)

    def _pass(self, c4: Tensor, proposals: Tensor, frame: Tensor, known: Candidates | None) -> Candidates:
        output: HeadOutput = self.head(LazyRegions(self.pool, c4, [proposals]))
        people = Candidates(self.refine(proposals, output.deltas, frame), self.head.scores(output.logits), output.embeddings)
        return choose(people, known, min_score=self.config.keep_score, nms_iou=self.config.nms_iou, limit=self.config.max_people)


def choose(people: Candidates, known: Candidates | None, *, min_score: float, nms_iou: float, limit: int) -> Candidates:
    """The people above `min_score`, best first, after an NMS that includes the `known` people."""
    people = people.take(plausible(people.boxes, people.scores, min_score))
    if known is not None:
        people = people.after(known)
    return people.take(nms(people.boxes, people.scores, nms_iou)[:limit])


def plausible(boxes: Tensor, scores: Tensor, min_score: float) -> Tensor:
    """Indices of the boxes above `min_score` that are not empty."""
    return torch.where((scores > min_score) & ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE).all(dim=1))[0]


def open_folder(folder: Path, device: str) -> SceneModel:
    """The OIM or NAE model of a folder.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    return open_scene_folder(folder, device, RCNNConfig, RCNN)
