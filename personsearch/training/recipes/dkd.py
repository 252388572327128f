"""DKD's recipes: the teacher first (`reid-prw`), then the student with the teacher's folder (`dkd-prw --teacher FOLDER`).

A name is what the paper calls a variant. The two-step rows of its Table 2 need no recipe of their own: [D; R-1] and [D; R-2] are
a `CombinedModel` of `dkd-prw-d` and of `reid-prw-r-1` or `reid-prw`, and [GT; R] is a crop network at the true boxes.

Source: Zhang et al., Diverse Knowledge Distillation for End-to-End Person Search (AAAI 2021), Sec. 3.2 and 3.3, Tables 1-6.
"""

from typing import Any

from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.losses.distillation import BETAS_WITH_COMMA, DistillationRecipe
from personsearch.training.losses.regions import RegionRecipe, SamplingRecipe
from personsearch.training.recipes.schema import DKDLosses, OptimizerRecipe, Recipe, ReidLosses

PICTURES = {"cuhk": 11206, "prw": 5704}  # to train on (Sec. 3.1)
LABELLED = {"cuhk": 15080, "prw": 14907}  # people in them who have a name, as the data sets are annotated
# Sec. 3.2 prints "the total iteration is 5 x 10^5" and a drop "after 3 x 10^4": then nine tenths of the training would run at the low
# rate, for 350 epochs of PRW. 5 x 10^4 gives 35 epochs of PRW and 18 of CUHK-SYSU, near those of the other papers.
ITERATIONS, DROP = 50_000, 30_000
BATCH = 4
CROPS = 64  # to a teacher's batch; its scenes have about so many
SIZES = AugmentRecipe(sizes=((800, 1333),))
FIRST_LAYERS = ("backbone.conv1", "backbone.bn1")

# The teachers of Tables 2 and 6: what differs from R-2 in the network, and in the losses
TEACHERS: dict[str, tuple[dict[str, Any], ReidLosses]] = {
    "": ({}, ReidLosses()),
    "-r-1": ({}, ReidLosses(shift=None)),
    "-without-erasing": ({}, ReidLosses(erasing=None)),
    "-without-bnneck": ({"bnneck": False}, ReidLosses()),
}
PROBABILITY = DistillationRecipe(pairs=0, triplets=0, shift=None)
STUDENTS: dict[str, DistillationRecipe | None] = {
    "": DistillationRecipe(),
    "-ours-0": None,
    "-ours-1": PROBABILITY,  # its teacher is R-1
    "-ours-2": PROBABILITY,  # and here R-2
    "-ours-3": DistillationRecipe(pairs=0, triplets=0),
    "-ours-4": DistillationRecipe(probability=0, triplets=0),
    "-ours-5": DistillationRecipe(probability=0, pairs=0),
    "-ours-6": DistillationRecipe(probability=0),
    "-ours-7": DistillationRecipe(triplets=0),
    "-ours-8": DistillationRecipe(pairs=0),
    # what else the text can mean
    "-betas-with-comma": DistillationRecipe.model_validate(BETAS_WITH_COMMA),
    "-hinton": DistillationRecipe(divergence="hinton"),
}
ON_CUHK = ("", "-ours-0", "-r-1")  # its Tables 1 and 4; the others were measured on PRW


def dkd_recipes(data: str) -> list[Recipe]:
    """All of a data set, "cuhk" or "prw"."""
    students = [_student(data, ending, kd) for ending, kd in STUDENTS.items() if data == "prw" or ending in ON_CUHK]
    teachers = [_teacher(data, ending) for ending in TEACHERS if data == "prw" or ending in ON_CUHK]
    return [*students, _detector(data), *teachers]


def _teacher(data: str, ending: str) -> Recipe:
    """The paper names an "initial" rate and no drops: they are the strong baseline's, after 1/3 and 7/12 of the training.

    Its rate is that of the baseline's Adam, and is printed with SGD.
    """
    network, losses = TEACHERS[ending]
    name = f"reid-{data}{ending}"
    return Recipe(
        name=name,
        network={"architecture": "reid", "name": name, **network},
        losses=losses,
        optimizer=OptimizerRecipe(learning_rate=3.5e-4, drops=(80, 140)),
        augment=SIZES,
        epochs=240,
        batch_size=round(CROPS * PICTURES[data] / LABELLED[data]),
    )


def _student(data: str, ending: str, kd: DistillationRecipe | None) -> Recipe:
    """Sampling of regions, weight of the box loss and frozen layers, which the paper leaves out, are NAE's, whose stem it takes."""
    name, steps = f"dkd-{data}{ending}", PICTURES[data] / BATCH
    return Recipe(
        name=name,
        network={"architecture": "dkd", "name": name},
        losses=DKDLosses(head=RegionRecipe(sampling=SamplingRecipe(negative_iou=0.1), box_weight=10.0), distillation=kd),
        optimizer=OptimizerRecipe(learning_rate=0.001, clip=10.0, drops=(round(DROP / steps),)),
        augment=SIZES,
        epochs=round(ITERATIONS / steps),
        batch_size=BATCH,
        frozen=FIRST_LAYERS,
    )


def _detector(data: str) -> Recipe:
    """D: the student without anything of identities; its re-id head stays at its start."""
    plain = _student(data, "-d", None)
    return plain.model_copy(update={"losses": plain.losses.model_copy(update={"reid_weight": 0.0})})
