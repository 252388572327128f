"""LUPerson: four million crops of unnamed people from street videos, in an LMDB or as plain files.

Layout: `lmdb/data.mdb` (or `data.mdb` in the folder itself) with keys such as `03_01_0012_00000045` (country, city, video, crop) and
JPEG files as values; or a folder of pictures. The authors' `keys.pkl` lists the keys again: it is a pickle, so it is never opened.

Source: DengpanFu/LUPerson@0919e3f (LUP/convert_lmdb.py), @27d5825 (lup_moco/libs/dataset.py).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

from personsearch.datasets.crops import load_unlabelled
from personsearch.errors import DataError, MissingExtraError

GET = "ask the authors of LUPerson for the data set (DengpanFu/LUPerson), and name the folder that holds lmdb/, or a folder of crops"
DATABASE = "data.mdb"

T = TypeVar("T")


class StoredCrops(Sequence[bytes]):
    """The files in an LMDB, by key. Each process opens it for itself, so that worker processes can have this.

    Args:
        folder: with `data.mdb`.
        limit: number of crops, chosen evenly by key; None for all. The "LUPerson30k" of the hybrid pre-training paper is 30,000 crops
            that it does not name.

    Raises:
        DataError: it cannot be read, or holds nothing.
        MissingExtraError: lmdb is not installed.
    """

    def __init__(self, folder: Path, *, limit: int | None = None) -> None:
        self.folder = folder.resolve()
        with _open(self.folder).begin() as transaction:
            self._keys = choose(tuple(transaction.cursor().iternext(values=False)), limit)
        if not self._keys:
            raise DataError(f"{folder / DATABASE} holds no crops; {GET}")

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[bytes, ...]: ...

    def __getitem__(self, index: int | slice) -> bytes | tuple[bytes, ...]:
        """The bytes of a picture's file, which `images.load` takes."""
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        with _open(self.folder).begin() as transaction:
            return bytes(transaction.get(self._keys[index]))


def load(root: Path, *, limit: int | None = None) -> Sequence[bytes] | Sequence[Path]:
    """All crops by key or path, or `limit` of them: the bytes of each file in an LMDB, or the paths of pictures.

    Raises:
        DataError: no such folder, nothing in it, or a damaged LMDB; the message says what to download.
        MissingExtraError: there is an LMDB, and lmdb is not installed.
    """
    for folder in (root / "lmdb", root):
        if (folder / DATABASE).is_file():
            return StoredCrops(folder, limit=limit)
    try:
        return choose(tuple(crop.path for crop in load_unlabelled(root)), limit)
    except DataError as error:
        raise DataError(f"{error}; {GET}") from error


def choose(everything: tuple[T, ...], limit: int | None) -> tuple[T, ...]:
    """`limit` of them, evenly chosen, in their order; all if there are fewer."""
    if limit is None or limit >= len(everything):
        return everything
    return tuple(everything[place * len(everything) // limit] for place in range(limit))


@cache  # LMDB cannot be opened twice in one process
def _open(folder: Path) -> Any:
    try:
        import lmdb
    except ModuleNotFoundError as error:
        raise MissingExtraError("lmdb is not installed; run: pip install 'personsearch[luperson]'") from error
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
    except (lmdb.Error, OSError) as error:
        raise DataError(f"{folder / DATABASE} cannot be read ({error}); {GET}") from error
