"""The rows of the ablation as data: what each row trains or measures again, and its recipe at the benchmark's size.

All rows share one small backbone, one input size and one budget of steps. The papers start from ImageNet; the rows here start from
`start`, a network trained to tell crops of people of another world apart. The rows about pre-training start at random, because `start`
has learned people, as ImageNet has not, and leaves nothing to gain. No layer is frozen (the catalogue's `-scratch` recipes).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from personsearch.training.initialise import InitialRecipe
from personsearch.training.recipes.catalogue import SLOW_SCRATCH_RATE, recipes
from personsearch.training.recipes.schema import Recipe

HEIGHT, WIDTH = 192, 320  # size of the pictures and of the input: no resizing, no padding
SMALLEST = 76  # least height of a person in pixels: five cells of stride 16; people half as high could not be learned in the budget
STEPS = 1500
MEASUREMENTS = 5  # points of a learning curve
BATCH = 4  # pictures
TEACHER_BATCH = 16  # pictures, about 50 people with a name
START_BATCH = 64  # crops
SHARE = HEIGHT / 800  # scale of lengths that the papers print in pixels, at a short side of 800
BACKBONE = {"name": "resnet18", "width": 0.25, "style": "pytorch", "norm": "batch", "deformable": []}
CROP = (128, 64)  # input of a teacher
ANCHORS = {"anchor_sizes": [16, 32, 64, 128, 256], "before_nms": 1000, "after_nms": 100}
PROPOSALS = {"before_nms": 1000, "after_nms": 200}
HEAD = {"sampling": {"count": 16}}  # regions per picture, which holds about four people
SCENES = {"short_side": HEIGHT, "long_side": WIDTH, "min_score": 0.15}
REGIONS = SCENES | {"embedding_dim": 128, "keep_score": 0.05, "proposals": ANCHORS}
REGION_LOSSES = {"proposals": PROPOSALS, "head": HEAD}
NETWORKS: dict[str, dict[str, Any]] = {
    "oim": REGIONS,
    "nae": REGIONS,
    "seqnet": REGIONS,
    "trident": REGIONS,
    "dkd": REGIONS,
    "reid": {"embedding_dim": 128, "height": CROP[0], "width": CROP[1]},
    "alignps": SCENES | {"channels": 64},
    "roi-alignps": SCENES | {"channels": 64},
}
SHIFT = {"padding": 5.0, "most": 40 * SHARE}  # the paper's 10 are pixels of a crop of 256 x 128
LOSSES: dict[str, dict[str, Any]] = {
    "oim": REGION_LOSSES,
    "nae": REGION_LOSSES,
    "seqnet": REGION_LOSSES | {"first": HEAD},
    "trident": REGION_LOSSES,
    "dkd": REGION_LOSSES,
    "reid": {"padding": 5},
    "alignps": {},
    "roi-alignps": REGION_LOSSES,
}
# two data sets for each sub-task; one of the crops is unlabelled
SUB_TASKS = {"detection": ["coco", "coco"], "reid": ["crops", "unlabelled-crops"], "unify": {"size": [HEIGHT, WIDTH], "ratios": [2.0, 8.0]}}


START = "start"


@dataclass(frozen=True)
class Row:
    """A training, or another measurement of another row's model."""

    name: str
    recipe: str = ""  # name in the catalogue, without "-scratch"; "" trains nothing
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)  # changes of the recipe; with `of`, of the model's config.json
    of: str = ""  # row whose model is measured again
    detector: str = ""  # with `of`: row whose model detects the people
    true_boxes: bool = False  # with `of`: embed the true boxes instead of detections
    cbgm: bool = False  # with `of`: rank by CBGM
    teacher: str = ""  # row whose crop network teaches
    initial: str = START  # row whose model this one starts from; "" starts at random
    whole: bool = False  # start from the whole model, not from its backbone alone
    learns_from: Literal["scenes", "sub-tasks", "crops"] = "scenes"
    main: bool = False  # trained with more seeds

    @property
    def needs(self) -> tuple[str, ...]:
        """Rows that must be done first, with the same seed."""
        return tuple(filter(None, (self.of, self.detector) if self.of else (self.teacher, self.initial)))

    @property
    def serves(self) -> bool:
        """Whether another row starts from it or is taught by it."""
        return any(self.name in (other.initial, other.teacher) for other in ROWS.values())

    @property
    def is_measured(self) -> bool:
        """Whether it is in the table, and more than a start of other rows."""
        return self.learns_from == "scenes"


def _network(**changes: Any) -> dict[str, Any]:
    return {"network": changes}


def _mutual(information: float = 0.0, divergence: float = 0.0, diversity: float = 0.0) -> dict[str, Any]:
    """Weights of the mutual terms; the paper prints none, so all take the first one's in the authors' code."""
    return {"losses": {"mutual": {"information": information, "divergence": divergence, "diversity": diversity}}}


