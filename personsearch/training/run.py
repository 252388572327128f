"""Train a model: from a recipe and a data set to a model folder, as `personsearch train` does."""

import json
import logging
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from personsearch.datasets.coco import DEFAULTS as OWN_FIELDS
from personsearch.datasets.coco import Fields
from personsearch.errors import ConfigError, DataError
from personsearch.models.device import resolve_device
from personsearch.training.checkpoint import MODEL_FOLDER, STATE_FILE
from personsearch.training.data.dataset import CocoPeople, PeopleDataset, people_of
from personsearch.training.data.readers import ANNOTATIONS, NamedFolders, part_of, read_people
from personsearch.training.initialise import InitialRecipe
from personsearch.training.learners.build import build_learner
from personsearch.training.learners.dkd import with_teacher
from personsearch.training.measure import load_test_set, scores_of_test_set, search_scores
from personsearch.training.pretraining import read_sub_tasks
from personsearch.training.recipes import load_recipe
from personsearch.training.recipes.catalogue import builders
from personsearch.training.recipes.common import changed
from personsearch.training.recipes.schema import DKDLosses, Recipe, ReidLosses
from personsearch.training.trainer import Evaluate, Trainer

log = logging.getLogger(__name__)

SCRATCH = "-scratch"  # ending of the recipes that are meant to start from random weights
INITIAL_FILE = "initial.json"  # the tensors that the network took from the initial model

# A COCO-style JSON file, a folder with `annotations.json`, a data set, or (name of a reader, folder) pairs
TrainData: TypeAlias = str | Path | PeopleDataset | NamedFolders


@dataclass(frozen=True)
class TrainOptions:
    """How a training runs; the recipe decides everything that it learns.

    Attributes:
        device: "auto", "cpu", "cuda" or "cuda:1".
        resume: continue from the state in the output folder.
        teacher: folder of a trained crop network, for recipes that learn from one (DKD's).
        backbone_weights: weights of a classifier to start the backbone from, torchvision's .pth or safetensors.
        initial: model to start from, in place of the recipe's own start; `initial.json` in the output folder lists the tensors taken.
        test_data: data to measure the model on during training, or (name, folder) of a data set, whose test part is taken with its own
            protocol (CUHK-SYSU: galleries of 100); a crop network is measured at the true boxes.
        confidence_weighted: whether this measurement ranks by cosine x score; None: as the model's paper does.
        tensorboard: also write `tensorboard/` in the output folder, with torch's own writer; needs the extra tensorboard.
        workers: processes that decode pictures; 0 decodes in this process.
        save_every: steps between two states; None saves one after each epoch.
        epochs: epochs to train, at least 1; the recipe's schedule stays, and `resume` continues it. None trains all of them.
        fields: names of the category of people and of their identities in a COCO-style file.
        progress: show a bar on stderr.

    Raises:
        ConfigError: `epochs` is below 1, there are two models to start from, or `confidence_weighted` is without `test_data`.
    """

    device: str = "auto"
    resume: bool = False
    teacher: str | Path | None = None
    backbone_weights: str | Path | None = None
    initial: InitialRecipe | None = None
    test_data: TrainData | tuple[str, Path] | None = None
    confidence_weighted: bool | None = None
    tensorboard: bool = False
    workers: int = 0
    save_every: int | None = None
    epochs: int | None = None
    fields: Fields = OWN_FIELDS
    progress: bool = True

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError(f"epochs must be at least 1, or None for all of the recipe's; got {self.epochs}")
        if self.initial is not None and self.backbone_weights is not None:
            raise ConfigError("initial and backbone_weights both start the backbone; pass one of them")
        if self.confidence_weighted is not None and self.test_data is None:
            raise ConfigError("confidence_weighted is about the measurement of a training; pass test_data too")


DEFAULTS = TrainOptions()


def train(recipe: str | Path | Recipe, data: TrainData, out: str | Path, options: TrainOptions = DEFAULTS) -> Path:
    """Train a model, or continue a training that was stopped.

    Args:
        recipe: name of a recipe, a JSON file, or a recipe.
        data: COCO-style JSON file, folder with `annotations.json`, data set, or (name of a reader, folder) pairs.
        out: folder of the training: state, log and model.
        options: device, start, measurement and length.

    Returns:
        Folder of the model, for `PersonSearcher.from_pretrained`.

    Raises:
        ConfigError: the recipe is malformed or needs another teacher, or freezes random weights; or `out` already holds a training
            (with `resume`: of another recipe).
        DataError: the data set is malformed, or lacks pictures, people or identities to learn from; or a state is missing
            to resume.
        DeviceError: the device is missing.
        WeightsError: the initial weights are missing, or of another network.
        TrainingError: a loss is not finite.
    """
    trainer = prepare(recipe, data, out, options)
    trainer.run(None if options.epochs is None else options.epochs * trainer.steps_per_epoch)
    return Path(out) / MODEL_FOLDER


