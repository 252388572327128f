"""SeqNeXt: SeqNet with ConvNeXt or ResNet-50 whose second head scores too, and GFN's embedding of the whole scene.

Source: Jaffe and Zakhor, Gallery Filter Network for Person Search (WACV 2023, arXiv 2210.12903); LukeJaffe/GFN@72e8d9e, which
decides wherever the paper leaves a choice.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field
from torch import Tensor

from personsearch.boxes import Array
from personsearch.models.config import BackboneConfig
from personsearch.models.folder import open_scene_folder
from personsearch.models.gfn import GalleryFilter, GalleryFilterConfig
from personsearch.models.parts.heads import HeadKind
from personsearch.models.scene import SceneBatch, SceneDetections, SceneInput, SceneModel
from personsearch.models.scene_input import window_array
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.ranking import SceneFilter


class SeqNeXtConfig(SeqNetConfig):
    """What the config.json of a SeqNeXt says; the defaults are the released networks."""

    architecture: Literal["seqnext"] = "seqnext"
    name: str = "seqnext"
    backbone: BackboneConfig = BackboneConfig(name="convnext-base", norm="frozen")
    embedding_dim: int = Field(default=2048, ge=2, le=16384)
    baseline: HeadKind = "scored"
    first_score: bool = False  # the second head's score is the person's
    gallery_filter: GalleryFilterConfig | None = GalleryFilterConfig()  # GFN; None: SeqNeXt alone


class SeqNeXt(SeqNet):
    """SeqNet's two heads in turn, the second of which scores the people too, and an embedding of the whole scene."""

    def __init__(self, config: SeqNeXtConfig) -> None:
        super().__init__(config)
        filter_config = config.gallery_filter
        self.scenes = None if filter_config is None else GalleryFilter(config.backbone, config.embedding_dim, filter_config)

    def prepare(self, image: Array) -> SceneInput:
        """The image as `window_input` makes it, in the config's size."""
        return window_input(image, self.short_side, self.long_side)

    def detect(self, batch: SceneBatch) -> list[SceneDetections]:
        """People of each image, best first, with the embedding of the scene."""
        c4 = self(batch.pixels)
        people = self.detect_on(c4, batch)
        if self.scenes is None:
            return people
        return [replace(one, scene=row) for one, row in zip(people, self.scenes(c4), strict=True)]

    @property
    def scene_filter(self) -> SceneFilter | None:
        """GFN's arithmetic, if the network has it."""
        return None if self.scenes is None else self.scenes.arithmetic()

    def embed_scenes(self, batch: SceneBatch) -> Tensor:
        """(B, D) unit rows of whole scenes."""
        if self.scenes is None:
            return super().embed_scenes(batch)
        rows: Tensor = self.scenes(self(batch.pixels))
        return rows


def window_input(image: Array, short_side: int, long_side: int) -> SceneInput:
    """The image as `window_array` makes it: unlike `region_input`, normalised before resizing, to a rounded size."""
    return SceneInput.of(window_array(image, short_side, long_side))


def open_folder(folder: Path, device: str) -> SceneModel:
    """The SeqNeXt of a folder.

    Raises:
        ConfigError, WeightsError: its files do not make a model.
    """
    return open_scene_folder(folder, device, SeqNeXtConfig, SeqNeXt)
