"""The rendered data of the ablation: worlds of fixed seeds, which share neither identities nor cameras.

* Training: one world; a quarter of its people are unlabelled.
* Test: small worlds, in each of which the same few people appear together, as in real data; otherwise CBGM could match nothing.
* Pre-training: whole pictures of two worlds, and crops of two more; those of the last are unlabelled.
* Start: crops of another world.

People are at least `SMALLEST` pixels high, so some distant cameras see an empty scene; their pictures are dropped.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import cv2

from benchmarks.ablation.rows import CROP, HEIGHT, SMALLEST, WIDTH
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.dataset import generate_dataset
from personsearch.synthetic.world import World
from personsearch.training.data.dataset import CocoPeople, JoinedPeople, PeopleDataset, Sample
from personsearch.training.data.readers import NamedFolders, read_crops

TRAIN_SEED, TEST_SEED, DETECTION_SEED, CROPS_SEED, START_SEED = 100, 200, 300, 400, 500
SCENES, IDENTITIES, CAMERAS = 1000, 120, 24
PLACES, PLACE_SCENES, PLACE_IDENTITIES, PLACE_CAMERAS = 8, 24, 10, 4
DETECTION_SCENES, CROP_IDENTITIES, START_IDENTITIES, VIEWS = 300, 100, 500, 6
UNLABELLED_EVERY = 4  # every 4th identity is unlabelled
CROWDS = ((3, 8), (1, 5))  # people per picture in the two worlds for detection
ANNOTATIONS = "annotations.json"


class InMemory:
    """A data set decoded once and kept in memory."""

    def __init__(self, dataset: PeopleDataset) -> None:
        self.identities = dataset.identities
        self._samples = [dataset[number] for number in range(len(dataset))]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        """Picture `index`."""
        return self._samples[index]


def train_set(folder: Path) -> PeopleDataset:
    """Training data of the rows."""
    return InMemory(CocoPeople(folder / "train" / ANNOTATIONS))


def test_set(folder: Path) -> PeopleDataset:
    """Test data of the rows."""
    return InMemory(JoinedPeople([CocoPeople(folder / f"test-{place}" / ANNOTATIONS) for place in range(PLACES)]))


def start_set(folder: Path) -> PeopleDataset:
    """Training data of `start`."""
    return InMemory(read_crops("crops", folder / "start-crops"))


def sub_tasks(folder: Path) -> NamedFolders:
    """Training data of the pre-trainings."""
    scenes: NamedFolders = [("coco", folder / f"detection-{number}") for number in range(len(CROWDS))]
    return [*scenes, ("crops", folder / "crops"), ("unlabelled-crops", folder / "unlabelled-crops")]


def is_complete(folder: Path, learns_from: Collection[str]) -> bool:
    """Whether the parts exist that rows learn from: "scenes", with their test data, "crops" or "sub-tasks"."""
    names = [name for name, _ in _parts(folder, workers=1)]  # lists the parts only, so any folder of meshes will do
    return all((folder / name).is_dir() for name in names if _use_of(name) in learns_from)


def _use_of(part: str) -> str:
    return "scenes" if part.startswith(("train", "test-")) else "crops" if part == "start-crops" else "sub-tasks"


def make(folder: Path, assets: Path, *, workers: int = 1) -> Iterator[Path]:
    """Render the missing parts, one after the other; a part exists only when it is complete.

    Args:
        folder: Folder of the data.
        assets: Folder of MakeHuman's meshes, see `personsearch.synthetic`.
        workers: Number of processes.

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
    """Name of each part and the function that renders it into a folder."""

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
    """Drop empty pictures and, in the training part, the labels of a quarter of the people."""
    content = json.loads(file.read_text(encoding="utf-8"))
    occupied = {row["image_id"] for row in content["annotations"]}
    content["images"] = [image for image in content["images"] if image["id"] in occupied]
    if seed == TRAIN_SEED:
        for row in content["annotations"]:
            row["person_id"] = row["person_id"] if row["person_id"] % UNLABELLED_EVERY else -1
    file.write_text(json.dumps(content), encoding="utf-8")


def _crops(world: World, folder: Path, *, named: bool) -> None:
    height, width = CROP
    for crops in render_person_crops(world, range(world.identities), views=VIEWS, height=height, width=width):
        target = folder / f"{crops.identity:04d}" if named else folder
        target.mkdir(exist_ok=True)
        for number, image in enumerate(crops.images):
            cv2.imwrite(str(target / f"{crops.identity:04d}-{number}.png"), image[:, :, ::-1])
