"""The synthetic benchmark of the ablation: worlds of fixed seeds, so that no identity and no camera of one is in another.

To learn from: one world, of which a quarter of the people have no name. To test: small worlds, each a place of its own where the same few
people are seen together, as they are in real data; without that, CBGM would have nothing to match. To pre-train: two worlds of whole
pictures, and crops of two more, those of the last without names. To start from: crops of one more.

Nobody is smaller than `SMALLEST`, so some cameras, which look from far away, see nobody; their pictures are left out.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from benchmarks.ablation.rows import CROP, HEIGHT, SMALLEST, WIDTH
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.dataset import generate_dataset
from personsearch.synthetic.world import World
from personsearch.training.data.dataset import CocoPeople, JoinedPeople, PeopleDataset, Sample
from personsearch.training.data.readers import Roots, read_crops

TRAIN_SEED, TEST_SEED, DETECTION_SEED, CROPS_SEED, START_SEED = 100, 200, 300, 400, 500
SCENES, IDENTITIES, CAMERAS = 1000, 120, 24
PLACES, PLACE_SCENES, PLACE_IDENTITIES, PLACE_CAMERAS = 8, 24, 10, 4
DETECTION_SCENES, CROP_IDENTITIES, START_IDENTITIES, VIEWS = 300, 100, 500, 6
NAMELESS = 4  # every such identity has no name
CROWDS = ((3, 8), (1, 5))  # of the two worlds for detection: they differ in how full they are
ANNOTATIONS = "annotations.json"


class InMemory:
    """A data set, decoded once."""

    def __init__(self, dataset: PeopleDataset) -> None:
        self.identities = dataset.identities
        self._samples = [dataset[number] for number in range(len(dataset))]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        """Picture `index`."""
        return self._samples[index]


def train_set(folder: Path) -> PeopleDataset:
    """What the rows learn from."""
    return InMemory(CocoPeople(folder / "train" / ANNOTATIONS))


def test_set(folder: Path) -> PeopleDataset:
    """What they are measured on."""
    return InMemory(JoinedPeople([CocoPeople(folder / f"test-{place}" / ANNOTATIONS) for place in range(PLACES)]))


def start_set(folder: Path) -> PeopleDataset:
    """What `start` learns from."""
    return InMemory(read_crops("crops", folder / "start-crops"))


def sub_tasks(folder: Path) -> Roots:
    """What the pre-trainings learn from."""
    scenes: Roots = [("coco", folder / f"detection-{number}") for number in range(len(CROWDS))]
    return [*scenes, ("crops", folder / "crops"), ("unlabelled-crops", folder / "unlabelled-crops")]


def is_complete(folder: Path) -> bool:
    """Whether all parts are there."""
    return all((folder / name).is_dir() for name, _ in _parts(folder, workers=1))  # renders nothing, so any folder of meshes does


def make(folder: Path, assets: Path, *, workers: int = 1) -> Iterator[Path]:
    """Render the parts that are missing, one after the other; each is whole or not there.

    Args:
        folder: of the benchmark.
        assets: MakeHuman's meshes, see `personsearch.synthetic`.
        workers: processes.

    Yields:
        The folder of each new part.
    """
    for name, render in _parts(assets, workers=workers):
        if not (folder / name).is_dir():
            unfinished = folder / f"{name}.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            render(unfinished)
            yield unfinished.rename(folder / name)


def _parts(assets: Path, *, workers: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Name of each part, and what renders it into a folder."""

    def scenes(seed: int, count: int, identities: int, cameras: int, people: tuple[int, int] = (3, 8)) -> Callable[[Path], None]:
        world = World(assets, seed, identities, cameras, people, WIDTH, HEIGHT, smallest=SMALLEST)
        return lambda folder: _tidy(generate_dataset(world, folder, count, workers=workers), seed)

    def crops(seed: int, identities: int = CROP_IDENTITIES, *, named: bool) -> Callable[[Path], None]:
        world = World(assets, seed, identities, CAMERAS)
        return lambda folder: _crops(world, folder, named=named)

    yield "train", scenes(TRAIN_SEED, SCENES, IDENTITIES, CAMERAS)
    for place in range(PLACES):
        yield f"test-{place}", scenes(TEST_SEED + place, PLACE_SCENES, PLACE_IDENTITIES, PLACE_CAMERAS)
    for number, people in enumerate(CROWDS):
        yield f"detection-{number}", scenes(DETECTION_SEED + number, DETECTION_SCENES, IDENTITIES, CAMERAS, people)
    yield "crops", crops(CROPS_SEED, named=True)
    yield "unlabelled-crops", crops(CROPS_SEED + 1, named=False)
    yield "start-crops", crops(START_SEED, START_IDENTITIES, named=True)


def _tidy(file: Path, seed: int) -> None:
    """Take out the pictures of nobody, and in the training part the names of a quarter of the people."""
    content = json.loads(file.read_text(encoding="utf-8"))
    seen = {row["image_id"] for row in content["annotations"]}
    content["images"] = [image for image in content["images"] if image["id"] in seen]
    if seed == TRAIN_SEED:
        for row in content["annotations"]:
            row["person_id"] = row["person_id"] if row["person_id"] % NAMELESS else -1
    file.write_text(json.dumps(content), encoding="utf-8")


def _crops(world: World, folder: Path, *, named: bool) -> None:
    height, width = CROP
    for some in render_person_crops(world, range(world.identities), views=VIEWS, height=height, width=width):
        place = folder / f"{some.identity:04d}" if named else folder
        place.mkdir(exist_ok=True)
        for number, image in enumerate(some.images):
            cv2.imwrite(str(place / f"{some.identity:04d}-{number}.png"), image[:, :, ::-1])
