"""What a config.json says about the parts that all networks share."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from personsearch.options import Settings

# mobilenet is for crop networks only
BackboneName = Literal["resnet50", "resnet18", "shufflenet", "mobilenet", "convnext-tiny", "convnext-base"]
Norm = Literal["frozen", "batch", "group"]
Style = Literal["pytorch", "caffe"]


class BackboneConfig(Settings):
    """Which backbone; a small `width` or ResNet-18 makes a small model."""

    name: BackboneName = "resnet50"
    width: float = Field(default=1.0, gt=0, le=4)  # factor on all channel numbers; a ShuffleNet's stem keeps its 24
    style: Style = "pytorch"  # where a ResNet-50 block has its stride: "pytorch" in the 3x3, "caffe" in the first 1x1
    norm: Norm = "batch"  # "frozen": batch norm that training leaves alone; "group": what a picture gives needs no others
    deformable: tuple[Literal[3, 4, 5], ...] = ()  # levels whose stages have modulated deformable 3x3 (a ResNet-50 only)

    @model_validator(mode="after")
    def _bottlenecks_only(self) -> "BackboneConfig":
        if self.name != "resnet50" and (self.deformable or self.style != "pytorch"):
            raise ValueError(f'deformable and style "caffe" are for resnet50, not {self.name}')
        return self


class SceneConfig(Settings):
    """What the config of every network for whole scenes has."""

    architecture: str
    name: str  # for people to read
    trained_on: str | None = None  # the data set, for people to read
    backbone: BackboneConfig = BackboneConfig()
    short_side: int = Field(default=900, ge=32)  # pixels; the resized image fits into short_side x long_side
    long_side: int = Field(default=1500, ge=32)
    min_score: float = Field(default=0.5, ge=0, le=1)  # a detection below it does not enter a gallery

    @field_validator("backbone")
    @classmethod
    def _has_regions(cls, backbone: BackboneConfig) -> BackboneConfig:
        if backbone.name == "mobilenet":
            raise ValueError("mobilenet is for crop networks; give resnet50, resnet18, shufflenet, convnext-tiny or convnext-base")
        return backbone
