"""The fields of config.json that all networks share."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from personsearch.options import Settings

CROP, OMNI = "crop", "omni"  # backbones of crop networks, see `parts.crop_backbone` and `parts.omni_backbone`; not for whole scenes
BackboneName = Literal["resnet50", "resnet18", "shufflenet", "crop", "omni", "convnext-tiny", "convnext-base"]
Norm = Literal["frozen", "batch", "group"]
Style = Literal["pytorch", "caffe"]


class BackboneConfig(Settings):
    """The backbone; a small `width` or ResNet-18 makes a small model."""

    name: BackboneName = "resnet50"
    width: float = Field(default=1.0, gt=0, le=4)  # factor on all channel numbers; a ShuffleNet's stem keeps its 24
    style: Style = "pytorch"  # stride of a ResNet-50 block: "pytorch" in the 3x3, "caffe" in the first 1x1
    norm: Norm = "batch"  # "frozen": batch norm that training does not change; "group": independent of the batch
    deformable: tuple[Literal[3, 4, 5], ...] = ()  # levels whose stages have modulated deformable 3x3 (ResNet-50 only)

    @model_validator(mode="after")
    def _bottlenecks_only(self) -> "BackboneConfig":
        if self.name != "resnet50" and (self.deformable or self.style != "pytorch"):
            raise ValueError(f'deformable and style "caffe" are for resnet50, not {self.name}')
        return self


class SceneConfig(Settings):
    """The config of every network for whole scenes."""

    architecture: str
    name: str  # shown to users
    trained_on: str | None = None  # data set, shown to users
    backbone: BackboneConfig = BackboneConfig()
    short_side: int = Field(default=900, ge=32, le=8192)  # pixels; the resized image fits into short_side x long_side
    long_side: int = Field(default=1500, ge=32, le=8192)
    min_score: float = Field(default=0.5, ge=0, le=1)  # detections below this score do not enter a gallery
    confidence_weighted: bool = False  # whether people are ranked by cosine x score, as the paper does it

    @field_validator("backbone")
    @classmethod
    def _has_regions(cls, backbone: BackboneConfig) -> BackboneConfig:
        if backbone.name in (CROP, OMNI):
            raise ValueError(f"{backbone.name} is for crop networks; give resnet50, resnet18, shufflenet, convnext-tiny or convnext-base")
        return backbone
