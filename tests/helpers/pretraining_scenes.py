"""Small sub-task data sets: made-up scenes of unnamed people, and crops of people in the formats of their data sets."""

import json
from pathlib import Path

from PIL import Image

from personsearch.boxes import Array
from personsearch.training.pretraining import PretrainingRecipe
from personsearch.training.recipes.schema import Recipe
from tests.helpers.training_scenes import recipe_of, scene

SETS = ("crowdhuman", "eurocity", "msmt17", "luperson")
PLAN = {
    "detection": ["crowdhuman", "eurocity"],
    "reid": ["msmt17", "luperson"],
    "unify": {"size": [128, 192], "ratios": [1.3, 2.0]},
    "alignment": {"hidden": 16},
}


def crop(number: int) -> Array:
    """A crop of the first person of a made-up scene, two pixels wider on all sides."""
    sample = scene(number)
    left, top, right, bottom = sample.boxes[0].astype(int)
    return sample.image[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2]


def write_sub_tasks(root: Path, count: int = 3) -> dict[str, Path]:
    """The folders of `SETS`, `count` pictures each; CrowdHuman's scenes are 0 to count - 1, EuroCity's the next."""
    writers = {"crowdhuman": _crowdhuman, "eurocity": _eurocity, "msmt17": _msmt17, "luperson": _luperson}
    for name, write in writers.items():
        write(root / name, count)
    return {name: root / name for name in SETS}


def _crowdhuman(root: Path, count: int) -> None:
    (root / "Images").mkdir(parents=True)
    lines = []
    for number in range(count):
        sample = scene(number)
        Image.fromarray(sample.image).save(root / "Images" / f"{number}.jpg", format="PNG")
        boxes = [{"tag": "person", "fbox": [x1, y1, x2 - x1, y2 - y1]} for x1, y1, x2, y2 in sample.boxes.tolist()]
        lines.append(json.dumps({"ID": str(number), "gtboxes": boxes}))
    (root / "annotation_train.odgt").write_text("\n".join(lines))


def _eurocity(root: Path, count: int) -> None:
    labels, pictures = (root / "day" / kind / "train" / "ulm" for kind in ("labels", "img"))
    for folder in (labels, pictures):
        folder.mkdir(parents=True)
    for number in range(count):
        sample = scene(count + number)
        Image.fromarray(sample.image).save(pictures / f"{number}.png")
        people = [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) | {"identity": "pedestrian"} for box in sample.boxes.tolist()]
        (labels / f"{number}.json").write_text(json.dumps({"children": people}))


def _msmt17(root: Path, count: int) -> None:
    lines = [f"{number % 2:04d}/{number % 2:04d}_{number:03d}_01_0303morning_0006_2.jpg {number % 2}" for number in range(count)]
    for number, line in enumerate(lines):
        file = root / "train" / line.split()[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop(number)).save(file, format="PNG")
    (root / "list_train.txt").write_text("\n".join(lines))
    for part in ("val", "query", "gallery"):
        (root / f"list_{part}.txt").touch()


def _luperson(root: Path, count: int) -> None:
    root.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(crop(count + number)).save(root / f"{number}.png")


def pretraining_recipe(name: str = "nae", plan: dict | None = None, **changes) -> Recipe:
    """`recipe_of` a small network for the sets of `SETS`, with changes of the plan."""
    return recipe_of(name, **changes).model_copy(update={"pretraining": PretrainingRecipe.model_validate(PLAN | (plan or {}))})
