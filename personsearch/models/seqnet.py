"""SeqNet: one head detects people, a second head embeds the detected boxes.

Source: Li and Miao, Sequential End-to-end Network for Efficient Person Search (arXiv 2103.10148);
serend1p1ty/SeqNet@edec285, which is followed where the paper leaves a choice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field
from torch import Tensor
from torchvision.ops import nms

from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.heads import BaselineHead, FirstHead, FirstOutput, HeadKind, HeadOutput, build_baseline_head
from personsearch.models.parts.region_pool import LazyRegions
from personsearch.models.rcnn import Candidates, RegionConfig, RegionNetwork, choose, plausible
from personsearch.models.scene import SceneModel


class SeqNetConfig(RegionConfig):
    """The config.json of a SeqNet; defaults are those of the released network."""

    architecture: Literal["seqnet", "seqnext"] = "seqnet"
    name: str = "seqnet"
    baseline: HeadKind = "nae"  # the second head: SeqNet on NAE, or on OIM (Table 6)
    first_nms: bool = True  # NMS between the heads (Table 3)
    first_nms_iou: float = Field(default=0.4, gt=0, le=1)
    first_score: bool = True  # FCS: a person has the first head's score, else the second's (Table 3)
    second_boxes: bool = True  # the second head moves the boxes once more; False: it is not trained to (Table 3)
    nms_iou: float = Field(default=0.5, gt=0, le=1)
    confidence_weighted: bool = True  # as the released evaluation


@dataclass(frozen=True)
class FirstPeople:
    """People that the first head detects in one image, best first."""

    boxes: Tensor  # (N, 4) xyxy pixels of the resized image
    scores: Tensor  # (N,)


class SeqNet(RegionNetwork):
    """Two heads in turn: a plain Faster R-CNN head at the proposals, a baseline head at the people it detects."""

    def __init__(self, config: SeqNetConfig) -> None:
        super().__init__(config)
        self.config = config
        self.first = FirstHead(config.backbone)
        self.second = build_baseline_head(config.backbone, config.baseline, config.embedding_dim)

    @property
    def reid_head(self) -> BaselineHead:
        """The second head."""
        return self.second

    def find(self, c4: Tensor, proposals: Tensor, frame: Tensor, known: Candidates | None = None) -> Candidates:
        """The people of one image, best first (see `RegionNetwork.find`)."""
        first = self.find_first(c4, proposals, frame)
        output: HeadOutput = self.second(LazyRegions(self.pool, c4, [first.boxes]))
        scores = first.scores if self.config.first_score else self.second.scores(output.logits)
        boxes = self.refine(first.boxes, output.deltas, frame) if self.config.second_boxes else first.boxes
        people = Candidates(boxes, scores, output.embeddings)
        return choose(people, known, min_score=self.config.keep_score, nms_iou=self.config.nms_iou, limit=self.config.max_people)

    def find_first(self, c4: Tensor, proposals: Tensor, frame: Tensor) -> FirstPeople:
        """The people of one image that the second head gets."""
        config = self.config
        output: FirstOutput = self.first(LazyRegions(self.pool, c4, [proposals]))
        boxes, scores = self.refine(proposals, output.deltas, frame), output.scores
        likely = plausible(boxes, scores, config.keep_score)
        boxes, scores = boxes[likely], scores[likely]
        order = nms(boxes, scores, config.first_nms_iou) if config.first_nms else scores.argsort(descending=True, stable=True)
        best = order[: config.max_people]
        return FirstPeople(boxes[best], scores[best])


def open_folder(folder: Path, device: str) -> SceneModel:
    """The SeqNet of a folder.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    return open_scene_folder(folder, device, SeqNetConfig, SeqNet)
