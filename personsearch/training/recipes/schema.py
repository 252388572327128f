"""Recipes: all that decides a training, as one object that a JSON file can hold."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from personsearch.models.alignps import AlignPSConfig
from personsearch.models.dkd import DKDConfig
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.reid import ReidConfig
from personsearch.models.roi_alignps import ROIAlignPSConfig
from personsearch.models.seqnet import SeqNetConfig
from personsearch.models.seqnext import SeqNeXtConfig
from personsearch.models.trident import TridentConfig
from personsearch.options import Precision, Settings, parse
from personsearch.training.data.batches import AugmentRecipe, LastBatch
from personsearch.training.data.crop_augment import ErasingRecipe, ShiftRecipe
from personsearch.training.initialise import InitialRecipe, NeckOffsets
from personsearch.training.losses.agwf import AGWFRecipe
from personsearch.training.losses.dense import DenseRecipe
from personsearch.training.losses.distillation import DistillationRecipe
from personsearch.training.losses.mutual import MutualRecipe
from personsearch.training.losses.oim import OIMRecipe
from personsearch.training.losses.regions import ProposalRecipe, RegionRecipe
from personsearch.training.losses.scenes import SceneFilterRecipe
from personsearch.training.losses.triplet import TripletRecipe
from personsearch.training.pretraining import PretrainingRecipe

BiasRule = Literal["none", "all", "plain"]
# Steps, or the first epoch: its next step ("epoch") or its last one ("epoch_less_one", NAE's and SeqNet's code) has the whole rate
WarmUp = int | Literal["epoch", "epoch_less_one"]


class RegionLosses(Settings):
    """What OIM, NAE and SeqNet learn from."""

    proposals: ProposalRecipe = ProposalRecipe()
    first: RegionRecipe = RegionRecipe(box_weight=10.0)  # SeqNet's first head; the others have none
    head: RegionRecipe = RegionRecipe()
    oim: OIMRecipe = OIMRecipe()


class SeqNeXtLosses(RegionLosses):
    """What SeqNeXt learns from; `scenes` with GFN alone."""

    scenes: SceneFilterRecipe = SceneFilterRecipe()


class DenseLosses(Settings):
    """What AlignPS learns from."""

    detection: DenseRecipe = DenseRecipe()
    oim: OIMRecipe = OIMRecipe(scale=10.0, focal_gamma=2.0)
    triplet: TripletRecipe | None = TripletRecipe()


class TwoBranchLosses(Settings):
    """What ROI-AlignPS learns from."""

    dense: DenseLosses = DenseLosses()
    proposals: ProposalRecipe = ProposalRecipe()
    head: RegionRecipe = RegionRecipe()
    oim: OIMRecipe = OIMRecipe()
    mutual: MutualRecipe | None = MutualRecipe()


class TridentLosses(Settings):
    """What Trident learns from."""

    proposals: ProposalRecipe = ProposalRecipe()
    head: RegionRecipe = RegionRecipe(box_weight=10.0)
    reid: AGWFRecipe = AGWFRecipe()


class ReidLosses(Settings):
    """What a crop network (DKD's teacher) learns from: softmax cross-entropy."""

    shift: ShiftRecipe | None = ShiftRecipe()  # ISA (the paper's R-2); None: zero padding
    padding: int = Field(default=10, ge=0)  # zeros on every side of a resized crop, of R-1 alone
    erasing: ErasingRecipe | None = ErasingRecipe()


class DKDLosses(Settings):
    """What DKD's student learns from."""

    proposals: ProposalRecipe = ProposalRecipe()
    head: RegionRecipe = RegionRecipe(box_weight=10.0)
    reid_weight: float = Field(default=0.1, ge=0)  # lambda of Eq. 5; 0 learns to detect only (the paper's D)
    distillation: DistillationRecipe | None = DistillationRecipe()  # None: from identities alone (Ours-0)
    teacher: Path | None = None  # the folder of a trained crop network


Losses = SeqNeXtLosses | RegionLosses | DenseLosses | TwoBranchLosses | TridentLosses | ReidLosses | DKDLosses
# the config and the losses of each architecture
FAMILIES: dict[str, tuple[type[Settings], type[Losses]]] = {
    "oim": (RCNNConfig, RegionLosses),
    "nae": (RCNNConfig, RegionLosses),
    "seqnet": (SeqNetConfig, RegionLosses),
    "seqnext": (SeqNeXtConfig, SeqNeXtLosses),
    "dkd": (DKDConfig, DKDLosses),
    "reid": (ReidConfig, ReidLosses),
    "trident": (TridentConfig, TridentLosses),
    "alignps": (AlignPSConfig, DenseLosses),
    "roi-alignps": (ROIAlignPSConfig, TwoBranchLosses),
}


class OptimizerRecipe(Settings):
    """Optimizer and learning rate."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.003, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # AdamW's first beta
    weight_decay: float = Field(default=5e-4, ge=0)
    biases: BiasRule = "none"  # which biases have rules of their own; "plain": not those of norms and deformable offsets
    bias_rate: float = Field(default=1.0, ge=0)  # factor on the learning rate of such biases
    bias_decay: float = Field(default=1.0, ge=0)  # factor on their weight decay
    offset_rate: float = Field(default=1.0, ge=0)  # factor on the learning rate of deformable offsets
    clip: float | None = Field(default=None, gt=0)  # greatest length of the gradient
    warmup_steps: WarmUp = 0  # linear
    warmup_start: float = Field(default=0.001, ge=0, le=1)  # factor on the learning rate at step 0
    schedule: Literal["steps", "cosine"] = "steps"
    drops: tuple[int, ...] = ()  # epochs from which on the rate is multiplied by `drop_factor`
    drop_factor: float = Field(default=0.1, gt=0, le=1)


class Recipe(Settings):
    """Everything about a training but the data."""

    name: str  # for people to read
    network: dict[str, Any]  # the model's config.json
    losses: Losses
    optimizer: OptimizerRecipe = OptimizerRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=5, ge=1)
    # where the pictures do not fill the last batch: "drop" it (NAE's and SeqNet's code), or "fill" it with others (mmdet)
    last_batch: LastBatch = "short"
    by_aspect: bool = False  # no batch has wide and tall pictures; mmdet
    accumulate: int = Field(default=1, ge=1)  # batches to one step of the optimizer
    share: float = Field(default=1.0, gt=0, le=1)  # of the pictures, chosen by the seed (hybrid pre-training, Fig. 5)
    frozen: tuple[str, ...] = ()  # beginnings of the names of parameters that do not learn
    backbone_weights: Path | None = None  # a classifier's weights under torchvision's names, .pth or .safetensors
    initial: InitialRecipe | None = None  # a model to start from, whole or its backbone
    precision: Precision = "float32"
    neck_offsets: NeckOffsets = "zero"  # of AlignPS, at the start
    pretraining: PretrainingRecipe | None = None  # learn from data sets of the sub-tasks (OIM, NAE and SeqNet)
    seed: int = Field(default=1, ge=0)
    evaluate_every: int = Field(default=1, ge=1)  # epochs

    @model_validator(mode="before")
    @classmethod
    def _network_and_losses(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("network"), dict):
            return values
        architecture = values["network"].get("architecture")
        if architecture not in FAMILIES:
            raise ValueError(f"network.architecture is {architecture!r}; pass one of: {', '.join(FAMILIES)}")
        config, losses = FAMILIES[architecture]
        parse(config, values["network"], "network")
        return values | {"losses": losses.model_validate(values.get("losses", {}))}

    @model_validator(mode="after")
    def _one_start(self) -> "Recipe":
        if self.initial is not None and self.backbone_weights is not None:
            raise ValueError("initial and backbone_weights both start the backbone; leave one out")
        return self

    @model_validator(mode="after")
    def _possible_pretraining(self) -> "Recipe":
        if self.pretraining is not None and type(self.losses) is not RegionLosses:
            raise ValueError(f"pretraining is for oim, nae and seqnet, not for {self.network['architecture']}, which can start from theirs")
        if self.pretraining is not None and self.share < 1:
            raise ValueError("share is for data of the whole task; name fewer data sets in pretraining")
        return self