def _region_rows() -> list[Row]:
    return [
        Row("oim", "oim-prw", main=True),
        Row("nae", "nae-prw", main=True),
        Row("nae-slow", "nae-prw", {"optimizer": {"learning_rate": SLOW_SCRATCH_RATE}}),  # at Trident's rate
        Row("nae-serial", of="nae", changes={"serial": True}),
        Row("nae-true-boxes", of="nae", true_boxes=True),
        Row(
            "nae-naes-boxes", of="nae", detector="nae"
        ),  # the paper compares nae-serial, whose second pass moves and scores the boxes once more
        Row("nae-seqnets-boxes", of="nae", detector="seqnet"),
        Row("seqnet", "seqnet-prw", main=True),
        Row("seqnet-without-fcs", of="seqnet", changes={"first_score": False}),
        Row("seqnet-true-boxes", of="seqnet", true_boxes=True),
        Row("seqnet-naes-boxes", of="seqnet", detector="nae"),
        Row("seqnet-cbgm", of="seqnet", cbgm=True),
        Row("seqnet-oim", "seqnet-prw", _network(baseline="oim")),
        Row("seqnet-oim-cbgm", of="seqnet-oim", cbgm=True),
    ]


def _dense_rows() -> list[Row]:
    plain = {"lateral_deform": False, "output_deform": False, "aggregation": "sum"}
    changes: dict[str, dict[str, Any]] = {
        "without-lateral": _network(lateral_deform=False),
        "without-output": _network(output_deform=False),
        "without-concat": _network(aggregation="sum"),
        "p4": _network(levels=[4]),
        "p5": _network(levels=[5]),
        "p3-p4": _network(levels=[3, 4]),
        "p3-p4-p5": _network(levels=[3, 4, 5]),
        "t1": _network(structure="T1"),
        "t2": _network(structure="T2"),
        "t3": _network(structure="T3"),
        "oim": {"losses": {"triplet": None}},
        "toim-without-lut": {"losses": {"triplet": {"table_rows": "none"}}},
    }
    rows = [Row("alignps", "alignps-prw", main=True), Row("alignps-without-region", "alignps-prw", _network(**plain), main=True)]
    # AdamW at the recipe's rate moves an offset by less than .38 cells in the whole training; under SGD it follows its gradient
    sgd = {"optimizer": {"name": "sgd", "learning_rate": 0.01, "weight_decay": 5e-4, "offset_rate": 0.1}}
    rows += [Row("alignps-sgd", "alignps-prw", sgd), Row("alignps-sgd-without-region", "alignps-prw", sgd | _network(**plain))]
    return rows + [Row(f"alignps-{ending}", "alignps-prw", change) for ending, change in changes.items()]


def _two_branch_rows() -> list[Row]:
    none: dict[str, Any] = {"losses": {"mutual": None}}
    changes: dict[str, dict[str, Any]] = {
        "without-mutual": none,
        "kl": _mutual(divergence=0.2),
        "dv": _mutual(diversity=0.2),
        "mi-kl": _mutual(0.2, 0.2),
        "mi-dv": _mutual(0.2, 0.0, 0.2),
        "kl-dv": _mutual(0.0, 0.2, 0.2),
        "mi-kl-dv": _mutual(0.2, 0.2, 0.2),
        "without-rpn": none | _network(rpn=None),
        "roi-only": none | _network(rpn=None, branch="roi"),
    }
    rows = [Row("roi-alignps", "roi-alignps-prw", _mutual(0.2), main=True)]
    rows += [Row(f"roi-alignps-{ending}", "roi-alignps-prw", change) for ending, change in changes.items()]
    for source in ("without-mutual", "without-rpn"):
        for branch in ("alignps", "roi"):
            rows.append(Row(f"roi-alignps-{source}-{branch}-branch", of=f"roi-alignps-{source}", changes={"branch": branch}))
    return rows


def _trident_rows() -> list[Row]:
    # the binary and the unlabelled term belong together: the paper (Sec. 5.3, Table 2) leaves out both, because one alone is biased
    parts = ("agwf", "parts", "agwf-and-parts", "binary-and-unlabelled")
    whole = [Row("trident", "trident-prw", main=True), Row("trident-with-norm", "trident-prw-with-norm")]  # the latter at NAE's rate
    return whole + [Row(f"trident-without-{part}", f"trident-prw-without-{part}") for part in parts]


