"""The recipes that have a name: as the papers say, as the authors' code does where it differs, and from scratch.

"paper" follows the text of the papers. Where it is silent (margin and mining of the triplet loss, weight of the mutual
information, clipping of gradients, where the neck's offsets start) it has the code's value. "code" is the released code,
quirks included. A recipe of these starts from a ResNet-50 trained on ImageNet (`backbone_weights`); those on "-scratch" do
not, so nothing in them is frozen.

Sources: arXiv 2109.00211, Sec. IV-A; arXiv 2103.10148, Implementation; daodaofr/AlignPS@5d62dbc (configs);
serend1p1ty/SeqNet@edec285 (defaults.py); dichen-cd/NAE4PS@ec43d1e (README, configs);
Han, Ko and Sim (ICCV 2021), Sec. 5.2. ImageNet weights are never downloaded.
"""

from functools import cache
from pathlib import Path
from typing import Any

from personsearch.errors import ConfigError
from personsearch.options import parse
from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.losses.agwf import AGWFRecipe
from personsearch.training.losses.oim import OIMRecipe
from personsearch.training.losses.regions import ProposalRecipe, RegionRecipe, SamplingRecipe
from personsearch.training.losses.triplet import TripletRecipe
from personsearch.training.recipes.dkd import dkd_recipes
from personsearch.training.recipes.hybrid import BACKBONES, hybrid_recipes, tuned_recipes
from personsearch.training.recipes.schema import DenseLosses, OptimizerRecipe, Recipe, RegionLosses, TridentLosses, TwoBranchLosses

QUEUES = {"cuhk": 5000, "prw": 500}  # unlabelled people that OIM keeps
MIN_SCORES = {"cuhk": 0.2, "prw": 0.15}  # of the evaluations of AlignPS
MULTI_SCALE = AugmentRecipe(sizes=((400, 667), (600, 1000), (800, 1333), (900, 1500), (1000, 1666), (1200, 2000)))
FIRST_LAYERS = ("backbone.conv1", "backbone.bn1")
NEGATIVES_BELOW = SamplingRecipe(negative_iou=0.1)  # NAE's and ROI-AlignPS's; SeqNet's is 0.5
ALIGNPS_DROPS = (16, 22)
# From scratch, our choices; all but the first are measured in benchmarks/ABLATION.md
SCRATCH_RATE = 1e-3
# A third for AlignPS and ROI-AlignPS, as in their papers, and for Trident, unlike in its: without a norm behind them the wide convolutions
# of a neck, and encoders, learn badly at more
SLOW_SCRATCH_RATE = 3.33e-4
OFFSET_RATE = 0.001  # of the learning rate, for deformable offsets
# What Trident's Tables 1 and 2 leave out: changes of the network, and of the numbers of its losses
TRIDENT_ABLATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "agwf": ({}, {"adaptive": False}),
    "parts": ({"partitions": None}, {}),
    "agwf-and-parts": ({"partitions": None}, {"adaptive": False}),
    "binary": ({}, {"binary": False}),
    "unlabelled": ({}, {"unlabelled": False}),
    "binary-and-unlabelled": ({}, {"binary": False, "unlabelled": False}),
}


def _rcnn(architecture: str, data: str) -> Recipe:
    """OIM and NAE; the paper of SeqNet has OIM "the same as in" NAE's."""
    return Recipe(
        name=f"{architecture}-{data}",
        network={"architecture": architecture, "name": f"{architecture}-{data}"},
        losses=RegionLosses(head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0), oim=OIMRecipe(queue_size=QUEUES[data])),
        optimizer=OptimizerRecipe(clip=10.0, biases="all", bias_decay=0.0, warmup_steps="epoch", drops=(16,)),
        epochs=22,
        frozen=FIRST_LAYERS,
    )


def _seqnet(data: str) -> Recipe:
    return Recipe(
        name=f"seqnet-{data}",
        network={"architecture": "seqnet", "name": f"seqnet-{data}"},
        losses=RegionLosses(oim=OIMRecipe(queue_size=QUEUES[data])),
        optimizer=OptimizerRecipe(clip=10.0, warmup_steps="epoch", drops=(16,)),
        epochs=20 if data == "cuhk" else 18,
        frozen=FIRST_LAYERS,
    )


def _trident(data: str, without: str | None = None) -> Recipe:
    """Trident, as a whole or without a part. Its paper takes NAE's numbers for region proposals.

    It gives neither how regions are sampled, nor the weight of the box loss, frozen layers or clipping: they are NAE's too.
    """
    network, reid = ({}, {}) if without is None else TRIDENT_ABLATIONS[without]
    name = f"trident-{data}" if without is None else f"trident-{data}-without-{without}"
    return Recipe(
        name=name,
        network={"architecture": "trident", "name": name, **network},
        losses=TridentLosses(
            head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0), reid=AGWFRecipe(queue_size=QUEUES[data], **reid)
        ),
        optimizer=OptimizerRecipe(clip=10.0, warmup_steps="epoch", warmup_start=0.0, drops=(8,)),
        epochs=14 if data == "cuhk" else 10,
        batch_size=4,
        frozen=FIRST_LAYERS,
    )


def _network(architecture: str, data: str, *, plus: bool = False, **more: Any) -> dict[str, Any]:
    backbone = {"style": "caffe", "norm": "frozen", **({"deformable": [3, 4, 5]} if plus else {})}
    name = f"{architecture}{'-plus' if plus else ''}-{data}"
    return {"architecture": architecture, "name": name, "min_score": MIN_SCORES[data], "backbone": backbone, **more}


def _paper_losses(data: str) -> DenseLosses:
    return DenseLosses(
        oim=OIMRecipe(scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data]),
        triplet=TripletRecipe(table_rows="once"),
    )


