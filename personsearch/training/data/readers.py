"""The readers of `personsearch.datasets` as data sets to learn from, by name: `--dataset prw --root DIR`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.datasets import (
    citypersons,
    coco,
    crowdhuman,
    cuhk03,
    cuhk_sysu,
    eurocity,
    luperson,
    market1501,
    msmt17,
    posetrack21,
    prw,
    yolo,
)
from personsearch.datasets.coco import DEFAULTS, Fields
from personsearch.datasets.crops import Crop, load_folders, load_unlabelled
from personsearch.datasets.identities import NONE
from personsearch.datasets.people import UNLABELLED, Picture, number_identities
from personsearch.datasets.problems import check_files
from personsearch.errors import ConfigError
from personsearch.training.data.dataset import JoinedPeople, PeopleDataset, Sample, path_of, people_of

NamedFolders = list[tuple[str, Path]]  # (name of a reader, folder of its data set)
LUPERSON_30K = 30_000
COCO, ANNOTATIONS = "coco", "annotations.json"  # people's own data sets: name of the reader, and of the file in the folder


class PicturePeople:
    """Whole pictures of a reader. Boxes are cut to the picture; people wholly outside it are left out.

    Regions to ignore have no effect here: detections in them count as background.

    Args:
        pictures: pictures of the reader.
        individuals: count every box as a person of its own, in place of the identities of the pictures.
    """

    def __init__(self, pictures: Sequence[Picture], *, individuals: bool = False) -> None:
        self._pictures, self.identities = number_identities(pictures)
        self.people = sum(len(picture.boxes) for picture in pictures)
        self._starts = None
        if individuals:
            self._starts = np.cumsum([0, *(len(picture.boxes) for picture in pictures)])
            self.identities = int(self._starts[-1])

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """The picture, decoded now. Raises ImageError if it is not readable."""
        picture = self._pictures[index]
        image = images.load(picture.path)
        height, width = image.shape[:2]
        boxes = picture.boxes.clip(0, np.array([width, height, width, height], np.float32))
        seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        identities = picture.identities if self._starts is None else self._starts[index] + np.arange(len(boxes))
        return Sample(image, boxes[seen], identities[seen], picture.camera)

    def path(self, index: int) -> Path:
        """The file of picture `index`."""
        return self._pictures[index].path


class CropPeople:
    """Bare crops: one person a picture, whose box is all of it.

    Args:
        pictures: paths, or the bytes of files.
        identities: (N,) int64, any numbers; None or -1: unlabelled, so each crop is a person of its own.
        cameras: camera of each picture, if known.
    """

    def __init__(
        self, pictures: Sequence[Path] | Sequence[bytes], identities: Array | None = None, cameras: Sequence[int | None] | None = None
    ) -> None:
        self._pictures, self._cameras = pictures, cameras
        self.people = len(pictures)
        labels = np.full(len(pictures), UNLABELLED, np.int64) if identities is None else identities
        known = labels != UNLABELLED
        names, numbers = np.unique(labels[known], return_inverse=True)
        self.named = bool(known.all())
        self.identities = len(names) + int((~known).sum())
        self._identities = np.arange(len(names), len(names) + len(labels)) - np.cumsum(known)
        self._identities[known] = numbers

    @property
    def files(self) -> list[Path]:
        """Paths of the crops; those in a database have none."""
        return [picture for picture in self._pictures if isinstance(picture, Path)]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """The crop, decoded now. Raises ImageError if it is not readable."""
        image = images.load(self._pictures[index])
        box = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        return Sample(image, box, self._identities[[index]], None if self._cameras is None else self._cameras[index])


class PartPeople:
    """Some pictures of a data set; its identities keep their numbers, also those who are in none of them."""

    def __init__(self, whole: PeopleDataset, pictures: Sequence[int]) -> None:
        self._whole, self._pictures = whole, list(pictures)
        self.identities, self.people = whole.identities, people_of(whole)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """Picture `index` of the part."""
        return self._whole[self._pictures[index]]

    def path(self, index: int) -> Path | None:
        """The file of picture `index`, if the whole knows it."""
        return path_of(self._whole, self._pictures[index])


def part_of(dataset: PeopleDataset, share: float, seed: int) -> PeopleDataset:
    """A random share (0..1) of the pictures, at least one, in their order; a larger share of one seed holds the smaller ones."""
    if share >= 1:
        return dataset
    order = np.random.default_rng(seed).permutation(len(dataset))
    return PartPeople(dataset, np.sort(order[: max(1, round(share * len(dataset)))]).tolist())


def read_people(roots: NamedFolders, fields: Fields = DEFAULTS) -> PeopleDataset:
    """The training parts of data sets of whole pictures, one after the other; different sets hold different people.

    Args:
        roots: Data sets and their folders.
        fields: Names in an own COCO-style file.

    Raises:
        ConfigError: the reader is unknown, or reads crops.
        DataError: a data set is missing or broken; the message says what to download.
    """
    for name, _ in roots:
        if is_crops(name):
            raise ConfigError(
                f"{name} holds crops, which have no scene around people; a pre-training recipe takes them, or choose a set of scenes"
            )
    parts = [read_pictures(name, root, fields) for name, root in roots]
    return parts[0] if len(parts) == 1 else JoinedPeople(parts)


def read_pictures(name: str, root: Path, fields: Fields = DEFAULTS, *, individuals: bool = False) -> PicturePeople:
    """The training part of one data set of whole pictures (see `PicturePeople`, `read_people`).

    Raises:
        DataError: The data set is broken, or lacks pictures.
    """
    if name == COCO:
        fields = replace(fields, identity=NONE) if individuals else fields
        pictures: Sequence[Picture] = coco.load(root / ANNOTATIONS, root, fields, check_pictures=True)
    else:
        pictures = _PICTURES[name](root)
        check_files([picture.path for picture in pictures], root)
    return PicturePeople(pictures, individuals=individuals)


def read_crops(name: str, root: Path) -> CropPeople:
    """The training part of one data set of crops (see `CropPeople`, `read_people`)."""
    people = _CROPS[name](root)
    check_files(people.files, root)
    return people


def is_crops(name: str) -> bool:
    """Whether the data set of this name is one of crops.

    Raises:
        ConfigError: the name is unknown; the message lists all names.
    """
    if name not in _PICTURES and name not in _CROPS:
        raise ConfigError(f"unknown data set {name!r}; whole pictures: {', '.join(_PICTURES)}; crops: {', '.join(_CROPS)}")
    return name in _CROPS


def _known(crops: Sequence[Crop]) -> CropPeople:
    identities = np.array([crop.identity for crop in crops], np.int64)
    return CropPeople([crop.path for crop in crops], identities, [crop.camera for crop in crops])


_PICTURES: dict[str, Callable[[Path], Sequence[Picture]]] = {
    "prw": lambda root: prw.load_train(root)[0],
    "cuhk-sysu": lambda root: cuhk_sysu.load_train(root)[0],
    "posetrack21": lambda root: posetrack21.load_train(root)[0],
    "crowdhuman": crowdhuman.load,
    "citypersons": citypersons.load,
    "eurocity": eurocity.load,
    COCO: lambda root: coco.load(root / ANNOTATIONS, root),
    "yolo": yolo.load,
}
_CROPS: dict[str, Callable[[Path], CropPeople]] = {
    "msmt17": lambda root: _known(msmt17.load(root).train),
    "cuhk03": lambda root: _known(cuhk03.load(root, "labeled").train),
    "cuhk03-detected": lambda root: _known(cuhk03.load(root, "detected").train),
    "market1501": lambda root: _known(market1501.load(root).train),
    "crops": lambda root: _known(load_folders(root)[0]),
    "unlabelled-crops": lambda root: _known(load_unlabelled(root)),
    "luperson": lambda root: CropPeople(luperson.load(root)),
    "luperson-30k": lambda root: CropPeople(luperson.load(root, limit=LUPERSON_30K)),
}
