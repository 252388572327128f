"""A training from a recipe and a data set to a model folder: what `personsearch train` does."""

import json
from functools import partial
from pathlib import Path

from personsearch.errors import ConfigError
from personsearch.models.device import resolve_device
from personsearch.training.checkpoint import MODEL_FOLDER, STATE_FILE
from personsearch.training.data.dataset import CocoPeople, PeopleDataset
from personsearch.training.data.readers import Roots, part_of, read_people
from personsearch.training.initialise import InitialRecipe
from personsearch.training.learners.build import build_learner
from personsearch.training.learners.dkd import with_teacher
from personsearch.training.measure import search_scores
from personsearch.training.pretraining import read_sub_tasks
from personsearch.training.recipes import load_recipe
from personsearch.training.recipes.schema import Recipe, ReidLosses
from personsearch.training.trainer import Trainer

INITIAL_FILE = "initial.json"  # what was taken of the model to start from
ANNOTATIONS = "annotations.json"  # in the folder of a data set


def train(
    recipe: str | Path | Recipe,
    data: str | Path | PeopleDataset | Roots,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = False,
    teacher: str | Path | None = None,
    initial: InitialRecipe | None = None,
    test_data: str | Path | PeopleDataset | None = None,
    workers: int = 0,
    save_every: int | None = None,
    epochs: int | None = None,
    progress: bool = True,
) -> Path:
    """Train a model, or go on with a training that was stopped.

    Args:
        recipe: a recipe's name, a JSON file, or a recipe.
        data: a COCO-style JSON file, a folder with `annotations.json`, a data set, or (name of a reader, folder) pairs.
        out: the folder of the training: state, log and model.
        device: "auto", "cpu", "cuda" or "cuda:1".
        resume: go on from the state in `out`.
        teacher: folder of a trained crop network, for the recipes that learn from one (DKD's).
        initial: a model to start from, in place of what the recipe starts from; `initial.json` in `out` lists which tensors were taken.
        test_data: as `data`; the model is measured on it during training, a crop network at the true boxes.
        workers: processes that decode pictures.
        save_every: steps between two states; None for one after each epoch.
        epochs: stop after so many of the recipe's, at least 1, whose schedule stays as it is; `resume` goes on from there. None for all.
        progress: show a bar on stderr.

    Returns:
        The folder of the model, for `PersonSearcher.from_pretrained`.

    Raises:
        ConfigError: the recipe is malformed or needs another teacher, `epochs` is below 1, or `out` holds a training already (or, to
            resume, another's).
        DataError: the data set is not as it should be, or there is no state to resume.
        DeviceError: no such device.
        WeightsError: the weights to start from are missing or another network's.
        TrainingError: a loss is no finite number.
    """
    if epochs is not None and epochs < 1:
        raise ConfigError(f"epochs must be at least 1, or None for all of the recipe's; got {epochs}")
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if teacher is not None:
        chosen = with_teacher(chosen, Path(teacher))
    if initial is not None:
        chosen = chosen.model_copy(update={"initial": initial, "backbone_weights": None})
    folder, dataset = Path(out), part_of(_dataset(data, chosen), chosen.share, chosen.seed)
    if not resume and (folder / STATE_FILE).exists():
        raise ConfigError(f"{folder} holds a training already; resume it, or choose another folder")
    crops = isinstance(chosen.losses, ReidLosses)  # such a network finds nobody by itself
    learner = build_learner(chosen, dataset.identities)
    trainer = Trainer(
        chosen,
        learner,
        dataset,
        folder,
        device=resolve_device(device),
        workers=workers,
        evaluate=None if test_data is None else partial(search_scores, dataset=_dataset(test_data), true_boxes=crops),
        save_every=save_every,
        progress=progress,
    )
    if resume:
        trainer.resume()
    if learner.taken is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INITIAL_FILE).write_text(json.dumps(learner.taken.to_dict(), indent=2) + "\n", encoding="utf-8")
    trainer.run(None if epochs is None else epochs * trainer.steps_per_epoch)
    return folder / MODEL_FOLDER


def _dataset(data: str | Path | PeopleDataset | Roots, recipe: Recipe | None = None) -> PeopleDataset:
    if isinstance(data, str | Path):
        path = Path(data)
        return CocoPeople(path / ANNOTATIONS if path.is_dir() else path)
    if not isinstance(data, list):
        return data
    return read_people(data) if recipe is None or recipe.pretraining is None else read_sub_tasks(recipe.pretraining, data)
