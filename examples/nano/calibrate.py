"""The bundled model's threshold for "the same person", from people it was not trained on.

`python -m examples.nano.calibrate --model DIR --scenes DIR --pack DIR` writes it into the model's config.json.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from examples.nano.command import run
from examples.nano.pack import CROPS_FILE, NUMBERS_FILE
from personsearch.boxes import Array
from personsearch.calibration import Calibration, calibrate, rates
from personsearch.models.nano import model as nano
from personsearch.models.two_step.model import TwoStep
from personsearch.training.data.dataset import CocoPeople, PeopleDataset
from personsearch.weights import CONFIG_FILE, read_config

FALSE_MATCHES = 0.003  # of pairs of different people, among rendered and among real ones each; people of one place are more alike
MIN_VISIBILITY = 0.3
DATA = "{} rendered people across cameras, and {} people of different photographs (coco128), none of them trained on"


def rows_of(model: TwoStep, dataset: PeopleDataset) -> tuple[Array, Array, Array]:
    """(N, D) unit rows, identities (N,) and cameras (N,) of everybody named."""
    rows, names, cameras = [], [], []
    for number in range(len(dataset)):
        sample = dataset[number]
        (found,) = model.embed([model.prepare(sample.image)], [sample.boxes])
        rows.append(found)
        names.append(sample.identities)
        cameras.append(np.full(len(found), -1 if sample.camera is None else sample.camera))
    return np.concatenate(rows), np.concatenate(names), np.concatenate(cameras)


def pairs(rows: Array, names: Array, places: Array) -> tuple[Array, Array]:
    """Cosines of all pairs of two places: of the same person, and of different people."""
    first, second = np.triu_indices(len(rows), 1)
    apart = places[first] != places[second]
    cosines = (rows @ rows.T)[first, second]
    same = names[first] == names[second]
    return cosines[apart & same], cosines[apart & ~same]


def chosen(model: TwoStep, scenes: PeopleDataset, crops: Array, pictures: Array) -> Calibration:
    """The higher of the thresholds that rendered people and real ones need.

    Args:
        model: to calibrate.
        scenes: rendered, with identities and cameras.
        crops: (R, h, w, 3) uint8 of real people.
        pictures: (R,) which photograph each is from; people of two photographs are different people.
    """
    rows, names, cameras = rows_of(model, scenes)
    same, different = pairs(rows, names, cameras)
    strangers = pairs(model.embed_crops(list(crops)), np.arange(len(crops)), pictures)[1]
    data = DATA.format(len(np.unique(names)), len(crops))
    found = [calibrate(same, one, false_match_rate=FALSE_MATCHES, data=data) for one in (different, strangers)]
    threshold = max(one.min_similarity for one in found)
    both = max((rates(same, one, threshold) for one in (different, strangers)), key=lambda one: one["false_match_rate"])
    return Calibration(min_similarity=threshold, data=data, **both)


def main(
    model: Annotated[Path, typer.Option(help="The model folder, whose config.json is written again.")],
    scenes: Annotated[Path, typer.Option(help="Rendered scenes of a world that was not trained on.")],
    pack: Annotated[Path, typer.Option(help="Folder that `examples.nano.pack` wrote.")],
) -> None:
    """Calibrate the model."""
    people = CocoPeople(scenes / "annotations.json", min_visibility=MIN_VISIBILITY)
    crops, pictures = np.load(pack / CROPS_FILE), np.load(pack / NUMBERS_FILE)
    values = read_config(model)
    found = chosen(nano.open_folder(model, "cpu"), people, crops, pictures)
    values["calibration"] = found.model_dump()
    (model / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    typer.echo(found.model_dump_json(indent=2))


if __name__ == "__main__":
    run(main)