def _dkd_rows() -> list[Row]:
    teachers = [Row("reid", "reid-prw", {"losses": {"shift": SHIFT}}, main=True), Row("reid-r-1", "reid-prw-r-1")]
    teachers += [Row(f"reid-{part}", f"reid-prw-{part}", {"losses": {"shift": SHIFT}}) for part in ("without-erasing", "without-bnneck")]
    shift: dict[str, Any] = {"losses": {"distillation": {"shift": SHIFT}}}
    rows = [
        Row("dkd", "dkd-prw", shift, teacher="reid", main=True),
        Row("dkd-ours-0", "dkd-prw-ours-0", main=True),
        Row("dkd-ours-1", "dkd-prw-ours-1", teacher="reid-r-1"),
        Row("dkd-ours-2", "dkd-prw-ours-2", teacher="reid"),
    ]
    rows += [Row(f"dkd-ours-{number}", f"dkd-prw-ours-{number}", shift, teacher="reid") for number in range(3, 9)]
    rows += [Row(f"dkd-teacher-{part}", "dkd-prw", shift, teacher=f"reid-{part}") for part in ("without-erasing", "without-bnneck")]
    rows += [Row("dkd-d", "dkd-prw-d")]
    return teachers + rows + [Row("d-r-1", of="reid-r-1", detector="dkd-d"), Row("d-r-2", of="reid", detector="dkd-d")]


def _hybrid_rows() -> list[Row]:
    plans: dict[str, dict[str, Any]] = {
        "random-paste": {"unify": {"operation": "random_paste"}},
        "without-alignment": {"alignment": None},
        "without-consistency": {"alignment": {"consistency": 0.0}},
        "inter-task": {"alignment": {"inter_task": True}},
    }
    rows = [_pretraining("hybrid", main=True), Row("nae-pretrained-whole", "nae-prw", initial="hybrid", whole=True)]
    for name in ("nae", "alignps", "roi-alignps"):
        main = name == "nae"
        rows += [
            Row(f"{name}-random", f"{name}-prw", initial="", main=main),
            Row(f"{name}-pretrained", f"{name}-prw", initial="hybrid", main=main),
        ]
    for ending, plan in plans.items():
        rows += [_pretraining(f"hybrid-{ending}", plan), Row(f"nae-pretrained-{ending}", "nae-prw", initial=f"hybrid-{ending}")]
    for percent in (20, 60):
        share = {"share": percent / 100}
        rows.append(Row(f"nae-random-{percent}-percent", "nae-prw", share, initial=""))
        rows.append(Row(f"nae-pretrained-{percent}-percent", "nae-prw", share, initial="hybrid"))
    return rows


def _pretraining(name: str, plan: Mapping[str, Any] | None = None, *, main: bool = False) -> Row:
    changes = {} if plan is None else {"pretraining": plan}
    return Row(name, "hybrid-resnet18", changes, initial="", learns_from="sub-tasks", main=main)


_START = Row(
    START, "reid-prw-r-1", initial="", learns_from="crops", main=True
)  # without shifts, because a crop has no surroundings to shift into
_ALL = [_START, *_region_rows(), *_dense_rows(), *_two_branch_rows(), *_trident_rows(), *_dkd_rows(), *_hybrid_rows()]
ROWS = {row.name: row for row in _ALL}
if len(ROWS) != len(_ALL):
    raise ValueError("two rows have the same name")


def recipe_of(row: Row, seed: int, pictures: int, *, steps: int = STEPS, initial: Path | None = None) -> Recipe:
    """Recipe of a row that trains.

    Args:
        row: Row with a recipe.
        seed: Seed of the training.
        pictures: Number of pictures of its data set, before `share` takes a part of them.
        steps: Number of optimizer steps, rounded to whole epochs.
        initial: Folder of the model that it starts from.

    Raises:
        ValidationError: pydantic's; the row's changes do not fit a recipe.
    """
    named = recipes()[f"{row.recipe}-scratch"].model_dump(mode="json")
    architecture = named["network"]["architecture"]
    batch = BATCH if architecture != "reid" else START_BATCH if row.learns_from == "crops" else TEACHER_BATCH
    network = {"backbone": BACKBONE, **NETWORKS[architecture]}
    if architecture == "roi-alignps":
        network["rpn"] = ANCHORS
    values: dict[str, Any] = {
        "name": row.name,
        "network": network | {"name": row.name},
        "losses": LOSSES[architecture],
        "optimizer": {"warmup_steps": steps // 10},
        "augment": {"sizes": [CROP if row.learns_from == "crops" else (HEIGHT, WIDTH)]},
        "batch_size": batch,
        "seed": seed,
    }
    if row.learns_from == "sub-tasks":
        values["pretraining"] = SUB_TASKS
    values = merged(merged(named, values), row.changes)
    epochs = max(1, round(steps / math.ceil(max(1, round(values["share"] * pictures)) / batch)))
    start = None if initial is None else InitialRecipe(folder=initial, take="whole" if row.whole else "backbone").model_dump(mode="json")
    return Recipe.model_validate(values | {"epochs": epochs, "evaluate_every": math.ceil(epochs / MEASUREMENTS), "initial": start})


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes`: objects are merged, lists and other values replaced."""
    result = dict(values)
    for key, change in changes.items():
        old = result.get(key)
        result[key] = merged(old, change) if isinstance(old, Mapping) and isinstance(change, Mapping) else change
    return result
