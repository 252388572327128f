"""The named recipes: as the papers say, as the authors' code does where it differs, and from scratch.

"paper" follows the text of the papers. Where the text is silent (margin and mining of the triplet loss, weight of the mutual
information, gradient clipping, initial offsets of the neck) it takes the code's value. "code" follows the released code, quirks
included. These recipes start from a ResNet-50 (SeqNeXt's from a ConvNeXt-Base) trained on ImageNet (`backbone_weights`);
"-scratch" recipes start from random weights and freeze nothing.

Sources: arXiv 2109.00211, Sec. IV-A; arXiv 2103.10148, Implementation; daodaofr/AlignPS@5d62dbc (configs);
serend1p1ty/SeqNet@edec285 (defaults.py, engine.py); dichen-cd/NAE4PS@ec43d1e (README, configs, lib/utils, lib/datasets);
Han, Ko and Sim (ICCV 2021), Sec. 5.2. ImageNet weights are never downloaded.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from personsearch.errors import ConfigError
from personsearch.models.alignps import AlignPSConfig
from personsearch.models.config import BackboneConfig
from personsearch.models.parts.rpn import ProposalConfig
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.roi_alignps import ROIAlignPSConfig
from personsearch.models.seqnet import SeqNetConfig
from personsearch.models.trident import TridentConfig
from personsearch.options import parse
from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.losses.agwf import AGWFRecipe
from personsearch.training.losses.oim import Average, OIMRecipe
from personsearch.training.losses.regions import ProposalRecipe, RegionRecipe
from personsearch.training.losses.triplet import TripletRecipe
from personsearch.training.recipes.ablations import alignps_variants, seqnet_builders, two_branch_variants
from personsearch.training.recipes.common import DATA, FIRST_LAYERS, NEGATIVES_BELOW, QUEUES, Builder, Data, changed, network_of
from personsearch.training.recipes.dkd import dkd_builders
from personsearch.training.recipes.hybrid import BACKBONES, hybrid_builders, posetrack21_builders, tuned_builders
from personsearch.training.recipes.schema import (
    DenseLosses,
    OptimizerRecipe,
    Recipe,
    RegionLosses,
    TridentLosses,
    TwoBranchLosses,
)
from personsearch.training.recipes.seqnext import seqnext_builders

MIN_SCORES: dict[Data, float] = {"cuhk": 0.2, "prw": 0.15}  # in the evaluations of AlignPS
MULTI_SCALE = AugmentRecipe(sizes=((400, 667), (600, 1000), (800, 1333), (900, 1500), (1000, 1666), (1200, 2000)))
ALIGNPS_DROPS = (16, 22)
MMDET_BATCHES: dict[str, Any] = {"by_aspect": True, "last_batch": "fill"}  # mmdet's GroupSampler
# Our choices for training from scratch; all but the first are measured in benchmarks/ablation/ABLATION.md
SCRATCH_RATE = 1e-3
# A third for AlignPS and ROI-AlignPS, as in their papers, and for Trident, unlike in its paper: wide convolutions of a neck, and
# encoders, learn badly at higher rates when no norm follows them
SLOW_SCRATCH_RATE = 3.33e-4
OFFSET_RATE = 0.001  # factor on the learning rate, for deformable offsets


@dataclass(frozen=True)
class Ablation:
    """The parts of Trident that a row of its Tables 1 and 2 keeps."""

    parts: bool = True
    adaptive: bool = True
    binary: bool = True
    unlabelled: bool = True


TRIDENT_ABLATIONS = {
    "agwf": Ablation(adaptive=False),
    "parts": Ablation(parts=False),
    "agwf-and-parts": Ablation(parts=False, adaptive=False),
    "binary": Ablation(binary=False),
    "unlabelled": Ablation(unlabelled=False),
    "binary-and-unlabelled": Ablation(binary=False, unlabelled=False),
}


@cache
def builders() -> dict[str, Builder]:
    """The function that builds each named recipe; building happens when it is called."""
    of_data = {name: build for data in DATA for name, build in _data_builders(data).items()}
    of_data |= posetrack21_builders(of_data["roi-alignps-prw-pretrained"])
    hybrid = hybrid_builders()
    return of_data | hybrid | _scratch({name: build for name, build in hybrid.items() if name.removeprefix("hybrid-") in BACKBONES})


@cache
def recipes() -> dict[str, Recipe]:
    """Every named recipe, built."""
    return {name: build() for name, build in builders().items()}


def load_recipe(name_or_file: str | Path) -> Recipe:
    """A recipe by name, or from a JSON file.

    Raises:
        ConfigError: the name and the file are unknown, or the file is not a recipe; the message names the field.
    """
    builder = builders().get(str(name_or_file))
    if builder is not None:
        return builder()
    path = Path(name_or_file)
    if not os.path.isfile(path):
        raise ConfigError(f"unknown recipe {str(name_or_file)!r}; pass a JSON file, or one of: {', '.join(sorted(builders()))}")
    return parse(Recipe, path.read_bytes(), path)


def from_scratch(recipe: Recipe) -> Recipe:
    """The recipe for a network with random weights: every layer learns, every norm is live, with AdamW and a cosine schedule.

    Deformable offsets start at zero and learn slowly. AdamW moves every weight by the learning rate, however small its gradient,
    and an offset sums thousands of weights: at the full rate one step moves taps by whole cells.
    """
    backbone = {**recipe.network.get("backbone", {}), "norm": "batch"}
    name = recipe.network["name"] + "-scratch"
    without_norm = isinstance(recipe.losses, TridentLosses) and not recipe.network.get("encoder_norm", False)
    slow = isinstance(recipe.losses, DenseLosses | TwoBranchLosses) or without_norm
    return changed(
        recipe,
        name=name,
        network={**recipe.network, "name": name, "backbone": backbone},
        frozen=(),
        neck_offsets="zero",
        last_batch="short",  # for small data
        by_aspect=False,
        optimizer=OptimizerRecipe(
            name="adamw",
            learning_rate=SLOW_SCRATCH_RATE if slow else SCRATCH_RATE,
            weight_decay=0.05,
            clip=10.0,
            warmup_steps=500,
            schedule="cosine",
            offset_rate=OFFSET_RATE,
        ),
    )


def _data_builders(data: Data) -> dict[str, Builder]:
    """All recipes of one data set. The ablations of Trident are those of PRW, on which its paper measured them."""
    region: dict[str, Builder] = {
        f"oim-{data}": partial(_rcnn, "oim", data),
        f"nae-{data}": partial(_rcnn, "nae", data),
        f"seqnet-{data}": partial(_seqnet, data),
        **seqnet_builders(data, partial(_seqnet, data)),
        f"trident-{data}": partial(_trident, data),
        f"trident-{data}-with-norm": partial(_trident, data, encoder_norm=True),
        **{f"trident-{data}-without-{part}": partial(_trident, data, part) for part in TRIDENT_ABLATIONS if data == "prw"},
        **dkd_builders(data),
    }
    paper: dict[str, Builder] = {
        f"alignps-{data}": partial(_alignps_paper, data),
        f"alignps-plus-{data}": partial(_alignps_paper, data, plus=True),
        f"roi-alignps-{data}": partial(_roi_paper, data),
    }
    code: dict[str, Builder] = {
        f"alignps-{data}-code": partial(_alignps_code, data),
        f"alignps-plus-{data}-code": partial(_alignps_code, data, plus=True),
        f"roi-alignps-{data}-code": partial(_roi_code, data),
    }
    variants = alignps_variants(f"alignps-{data}", paper[f"alignps-{data}"]) | two_branch_variants(
        f"roi-alignps-{data}", paper[f"roi-alignps-{data}"]
    )
    whole = {name: paper[name] for name in (f"alignps-{data}", f"roi-alignps-{data}")}
    tuned = tuned_builders(f"nae-{data}", region[f"nae-{data}"], whole)
    named = {f"{name}-paper": build for name, build in paper.items()}
    return {**region, **seqnext_builders(data), **named, **code, **variants, **tuned, **_scratch(region | paper | variants)}


def _scratch(starts: Mapping[str, Builder]) -> dict[str, Builder]:
    def build(start: Builder) -> Recipe:
        return from_scratch(start())

    return {f"{name}-scratch": partial(build, start) for name, start in starts.items()}


def _rcnn(architecture: Literal["oim", "nae"], data: Data) -> Recipe:
    """OIM and NAE; SeqNet's paper has OIM "the same as in" NAE's."""
    name = f"{architecture}-{data}"
    return Recipe(
        name=name,
        network=network_of(RCNNConfig(architecture=architecture, name=name)),
        losses=RegionLosses(head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0), oim=OIMRecipe(queue_size=QUEUES[data])),
        optimizer=OptimizerRecipe(clip=10.0, biases="all", bias_decay=0.0, warmup_steps="epoch_less_one", drops=(16,)),
        epochs=22,
        last_batch="drop",
        frozen=FIRST_LAYERS,
    )


def _seqnet(data: Data) -> Recipe:
    name = f"seqnet-{data}"
    return Recipe(
        name=name,
        network=network_of(SeqNetConfig(architecture="seqnet", name=name)),
        losses=RegionLosses(oim=OIMRecipe(queue_size=QUEUES[data])),
        optimizer=OptimizerRecipe(clip=10.0, warmup_steps="epoch_less_one", drops=(16,)),
        epochs=20 if data == "cuhk" else 18,
        last_batch="drop",
        frozen=FIRST_LAYERS,
    )


def _trident(data: Data, without: str | None = None, *, encoder_norm: bool = False) -> Recipe:
    """Trident, as a whole or without one part. Its paper takes NAE's numbers for region proposals.

    The paper gives neither the sampling of regions, nor the weight of the box loss, frozen layers or clipping: these are NAE's too.
    """
    name = f"trident-{data}" if without is None else f"trident-{data}-without-{without}"
    name += "-with-norm" if encoder_norm else ""
    keeps = Ablation() if without is None else TRIDENT_ABLATIONS[without]
    network = network_of(TridentConfig(architecture="trident", name=name))
    network |= ({} if keeps.parts else {"partitions": None}) | ({"encoder_norm": True} if encoder_norm else {})
    return Recipe(
        name=name,
        network=network,
        losses=TridentLosses(
            head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0),
            reid=AGWFRecipe(queue_size=QUEUES[data], adaptive=keeps.adaptive, binary=keeps.binary, unlabelled=keeps.unlabelled),
        ),
        optimizer=OptimizerRecipe(clip=10.0, warmup_steps="epoch", warmup_start=0.0, drops=(8,)),
        epochs=14 if data == "cuhk" else 10,
        batch_size=4,
        frozen=FIRST_LAYERS,
    )


def _alignps_paper(data: Data, *, plus: bool = False) -> Recipe:
    name = f"alignps-plus-{data}" if plus else f"alignps-{data}"
    backbone = _alignps_backbone(plus=plus)
    config = AlignPSConfig(architecture="alignps", name=name, min_score=MIN_SCORES[data], backbone=backbone)
    return _paper(name, config, _paper_losses(data))


def _alignps_code(data: Data, *, plus: bool = False) -> Recipe:
    """On PRW the code's losses are FocalOimSub: another temperature, unit rows and no triplet loss."""
    paper = _alignps_paper(data, plus=plus)
    losses, decay = _code_losses(data, average="all"), 1e-4
    if data == "prw":
        oim = OIMRecipe(scale=15.0, queue_scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data], queue_channels=64, average="all")
        losses, decay = DenseLosses(oim=oim, triplet=None), 7e-4 if plus else 1e-3
    rates = changed(paper.optimizer, weight_decay=decay, warmup_steps=500, biases="plain", bias_rate=2.0, bias_decay=0.0)
    return changed(paper, name=f"{paper.network['name']}-code", losses=losses, optimizer=rates, **MMDET_BATCHES)


