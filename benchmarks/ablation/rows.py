"""The rows of the ablation table as data: what each one trains or measures again, and its recipe at the benchmark's size.

All have one small backbone, one input size and one budget of steps. The papers start from ImageNet, the rows here from `start`: a
network that learned to tell crops of people of another world apart. The rows about pre-training start at random: `start` knows people,
as ImageNet does not, and leaves nothing to gain. All of a network learns (the catalogue's `-scratch` recipes).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from personsearch.training.initialise import InitialRecipe
from personsearch.training.recipes.catalogue import recipes
from personsearch.training.recipes.schema import Recipe

HEIGHT, WIDTH = 192, 320  # of the pictures, so that nothing is resized or padded
SMALLEST = 76  # pixels of a person's height: five cells of the stride of 16; with people half as high nothing was learned in the budget
STEPS = 1500
MEASUREMENTS = 5  # points of a learning curve
BATCH = 4  # pictures
TEACHER_BATCH = 16  # pictures, about 50 people with a name
START_BATCH = 64  # crops
SHARE = HEIGHT / 800  # of the papers' short side, for lengths that they print in pixels
BACKBONE = {"name": "resnet18", "width": 0.25, "style": "pytorch", "norm": "batch", "deformable": []}
CROP = (128, 64)  # of a teacher
ANCHORS = {"anchor_sizes": [16, 32, 64, 128, 256], "before_nms": 1000, "after_nms": 100}
PROPOSALS = {"before_nms": 1000, "after_nms": 200}
HEAD = {"sampling": {"count": 16}}  # of about four people a picture
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
# two sets for each sub-task, one of the sets of crops without names
SUB_TASKS = {"detection": ["coco", "coco"], "reid": ["crops", "unlabelled-crops"], "unify": {"size": [HEIGHT, WIDTH], "ratios": [2.0, 8.0]}}


START = "start"


@dataclass(frozen=True)
class Row:
    """One row: a training, or a model of another row that is measured in another way."""

    name: str
    recipe: str = ""  # of the catalogue, less "-scratch"; "" trains nothing
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)  # of the recipe; with `of`, of the model's config.json
    of: str = ""  # the row whose model is measured again
    detector: str = ""  # with `of`: the row whose model finds the people
    true_boxes: bool = False  # with `of`: nobody needs to be found
    cbgm: bool = False  # with `of`: ranked again by context
    teacher: str = ""  # the row whose crop network teaches
    initial: str = START  # the row whose model this one starts from; "" starts at random
    whole: bool = False  # starts from all of it, not from its backbone alone
    learns_from: Literal["scenes", "sub-tasks", "crops"] = "scenes"
    main: bool = False  # has more seeds

    @property
    def needs(self) -> tuple[str, ...]:
        """The rows that come first, with the same seed."""
        return tuple(filter(None, (self.of, self.detector) if self.of else (self.teacher, self.initial)))

    @property
    def serves(self) -> bool:
        """Whether others start from it, or are taught by it."""
        return any(self.name in (other.initial, other.teacher) for other in ROWS.values())

    @property
    def is_measured(self) -> bool:
        """Whether it is more than a start for others."""
        return self.learns_from == "scenes"


def _network(**changes: Any) -> dict[str, Any]:
    return {"network": changes}


def _mutual(information: float = 0.0, divergence: float = 0.0, diversity: float = 0.0) -> dict[str, Any]:
    """The paper prints no weights; all have the code's of the first."""
    return {"losses": {"mutual": {"information": information, "divergence": divergence, "diversity": diversity}}}


def _region_rows() -> list[Row]:
    return [
        Row("oim", "oim-prw", main=True),
        Row("nae", "nae-prw", main=True),
        Row("nae-serial", of="nae", changes={"serial": True}),
        Row("nae-true-boxes", of="nae", true_boxes=True),
        Row("nae-naes-boxes", of="nae", detector="nae"),  # the paper's is nae-serial, where the second pass moves and scores them once more
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
    # the binary and the unlabelled term go together: the paper (Sec. 5.3, Table 2) leaves out both, as one without the other is biased
    parts = ("agwf", "parts", "agwf-and-parts", "binary-and-unlabelled")
    return [Row("trident", "trident-prw", main=True)] + [Row(f"trident-without-{part}", f"trident-prw-without-{part}") for part in parts]


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


_START = Row(START, "reid-prw-r-1", initial="", learns_from="crops", main=True)  # a crop has nothing around it to shift into
_ALL = [_START, *_region_rows(), *_dense_rows(), *_two_branch_rows(), *_trident_rows(), *_dkd_rows(), *_hybrid_rows()]
ROWS = {row.name: row for row in _ALL}
if len(ROWS) != len(_ALL):
    raise ValueError("two rows have one name")


def recipe_of(row: Row, seed: int, pictures: int, *, steps: int = STEPS, initial: Path | None = None) -> Recipe:
    """The recipe of a row that trains.

    Args:
        row: one with a recipe.
        seed: of the training.
        pictures: of its data set, before `share` takes a part of them.
        steps: of the optimizer; rounded to whole epochs.
        initial: folder of the model that it starts from.

    Raises:
        ValidationError: pydantic's; the row's changes are not a recipe's.
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
    """`values` with `changes`, object by object; lists and all else are replaced."""
    result = dict(values)
    for key, change in changes.items():
        old = result.get(key)
        result[key] = merged(old, change) if isinstance(old, Mapping) and isinstance(change, Mapping) else change
    return result
