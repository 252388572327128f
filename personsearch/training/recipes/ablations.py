"""Rows of the papers' tables and figures that need another training: SeqNet's, AlignPS's and ROI-AlignPS's.

Rows that differ at search only are fields of a model's config.json: `first_nms`, `first_score` (SeqNet, Table 3), `branch` (ROI-AlignPS,
Table VI).

Sources: arXiv 2103.10148, Eq. 1, Tables 3 and 6; arXiv 2109.00211, Fig. 6, Tables V to VII.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from personsearch.training.losses.mutual import MutualRecipe
from personsearch.training.recipes.common import Builder, Data, changed
from personsearch.training.recipes.schema import Recipe

# SeqNet, Table 3, below: what the second head learns beside identities; its box loss and its class loss
SECOND_HEAD = {"reid-only": (0.0, 0.0), "reid-and-boxes": (1.0, 0.0), "reid-and-classes": (0.0, 1.0)}
# Fig. 6: the baseline is FCOS with P3 to P7 and a re-id head of its own beside the detecting ones
BASELINE = {"levels": [3, 4, 5, 6, 7], "lateral_deform": False, "output_deform": False, "aggregation": "sum", "structure": "T3"}
ALIGNMENTS: dict[str, dict[str, Any]] = {
    "scale": {"levels": [3]},
    "region": {"lateral_deform": True, "output_deform": True, "aggregation": "concat"},
    "task": {"structure": "reid-first"},
}
FIG_6 = ((), ("scale",), ("region",), ("task",), ("scale", "region"), ("scale", "task"), ("region", "task"))  # all three: AlignPS
TABLE_V = {"res3": [3], "res3-res4": [3, 4]}  # deformable stages of the backbone; with res5 as well it is AlignPS+
TERMS = {"mi": "information", "kl": "divergence", "dv": "diversity"}  # Table VII
TABLE_VII = (("kl",), ("dv",), ("mi", "kl"), ("mi", "dv"), ("kl", "dv"), ("mi", "kl", "dv"))
MUTUAL_WEIGHT = 0.2  # of the mutual information in the authors' code; the paper prints no weights


def seqnet_builders(data: Data, seqnet: Builder) -> dict[str, Builder]:
    """SeqNet with Eq. 1 and the warm-up as printed, on OIM (Table 6), and with fewer tasks of the second head (Table 3, of CUHK-SYSU)."""
    name = f"seqnet-{data}"
    built: dict[str, Builder] = {f"{name}-paper": partial(_as_printed, seqnet), f"seqnet-oim-{data}": partial(_on_oim, seqnet, data)}
    if data == "cuhk":
        built |= {f"{name}-{tasks}": partial(_second_head, seqnet, tasks) for tasks in SECOND_HEAD}
    return built


def alignps_variants(name: str, alignps: Builder) -> dict[str, Builder]:
    """The rows of Fig. 6 and of Table V."""
    built: dict[str, Builder] = {}
    for parts in FIG_6:
        network = BASELINE | {key: value for part in parts for key, value in ALIGNMENTS[part].items()}
        ending = "-".join(("baseline", *parts))
        built[f"{name}-{ending}"] = partial(_changed_network, alignps, f"{name}-{ending}", network)
    for ending, stages in TABLE_V.items():
        backbone = {"backbone": {"deformable": stages}}
        built[f"{name}-{ending}"] = partial(_changed_network, alignps, f"{name}-{ending}", backbone)
    return built


def two_branch_variants(name: str, roi_alignps: Builder) -> dict[str, Builder]:
    """The rows of Tables VI and VII."""
    built: dict[str, Builder] = {
        f"{name}-without-mutual": partial(_two_branches, roi_alignps, f"{name}-without-mutual"),
        f"{name}-without-rpn": partial(_two_branches, roi_alignps, f"{name}-without-rpn", {"rpn": None}),
        f"{name}-roi-only": partial(_two_branches, roi_alignps, f"{name}-roi-only", {"rpn": None, "branch": "roi"}),
    }
    for terms in TABLE_VII:
        ending = "-".join(terms)
        built[f"{name}-{ending}"] = partial(_two_branches, roi_alignps, f"{name}-{ending}", terms=terms)
    return built


def _as_printed(seqnet: Builder) -> Recipe:
    recipe = seqnet()
    losses: Any = recipe.losses
    first, head = (changed(one, box_mean="people") for one in (losses.first, losses.head))
    printed = changed(recipe, losses=changed(losses, first=first, head=head), optimizer=changed(recipe.optimizer, warmup_steps="epoch"))
    return _changed_network(lambda: printed, f"{recipe.name}-paper", {})


def _on_oim(seqnet: Builder, data: Data) -> Recipe:
    return _changed_network(seqnet, f"seqnet-oim-{data}", {"baseline": "oim"})


def _second_head(seqnet: Builder, tasks: str) -> Recipe:
    recipe = seqnet()
    losses: Any = recipe.losses
    boxes, classes = SECOND_HEAD[tasks]
    head = changed(losses.head, box_weight=boxes, class_weight=classes)
    network = {} if boxes else {"second_boxes": False}
    return _changed_network(lambda: changed(recipe, losses=changed(losses, head=head)), f"{recipe.name}-{tasks}", network)


def _two_branches(roi_alignps: Builder, name: str, network: Mapping[str, Any] | None = None, *, terms: tuple[str, ...] = ()) -> Recipe:
    recipe = _changed_network(roi_alignps, name, network or {})
    losses: Any = recipe.losses
    weights = {field: MUTUAL_WEIGHT if term in terms else 0.0 for term, field in TERMS.items()}
    return changed(recipe, losses=changed(losses, mutual=MutualRecipe.model_validate(weights) if terms else None))


def _changed_network(build: Builder, name: str, network: Mapping[str, Any]) -> Recipe:
    """The recipe under another name, with other fields of the network; those of the backbone are merged."""
    recipe = build()
    values = {**recipe.network, **network, "name": name}
    if "backbone" in network:
        values["backbone"] = {**recipe.network["backbone"], **network["backbone"]}
    return changed(recipe, name=name, network=values)