def _roi_paper(data: Data) -> Recipe:
    name, backbone = f"roi-alignps-{data}", _alignps_backbone(plus=False)
    config = ROIAlignPSConfig(architecture="roi-alignps", name=name, min_score=MIN_SCORES[data], backbone=backbone, rpn=ProposalConfig())
    losses = TwoBranchLosses(
        dense=_paper_losses(data),
        head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0),
        oim=OIMRecipe(scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data]),
    )
    return _paper(name, config, losses)


def _roi_code(data: Data) -> Recipe:
    paper = _roi_paper(data)
    losses = TwoBranchLosses(
        dense=_code_losses(data, average="labelled"),
        proposals=ProposalRecipe(matching="mmdet", inside_only=True, min_side=0),
        head=RegionRecipe(sampling=changed(NEGATIVES_BELOW, people_first=True), box_loss="l1", box_weight=10.0),
        oim=OIMRecipe(queue_size=QUEUES[data]),
    )
    network = {**paper.network, "rpn": network_of(ProposalConfig(rounded=False))}
    rates = changed(paper.optimizer, learning_rate=0.0015, clip=10.0, warmup_steps=1141, warmup_start=1 / 200)
    return changed(
        paper, name=f"{paper.network['name']}-code", network=network, losses=losses, optimizer=rates, batch_size=5, **MMDET_BATCHES
    )