def prepare(recipe: str | Path | Recipe, data: TrainData, out: str | Path, options: TrainOptions = DEFAULTS) -> Trainer:
    """A trainer at its first step, or at the step of the state to resume; see `train` for arguments and errors."""
    complete = _complete(recipe if isinstance(recipe, Recipe) else load_recipe(recipe), options)
    folder = Path(out)
    if not options.resume and os.path.exists(folder / STATE_FILE):
        raise ConfigError(f"{folder} already holds a training; resume it, or choose another folder")
    dataset = part_of(_dataset(data, options.fields, complete), complete.share, complete.seed)
    _check_people(dataset, complete)
    if not options.resume:
        _check_start(complete)
    learner = build_learner(complete, dataset.identities)
    trainer = Trainer(
        complete,
        learner,
        dataset,
        folder,
        device=resolve_device(options.device),
        workers=options.workers,
        evaluate=_measurement(complete, options),
        save_every=options.save_every,
        progress=options.progress,
        tensorboard=options.tensorboard,
    )
    if options.resume:
        trainer.resume()
    if learner.taken is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INITIAL_FILE).write_text(json.dumps(learner.taken.to_dict(), indent=2) + "\n", encoding="utf-8")
    return trainer


def _complete(recipe: Recipe, options: TrainOptions) -> Recipe:
    """The recipe with the teacher and the initial model of the options."""
    if options.teacher is not None:
        recipe = with_teacher(recipe, Path(options.teacher))
    if options.initial is not None:
        recipe = changed(recipe, initial=options.initial, backbone_weights=None)
    if options.backbone_weights is not None:
        recipe = changed(recipe, initial=None, backbone_weights=Path(options.backbone_weights))
    return recipe


def _measurement(recipe: Recipe, options: TrainOptions) -> Evaluate | None:
    if options.test_data is None:
        return None
    crops_only = isinstance(recipe.losses, ReidLosses)  # such a network does not detect people itself
    weighted = options.confidence_weighted
    if isinstance(options.test_data, tuple):
        data = load_test_set(*options.test_data, options.fields)
        return partial(scores_of_test_set, data=data, true_boxes=crops_only, confidence_weighted=weighted)
    dataset = _dataset(options.test_data, options.fields)
    return partial(search_scores, dataset=dataset, true_boxes=crops_only, confidence_weighted=weighted)


def _check_start(recipe: Recipe) -> None:
    """Refuse frozen layers of random weights, which would never learn.

    Raises:
        ConfigError: The recipe freezes layers, or the numbers of batch norms, and names no weights to start from.
    """
    frozen = [*recipe.frozen, *(["its batch norms"] if recipe.network.get("backbone", {}).get("norm") == "frozen" else [])]
    if frozen and recipe.backbone_weights is None and recipe.initial is None:
        caffe = recipe.network.get("backbone", {}).get("style") == "caffe"
        fitting = "Caffe's ResNet-50; torchvision's fits recipes that end in -pretrained" if caffe else "torchvision's .pth, for example"
        raise ConfigError(
            f"{recipe.name} freezes {', '.join(frozen)}, but starts from random weights, which would never learn. Start from ImageNet's "
            f"weights with --backbone-weights FILE ({fitting}), from a model with --initial FOLDER, or take {_from_scratch(recipe.name)}"
        )
    if recipe.backbone_weights is None and recipe.initial is None and not recipe.name.endswith(SCRATCH):
        log.warning("%s starts from random weights; its paper starts from ImageNet's (--backbone-weights FILE)", recipe.name)


def _from_scratch(name: str) -> str:
    """The recipe from random weights to take instead of one, by name if the catalogue has it."""
    beginnings = (name, *(name.removesuffix(ending) for ending in ("-paper", "-code", "-pretrained") if name.endswith(ending)))
    return next((f"{one}{SCRATCH}" for one in beginnings if f"{one}{SCRATCH}" in builders()), f"a recipe that ends in {SCRATCH}")


def _check_people(dataset: PeopleDataset, recipe: Recipe) -> None:
    """Refuse data from which nothing can be learned.

    Raises:
        DataError: The pictures have no people, or people without any identity, which the recipe needs.
    """
    if len(dataset) and not people_of(dataset):
        raise DataError(f"none of the {len(dataset)} pictures has a person to learn from; check the categories and the boxes")
    detects_only = isinstance(recipe.losses, DKDLosses) and recipe.losses.reid_weight == 0
    if len(dataset) and not dataset.identities and not detects_only:
        raise DataError(
            f"the data have {people_of(dataset)} people and no identity, so {recipe.name} cannot learn who is who; give the same person_id "
            "to all boxes of a person, or name the field that has it with --identity (in Python: Fields(identity=...))"
        )


def _dataset(data: TrainData, fields: Fields, recipe: Recipe | None = None) -> PeopleDataset:
    if isinstance(data, str | Path):
        path = Path(data)
        return CocoPeople(path / ANNOTATIONS if os.path.isdir(path) else path, fields=fields)
    if not isinstance(data, list):
        return data
    return read_people(data, fields) if recipe is None or recipe.pretraining is None else read_sub_tasks(recipe.pretraining, data)
