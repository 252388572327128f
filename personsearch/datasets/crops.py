"""Crops of people, as re-identification data sets and people's own folders have them: one person a picture, no boxes."""

from dataclasses import dataclass
from pathlib import Path

from personsearch.datasets.files import check_folder
from personsearch.datasets.people import UNLABELLED
from personsearch.errors import DataError
from personsearch.sources import PICTURE_EXTENSIONS


@dataclass(frozen=True)
class Crop:
    """A picture of one person, not decoded."""

    path: Path
    identity: int = UNLABELLED  # -1: unknown
    camera: int | None = None


@dataclass(frozen=True)
class CropSet:
    """The parts of a re-identification data set; a test's query and gallery may share people."""

    train: tuple[Crop, ...]
    query: tuple[Crop, ...] = ()
    gallery: tuple[Crop, ...] = ()


def load_folders(root: Path) -> tuple[tuple[Crop, ...], tuple[str, ...]]:
    """Crops in one folder for each person, and the folders' names: identity i is the person of name i, in alphabetical order.

    Raises:
        DataError: no such folder, or no picture in any folder in it.
    """
    advice = "make a folder for each person, with crops of the person in it"
    check_folder(root, advice)
    found = {folder.name: _pictures(folder) for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith(".")}
    names = tuple(name for name, paths in found.items() if paths)
    if not names:
        raise DataError(f"{root} holds no folder with pictures; {advice}")
    return tuple(Crop(path, identity) for identity, name in enumerate(names) for path in found[name]), names


def load_unlabelled(root: Path) -> tuple[Crop, ...]:
    """All crops under a folder, people unknown; LUPerson is one such folder once its archives are unpacked into JPEG files.

    Raises:
        DataError: no such folder, or no picture in it.
    """
    advice = "name a folder of crops (for LUPerson: ask its authors for the data set, DengpanFu/LUPerson, and unpack the pictures as files)"
    check_folder(root, advice)
    paths = _pictures(root)
    if not paths:
        raise DataError(f"{root} holds no picture; {advice}")
    return tuple(Crop(path) for path in paths)


def _pictures(folder: Path) -> list[Path]:
    """Pictures of the folder and the folders in it, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_EXTENSIONS and path.is_file())