def _paper_optimizer() -> OptimizerRecipe:
    return OptimizerRecipe(learning_rate=0.001, warmup_steps=300, warmup_start=1 / 3, drops=ALIGNPS_DROPS, clip=35.0)


def _alignps_paper(data: str, *, plus: bool = False) -> Recipe:
    network = _network("alignps", data, plus=plus)
    return Recipe(
        name=f"{network['name']}-paper",
        network=network,
        losses=_paper_losses(data),
        optimizer=_paper_optimizer(),
        augment=MULTI_SCALE,
        epochs=24,
        batch_size=4,
        frozen=(*FIRST_LAYERS, "backbone.layer1"),
        neck_offsets="spread",
    )


def _code_losses(data: str, *, average: Any, triplet: bool = True) -> DenseLosses:
    """The TriQueue heads: rows of the table are not normalised, a quarter of the queue's numbers is written."""
    return DenseLosses(
        oim=OIMRecipe(scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data], queue_channels=64, unit_rows=False, average=average),
        triplet=TripletRecipe(table_rows="each", skip_identity_zero=True) if triplet else None,
    )


def _alignps_code(data: str, *, plus: bool = False) -> Recipe:
    paper = _alignps_paper(data, plus=plus)
    losses, decay = _code_losses(data, average="all"), 1e-4
    if data == "prw":  # FocalOimSub: another temperature, unit rows, no triplet
        oim = losses.oim.model_copy(update={"scale": 15.0, "queue_scale": 10.0, "unit_rows": True})
        losses, decay = losses.model_copy(update={"oim": oim, "triplet": None}), 7e-4 if plus else 1e-3
    changes = {"weight_decay": decay, "warmup_steps": 500, "biases": "plain", "bias_rate": 2.0, "bias_decay": 0.0}
    return paper.model_copy(
        update={
            "name": f"{paper.network['name']}-code",
            "losses": losses,
            "optimizer": paper.optimizer.model_copy(update=changes),
        }
    )


def _roi_paper(data: str) -> Recipe:
    network = _network("roi-alignps", data, rpn={})
    return _alignps_paper(data).model_copy(
        update={
            "name": f"{network['name']}-paper",
            "network": network,
            "losses": TwoBranchLosses(
                dense=_paper_losses(data),
                head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0),
                oim=OIMRecipe(scale=10.0, focal_gamma=2.0, queue_size=QUEUES[data]),
            ),
        }
    )


def _roi_code(data: str) -> Recipe:
    paper = _roi_paper(data)
    changes = {"learning_rate": 0.0015, "clip": 10.0, "warmup_steps": 1141, "warmup_start": 1 / 200}
    return paper.model_copy(
        update={
            "name": f"{paper.network['name']}-code",
            "losses": TwoBranchLosses(
                dense=_code_losses(data, average="labelled"),
                proposals=ProposalRecipe(box_loss="l1", inside_only=True),
                head=RegionRecipe(sampling=NEGATIVES_BELOW, box_loss="l1", box_weight=10.0),
                oim=OIMRecipe(queue_size=QUEUES[data]),
            ),
            "optimizer": paper.optimizer.model_copy(update=changes),
            "batch_size": 5,
        }
    )


def from_scratch(recipe: Recipe) -> Recipe:
    """The recipe for a network that starts at random: every layer learns, every norm is live, AdamW and a cosine.

    Deformable offsets start at zero and learn slowly: AdamW moves every weight by the learning rate, however small its gradient, and an
    offset is the sum of thousands of them, so that at the full rate taps are thrown about by whole cells in a step.
    """
    backbone = {**recipe.network.get("backbone", {}), "norm": "batch"}
    name = recipe.network["name"] + "-scratch"
    slow = isinstance(recipe.losses, DenseLosses | TwoBranchLosses | TridentLosses)
    return recipe.model_copy(
        update={
            "name": name,
            "network": {**recipe.network, "name": name, "backbone": backbone},
            "frozen": (),
            "neck_offsets": "zero",
            "optimizer": OptimizerRecipe(
                name="adamw",
                learning_rate=SLOW_SCRATCH_RATE if slow else SCRATCH_RATE,
                weight_decay=0.05,
                clip=10.0,
                warmup_steps=500,
                schedule="cosine",
                offset_rate=OFFSET_RATE,
            ),
        }
    )


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe that has a name."""
    made = []
    for data in QUEUES:
        region = [_rcnn("oim", data), _rcnn("nae", data), _seqnet(data), _trident(data)]
        region += [_trident(data, part) for part in TRIDENT_ABLATIONS if data == "prw"]  # where the paper measured them
        region += dkd_recipes(data)
        paper = [_alignps_paper(data), _alignps_paper(data, plus=True), _roi_paper(data)]
        code = [_alignps_code(data), _alignps_code(data, plus=True), _roi_code(data)]
        tuned = tuned_recipes(_rcnn("nae", data), [_alignps_paper(data), _roi_paper(data)])
        made += [*region, *paper, *code, *tuned, *map(from_scratch, region + paper)]
    hybrid = hybrid_recipes()
    made += [*hybrid, *(from_scratch(recipe) for recipe in hybrid if recipe.name.removeprefix("hybrid-") in BACKBONES)]
    return {recipe.name: recipe for recipe in made}


def load_recipe(name_or_file: str | Path) -> Recipe:
    """A recipe by name , or of a JSON file.

    Raises:
        ConfigError: no such name or file, or the file is not a recipe; the message names the field.
    """
    if str(name_or_file) in recipes():
        return recipes()[str(name_or_file)]
    path = Path(name_or_file)
    if not path.is_file():
        raise ConfigError(f"{name_or_file} is neither a file nor a recipe's name; names: {', '.join(sorted(recipes()))}")
    return parse(Recipe, path.read_bytes(), path)
