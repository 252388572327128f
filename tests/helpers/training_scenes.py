"""Made-up scenes to learn from: people of two stripes, no two of them alike, before noise."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from personsearch.boxes import Array
from personsearch.models.base import PersonModel
from personsearch.options import parse
from personsearch.training.data.batches import AugmentRecipe, TrainBatch, TrainItems, collate
from personsearch.training.data.dataset import Sample
from personsearch.training.learners.base import Learner
from personsearch.training.recipes.schema import Recipe
from personsearch.training.run import TrainOptions
from personsearch.training.trainer import Trainer

COLOURS = np.array([[220, 40, 40], [40, 200, 60], [50, 70, 230], [230, 210, 40]], np.float32)
HEIGHT, WIDTH = 128, 192
QUIET = TrainOptions(device="cpu", progress=False)


class MadeUpScenes:
    """`count` scenes of three people each, who are four in all, and a passer-by without a name in every other one."""

    identities = 4

    def __init__(self, count: int = 8) -> None:
        self.samples = [scene(number) for number in range(count)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def scene(number: int) -> Sample:
    """Scene `number`; its people stand side by side."""
    rng = np.random.default_rng(number)
    image = rng.normal(110, 12, (HEIGHT, WIDTH, 3)).astype(np.float32)
    names = [(number + k) % 4 for k in range(3)] + ([-1] if number % 2 else [])
    rng.shuffle(names)
    boxes = []
    for place, name in enumerate(names):
        left = 6 + 46 * place + int(rng.integers(8))
        width, height = int(rng.integers(24, 32)), int(rng.integers(66, 84))
        top = int(rng.integers(10, HEIGHT - height - 6))
        box = [left, top, left + width, top + height]
        paint(image, box, COLOURS[name] if name >= 0 else np.float32(20), COLOURS[(name + 1) % 4] if name >= 0 else np.float32(235))
        boxes.append(box)
    return Sample(image.clip(0, 255).astype(np.uint8), np.array(boxes, np.float32), np.array(names, np.int64), camera=number % 2)


def paint(image: Array, box: list[int], upper: Array, lower: Array) -> None:
    """A person of two colours, in place."""
    left, top, right, bottom = box
    middle = (top + bottom) // 2
    image[top:middle, left:right] = upper
    image[middle:bottom, left:right] = lower
    image[top:bottom, left:right] += np.random.default_rng(left).normal(0, 8, (bottom - top, right - left, 3))


BACKBONE = {"name": "resnet18", "width": 0.125, "norm": "batch"}
CONVNEXT = {"name": "convnext-tiny", "width": 0.09}
SIZE = {"short_side": HEIGHT, "long_side": WIDTH, "backbone": BACKBONE}
PROPOSALS = {"anchor_sizes": [32, 64], "before_nms": 200, "after_nms": 50}
REGION_NETWORK = SIZE | {"embedding_dim": 32, "proposals": PROPOSALS}
FEW = {"before_nms": 200, "after_nms": 60}
HEAD = {"sampling": {"count": 32, "negative_iou": 0.3}}
SHORT_QUEUE = {"queue_size": 8}
REGION_LOSSES = {"proposals": FEW, "first": {"sampling": {"count": 32}}, "head": HEAD, "oim": SHORT_QUEUE}
DENSE_NETWORK = SIZE | {"channels": 32}
DENSE_LOSSES = {"oim": {"scale": 10, "focal_gamma": 2} | SHORT_QUEUE}
TWO_LOSSES = {"dense": DENSE_LOSSES, "proposals": FEW, "head": HEAD, "oim": SHORT_QUEUE}
RECIPES = {
    "oim": (REGION_NETWORK | {"architecture": "oim"}, REGION_LOSSES),
    "nae": (REGION_NETWORK | {"architecture": "nae"}, REGION_LOSSES),
    "nae+": (REGION_NETWORK | {"architecture": "nae", "pixelwise": True}, REGION_LOSSES),
    "seqnet": (REGION_NETWORK | {"architecture": "seqnet"}, REGION_LOSSES),
    "gfn": (REGION_NETWORK | {"architecture": "seqnext", "backbone": CONVNEXT, "gallery_filter": {"pool": 8}}, REGION_LOSSES),
    "trident": (REGION_NETWORK | {"architecture": "trident"}, {"proposals": FEW, "head": HEAD, "reid": SHORT_QUEUE}),
    "alignps": (DENSE_NETWORK | {"architecture": "alignps"}, DENSE_LOSSES),
    "roi-alignps": (DENSE_NETWORK | {"architecture": "roi-alignps", "rpn": PROPOSALS}, TWO_LOSSES),
    "roi-alignps without rpn": (DENSE_NETWORK | {"architecture": "roi-alignps"}, TWO_LOSSES),
}
OPTIMIZER = {"name": "adamw", "learning_rate": 3e-3, "weight_decay": 1e-4, "clip": 10, "schedule": "cosine", "warmup_steps": 10}
OF_THE_RECIPE = ("epochs", "seed", "backbone_weights", "batch_size", "accumulate", "precision", "optimizer")


def recipe_of(name: str, **changes) -> Recipe:
    """A recipe of a small network for the made-up scenes; changes are of the recipe or of its network."""
    network, losses = RECIPES[name]
    own = {key: changes.pop(key) for key in OF_THE_RECIPE if key in changes}
    augment = {"sizes": [[HEIGHT, WIDTH]], "flip": 0.0}
    values = {"name": name, "network": network | {"name": name} | changes, "losses": losses, "optimizer": OPTIMIZER, "augment": augment}
    return parse(Recipe, values | {"batch_size": 4} | own, name)


def learned_by_heart(learning: Trainer, scores: Callable[[PersonModel], dict[str, float]]) -> dict[str, float]:
    """What a training reaches, measured now and then from two fifths of its steps on; it ends once everyone is found, each first."""
    for fifths in (2, 3, 4, 5):
        learning.run(until=learning.last_step * fifths // 5)
        found = scores(learning.model())
        if found["top1"] == 1 and found["recall"] > 0.9:
            break
    return found


def batch_of(learner: Learner, samples: Sequence[Sample]) -> TrainBatch:
    """One batch of the samples as the learner takes them, without mirroring."""
    items = TrainItems(samples, learner.prepare, AugmentRecipe(sizes=((HEIGHT, WIDTH),), flip=0.0), 0)  # type: ignore[arg-type]
    return collate([items[0, number] for number in range(len(samples))])


def write_coco(folder: Path, count: int = 2) -> Path:
    """A folder with made-up scenes and their `annotations.json`."""
    folder.mkdir()
    pictures, people = [], []
    for number, sample in enumerate(MadeUpScenes(count).samples):
        Image.fromarray(sample.image).save(folder / f"{number}.png")
        pictures.append({"id": number, "file_name": f"{number}.png"})
        for (x1, y1, x2, y2), person in zip(sample.boxes.tolist(), sample.identities.tolist(), strict=True):
            people.append({"image_id": number, "bbox": [x1, y1, x2 - x1, y2 - y1], "person_id": person})
    (folder / "annotations.json").write_text(json.dumps({"images": pictures, "annotations": people}))
    return folder
