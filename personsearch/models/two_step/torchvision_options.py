"""The options of a torchvision detector, which are read without PyTorch."""

from pydantic import Field

from personsearch.options import Settings


class TorchvisionOptions(Settings):
    """Label and threshold of a torchvision detector."""

    person_label: int = Field(default=1, ge=0)  # 1 in COCO
    score_threshold: float = Field(
        default=0.1, ge=0, le=1
    )  # people below this score are not embedded; the network has a threshold of its own too


class TorchvisionFileOptions(TorchvisionOptions):
    """Facts about the network that its weights file does not hold."""

    network: str  # name for torchvision.models.get_model
    num_classes: int = Field(default=91, ge=1, le=10_000)  # including the background
    # eps of batch norm; 0 for torchvision's COCO_V1 weights of *rcnn and retinanet on resnet50_fpn
    norm_eps: float | None = Field(default=None, ge=0)
