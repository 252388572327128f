"""The options of the bundled model, and its config.json."""

from typing import Literal

from pydantic import Field

from personsearch.calibration import Calibration
from personsearch.models.config import BackboneConfig
from personsearch.models.two_step.model import MIN_SCORE
from personsearch.options import Settings, Tiles


class NanoOptions(Settings):
    """How the detector is built and used."""

    width: int = Field(default=16, ge=8, le=128)  # channels of the backbone's first map
    channels: int = Field(default=64, ge=8, le=1024)  # channels of the heads
    activation: Literal["silu", "hardswish", "relu"] = "silu"  # in ONNX Runtime SiLU is the slowest, ReLU the fastest
    short_side: int = Field(default=448, ge=32, le=8192)  # pixels; the resized image fits into short_side x long_side
    long_side: int = Field(default=800, ge=32, le=8192)
    score_threshold: float = Field(default=0.1, ge=0, le=1)  # people below this score are not embedded
    nms_iou: float = Field(default=0.45, ge=0, le=1)
    tiles: tuple[Tiles, Tiles] | None = None  # (rows, columns) of overlapping tiles to search too: finds smaller people, takes longer


class NanoReidOptions(Settings):
    """How the embedder is built."""

    backbone: BackboneConfig = BackboneConfig(name="shufflenet")
    height: int = Field(default=128, ge=32, le=4096)  # pixels; every crop is resized to height x width
    width: int = Field(default=64, ge=16, le=4096)
    embedding_dim: int = Field(default=256, ge=2, le=16384)
    last_stride: Literal[1, 2] = 2
    bnneck: bool = True  # see `ReidConfig`
    pooling: Literal["mean", "weighted"] = "mean"
    mirrored: bool = False  # the row of a crop is the mean of its own and its mirror image's: better, takes twice as long


class NanoConfig(Settings):
    """The config.json of a nano model."""

    architecture: Literal["nano"] = "nano"
    name: str = "nano"  # shown to users
    trained_on: str | None = None  # shown to users
    min_score: float = Field(default=MIN_SCORE, ge=0, le=1)  # detections below this score do not enter a gallery
    detector: NanoOptions = NanoOptions()
    embedder: NanoReidOptions = NanoReidOptions()
    calibration: Calibration | None = None
