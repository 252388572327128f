"""DKD's recipes: train the teacher first (`reid-prw`), then the student with the teacher's folder (`dkd-prw --teacher FOLDER`).

Each variant has the paper's name. The two-step rows of Table 2 need no recipes of their own: [D; R-1] and [D; R-2] are
a `CombinedModel` of `dkd-prw-d` and of `reid-prw-r-1` or `reid-prw`, and [GT; R] is a crop network at the true boxes.

Source: Zhang et al., Diverse Knowledge Distillation for End-to-End Person Search (AAAI 2021), Sec. 3.2 and 3.3, Tables 1-6.
"""

from functools import partial

from personsearch.models.dkd import DKDConfig
from personsearch.models.reid import ReidConfig
from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.losses.distillation import BETAS_WITH_COMMA, DistillationRecipe
from personsearch.training.losses.regions import RegionRecipe
from personsearch.training.recipes.common import FIRST_LAYERS, NEGATIVES_BELOW, Builder, Data, network_of
from personsearch.training.recipes.schema import DKDLosses, OptimizerRecipe, Recipe, ReidLosses

PICTURES: dict[Data, int] = {"cuhk": 11206, "prw": 5704}  # training pictures (Sec. 3.1)
LABELLED: dict[Data, int] = {"cuhk": 15080, "prw": 14907}  # labelled people in them, as the data sets are annotated
# Sec. 3.2 prints "the total iteration is 5 x 10^5" and a drop "after 3 x 10^4": nine tenths of the training would then run at the low
# rate, for 350 epochs of PRW. 5 x 10^4 gives 35 epochs of PRW and 18 of CUHK-SYSU, close to the other papers.
ITERATIONS, DROP = 50_000, 30_000
BATCH = 4
CROPS = 64  # in a batch of the teacher, on average
SIZES = AugmentRecipe(sizes=((800, 1333),))

# The teachers of Tables 2 and 6; all but the last have a BNNeck
TEACHERS = {
    "": ReidLosses(),
    "-r-1": ReidLosses(shift=None),
    "-without-erasing": ReidLosses(erasing=None),
    "-without-bnneck": ReidLosses(),
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
    # other readings of the text
    "-betas-with-comma": DistillationRecipe.model_validate(BETAS_WITH_COMMA),
    "-hinton": DistillationRecipe(divergence="hinton"),
}
ON_CUHK = ("", "-ours-0", "-r-1")  # Tables 1 and 4; the paper measures the others on PRW only


def dkd_builders(data: Data) -> dict[str, Builder]:
    """The recipes of one data set: students, the detector alone, and teachers."""
    students = {f"dkd-{data}{ending}": partial(_student, data, ending, kd) for ending, kd in STUDENTS.items() if _measured(data, ending)}
    teachers = {f"reid-{data}{ending}": partial(_teacher, data, ending) for ending in TEACHERS if _measured(data, ending)}
    # D learns to detect only; its re-id head stays at its start
    return {**students, f"dkd-{data}-d": partial(_student, data, "-d", None, reid_weight=0.0), **teachers}


def _measured(data: Data, ending: str) -> bool:
    return data == "prw" or ending in ON_CUHK


def _teacher(data: Data, ending: str) -> Recipe:
    """The paper names an "initial" rate and no drops; these are the strong baseline's, after 1/3 and 7/12 of the training.

    The rate is that of the baseline's Adam; the paper prints it with SGD.
    """
    name = f"reid-{data}{ending}"
    config = ReidConfig(architecture="reid", name=name)
    if ending == "-without-bnneck":
        config = ReidConfig(architecture="reid", name=name, bnneck=False)
    return Recipe(
        name=name,
        network=network_of(config),
        losses=TEACHERS[ending],
        optimizer=OptimizerRecipe(learning_rate=3.5e-4, drops=(80, 140)),
        augment=SIZES,
        epochs=240,
        batch_size=round(CROPS * PICTURES[data] / LABELLED[data]),
    )


def _student(data: Data, ending: str, kd: DistillationRecipe | None, *, reid_weight: float = 0.1) -> Recipe:
    """The paper leaves out sampling of regions, weight of the box loss and frozen layers; these are NAE's, whose stem it takes."""
    name, steps = f"dkd-{data}{ending}", PICTURES[data] / BATCH
    head = RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0)
    return Recipe(
        name=name,
        network=network_of(DKDConfig(architecture="dkd", name=name)),
        losses=DKDLosses(head=head, distillation=kd, reid_weight=reid_weight),
        optimizer=OptimizerRecipe(learning_rate=0.001, clip=10.0, drops=(round(DROP / steps),)),
        augment=SIZES,
        epochs=round(ITERATIONS / steps),
        batch_size=BATCH,
        frozen=FIRST_LAYERS,
    )