def _alignps_backbone(*, plus: bool) -> BackboneConfig:
    if plus:
        return BackboneConfig(style="caffe", norm="frozen", deformable=(3, 4, 5))
    return BackboneConfig(style="caffe", norm="frozen")


def _paper(name: str, config: AlignPSConfig, losses: DenseLosses | TwoBranchLosses) -> Recipe:
    """The schedule that AlignPS and ROI-AlignPS share."""
    return Recipe(
        name=f"{name}-paper",
        network=network_of(config),
        losses=losses,
        optimizer=OptimizerRecipe(learning_rate=0.001, warmup_steps=300, warmup_start=1 / 3, drops=ALIGNPS_DROPS, clip=35.0),
        augment=MULTI_SCALE,
        epochs=24,
        batch_size=4,
        frozen=(*FIRST_LAYERS, "backbone.layer1"),
        neck_offsets="spread",
    )


def _paper_losses(data: Data) -> DenseLosses:
    return DenseLosses(
        oim=OIMRecipe(scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data]),
        triplet=TripletRecipe(table_rows="once"),
    )


def _code_losses(data: Data, *, average: Average) -> DenseLosses:
    """The losses of the TriQueue heads: rows of the table are not normalised, and the queue keeps a quarter of each feature."""
    return DenseLosses(
        oim=OIMRecipe(scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data], queue_channels=64, unit_rows=False, average=average),
        triplet=TripletRecipe(table_rows="each", skip_identity_zero=True),
    )
