"""AlignPS and AlignPS+: anchor-free person search, in which the detecting feature map is the embedding.

Source: arXiv 2109.00211 ("Efficient Person Search: An Anchor-Free Approach"); daodaofr/AlignPS@5d62dbc, which
is followed where the paper leaves a choice. AlignPS+ is AlignPS with deformable convolutions in the backbone
(`backbone.deformable`, Table V).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from personsearch.boxes import Array
from personsearch.models.config import BackboneConfig, SceneConfig
from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.afa import Aggregation, AlignedFeatureAggregation
from personsearch.models.parts.fcos import FCOSHead, LevelMaps, Structure
from personsearch.models.parts.fcos_select import DenseDetections, SelectionRules, box_scale, features_at, select
from personsearch.models.parts.resnet import build_backbone
from personsearch.models.scene import SceneBatch, SceneDetections, SceneInput, SceneModel, SceneNetwork
from personsearch.models.scene_input import dense_array

MIN_QUERY_IOU = 0.1  # below it the released evaluation warns that the detection is not the query


class AlignPSConfig(SceneConfig):
    """The config.json of an AlignPS; defaults are those of the released AlignPS on PRW."""

    architecture: str = "alignps"
    name: str = "alignps"
    backbone: BackboneConfig = BackboneConfig(style="caffe")
    min_score: float = Field(default=0.15, ge=0, le=1)  # the released evaluation: 0.2 on CUHK-SYSU, 0.15 on PRW
    channels: int = Field(default=256, ge=1, le=4096)  # channels of the neck, the towers and the embedding
    levels: tuple[Literal[3, 4, 5, 6, 7], ...] = (3,)  # Table I; 6 and 7, with 5, in the baseline of Fig. 6
    lateral_deform: bool = True  # Table II
    output_deform: bool = True
    aggregation: Aggregation = "concat"
    structure: Structure = "reid-first"  # Table III
    subtract_mean: bool = True
    min_class_score: float = Field(default=SelectionRules.min_class_score, ge=0, le=1)
    nms_iou: float = Field(default=SelectionRules.nms_iou, ge=0, le=1)
    max_people: int = Field(default=SelectionRules.max_people, ge=1, le=100_000)

    @field_validator("levels")
    @classmethod
    def _fine_to_coarse(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if not levels or list(levels) != sorted(set(levels)):
            raise ValueError("levels must be some of 3 to 7, each once, from fine to coarse")
        if levels[-1] > 5 and levels[-1] - 4 != sum(level >= 5 for level in levels):
            raise ValueError("level 6 is made of 5, and 7 of 6; name these too")
        return levels


@dataclass(frozen=True)
class DenseOutput:
    """Maps and people of a batch, before embeddings are chosen."""

    backbone: Mapping[int, Tensor]  # level -> (B, C, H, W)
    levels: list[LevelMaps]
    people: list[DenseDetections]  # one entry for each image


class AlignPS(SceneNetwork):
    """Backbone, aligned feature aggregation, FCOS head; an embedding is the map's value at one cell."""

    def __init__(self, config: AlignPSConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone)
        self.neck = AlignedFeatureAggregation(
            self.backbone.channels,
            config.channels,
            levels=config.levels,
            lateral_deform=config.lateral_deform,
            output_deform=config.output_deform,
            aggregation=config.aggregation,
        )
        self.head = FCOSHead(config.channels, levels=config.levels, structure=config.structure, subtract_mean=config.subtract_mean)
        self.rules = SelectionRules(min_class_score=config.min_class_score, nms_iou=config.nms_iou, max_people=config.max_people)
        self.embedding_dim = config.channels

    def prepare(self, image: Array) -> SceneInput:
        """`dense_input` of the image, in the config's size."""
        return dense_input(image, self.config.short_side, self.config.long_side)

    def forward(self, pixels: Tensor) -> tuple[Mapping[int, Tensor], list[LevelMaps]]:
        """The dense part: the backbone's maps by level, and the head's maps, of (B, 3, H, W) pixels."""
        features = self.backbone(pixels)
        return features, self.head(self.neck(features))

    def detect(self, batch: SceneBatch) -> list[SceneDetections]:
        """People of each image, best first."""
        dense = self._dense(batch)
        embeddings = self._rows(dense, batch, [people.features for people in dense.people], [people.boxes for people in dense.people])
        return [SceneDetections(people.boxes, people.scores, rows) for people, rows in zip(dense.people, embeddings, strict=True)]

    def embed(self, batch: SceneBatch, boxes: list[Tensor]) -> list[Tensor]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels.

        A box gets the embedding of the detection that overlaps it most, whatever its score: the released rule.
        If no detection overlaps it by an IoU of 0.1, it gets the feature at its own centre.

        Source: daodaofr/AlignPS@5d62dbc (test_results_prw.py) for the first rule; the second is ours, for boxes drawn by users.
        """
        dense = self._dense(batch)
        matches = [self._match(dense, batch, image, image_boxes) for image, image_boxes in enumerate(boxes)]
        return self._rows(dense, batch, [features for features, _ in matches], [matched for _, matched in matches])

    def _dense(self, batch: SceneBatch) -> DenseOutput:
        features, levels = self(batch.pixels)
        sizes = zip(batch.resized, batch.original, strict=True)
        people = [select(levels, i, resized, original, self.rules) for i, (resized, original) in enumerate(sizes)]
        return DenseOutput(features, levels, people)

    def _match(self, dense: DenseOutput, batch: SceneBatch, image: int, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Raw features (N, D) for N boxes of one image, and the boxes (N, 4) that these features belong to."""
        scale = box_scale(batch.resized[image], batch.original[image], boxes)
        features, matched = features_at(dense.levels, image, boxes * scale), boxes.clone()
        people = dense.people[image]
        if len(people.boxes):
            overlap, best = inclusive_iou(boxes, people.boxes).max(dim=1)
            near = overlap >= MIN_QUERY_IOU
            features[near], matched[near] = people.features[best[near]], people.boxes[best[near]]
        return features, matched

    def _rows(self, dense: DenseOutput, batch: SceneBatch, features: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Embeddings of each image's people, from their cells' features and their boxes in original pixels."""
        return [F.normalize(rows) for rows in features]


def dense_input(image: Array, short_side: int, long_side: int) -> SceneInput:
    """Resize an RGB uint8 image to fit short and long side (OpenCV, on uint8), subtract the mean, swap to BGR, pad to a multiple of 32."""
    return SceneInput.of(dense_array(image, short_side, long_side))


def open_folder(folder: Path, device: str) -> SceneModel:
    """The AlignPS or AlignPS+ of a folder.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    return open_scene_folder(folder, device, AlignPSConfig, AlignPS)


def inclusive_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) IoU of xyxy boxes whose last pixel counts (+1), as in the released evaluation."""
    sides = torch.minimum(a[:, None, 2:], b[None, :, 2:]) - torch.maximum(a[:, None, :2], b[None, :, :2]) + 1
    overlap = sides.clamp(min=0).prod(dim=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2] + 1).prod(dim=1) for boxes in (a, b))
    return overlap / (area_a[:, None] + area_b[None, :] - overlap)
