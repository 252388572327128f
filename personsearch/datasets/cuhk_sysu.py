"""CUHK-SYSU: people in street photos and film stills; each test query has a list of pictures to search, of several sizes.

Layout: `Image/SSM/*.jpg`, `annotation/Images.mat`, `annotation/pool.mat`, and in `annotation/test/train_test/`
`Train.mat` and `TestG50.mat` ... `TestG4000.mat`.

Source: serend1p1ty/SeqNet@edec285 datasets/cuhk_sysu.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from personsearch.boxes import Array
from personsearch.datasets.files import check_folder, read_mat, reading, text, unwrap
from personsearch.datasets.people import UNLABELLED, Candidate, Picture, QueryPerson, SearchSet, number_identities, xywh_to_xyxy
from personsearch.errors import ConfigError, DataError

GET = (
    "ask the authors of CUHK-SYSU for the data set (ShuangLI59/person_search says how), unpack it, "
    "and name the folder that holds Image/ and annotation/"
)
SIZES = (50, 100, 500, 1000, 2000, 4000)
GallerySize = int | Literal["full"]
_Boxes = dict[str, Array]  # file name -> (N, 4) xywh
_Names = dict[str, Array]  # file name -> (N,) identities


def load_train(root: Path) -> tuple[tuple[Picture, ...], int]:
    """The training pictures with identities 0..L-1, and L, which is 5532 for the whole set.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    boxes, pool = _load_boxes(root), set(_load_pool(root))
    chosen = {name: rows for name, rows in boxes.items() if name not in pool}
    identities = {name: np.full(len(rows), UNLABELLED, np.int64) for name, rows in chosen.items()}
    path = _protocol_path(root, "Train")
    with reading(path, GET):
        for number, cell in enumerate(np.ravel(read_mat(path)["Train"])):
            for one in np.ravel(unwrap(cell)[2]):  # fields by place, as the authors' code takes them: name, count, scenes
                _name_person(chosen, identities, text(one[0]), np.ravel(one[1]), number)
    return number_identities(_pictures(root, chosen, identities))


def load_test(root: Path, size: GallerySize = 100) -> SearchSet:
    """The test pictures, and the queries with their lists.

    Args:
        root: folder of the data set.
        size: pictures in each query's list: 50, 100, 500, 1000, 2000, 4000; "full": the list of 50, and all other test
            pictures as ones without the person.

    Raises:
        ConfigError: another size.
        DataError: a file is missing or broken; the message says what to download.
    """
    if size != "full" and size not in SIZES:
        raise ConfigError(f'CUHK-SYSU has galleries of {", ".join(map(str, SIZES))} and "full", got {size!r}')
    boxes, pool = _load_boxes(root), _load_pool(root)
    missing = [name for name in pool if name not in boxes]
    if missing:
        raise DataError(f"{root}: pool.mat names {missing[0]}, which Images.mat lacks; {GET}")
    queries = read_protocol(_protocol_path(root, f"TestG{50 if size == 'full' else size}"), _folder(root))
    if size == "full":
        queries = _with_whole_pool(queries, [_folder(root) / name for name in pool])
    chosen = {name: boxes[name] for name in pool}
    identities = {name: np.full(len(rows), UNLABELLED, np.int64) for name, rows in chosen.items()}
    for query in queries:
        box = query.box.copy()
        box[2:] -= box[:2]
        _name_person(chosen, identities, query.path.name, box, query.identity)
        for candidate in query.candidates or ():
            if candidate.box_xywh is not None:
                _name_person(chosen, identities, candidate.path.name, np.array(candidate.box_xywh), query.identity)
    return SearchSet(_pictures(root, chosen, identities), queries)


def read_protocol(file: Path, folder: Path) -> tuple[QueryPerson, ...]:
    """The queries of a `TestG*.mat` file, with their lists.

    Args:
        file: its name without ".mat" is the name of the variable in it.
        folder: folder of the pictures.

    Raises:
        DataError: the file is missing or broken.
    """
    empty: dict[str, Candidate] = {}  # of 2,900 lists of 4,000 most are the same pictures without the person
    with reading(file, GET):
        rows = np.ravel(read_mat(file)[file.stem])
        return tuple(_query(row, number, folder, empty) for number, row in enumerate(rows))


def _query(row: Any, number: int, folder: Path, empty: dict[str, Candidate]) -> QueryPerson:
    asked = row["Query"][0, 0]
    box = xywh_to_xyxy(np.trunc(np.ravel(asked["idlocate"]).astype(np.float64)))
    if box.shape != (1, 4):
        raise DataError(f"query {number} has {box.size} numbers as its box; it must have 4")
    candidates = tuple(_candidates(np.ravel(row["Gallery"]), folder, empty))
    return QueryPerson(folder / text(asked["imname"]), box[0], number, None, candidates)


def _candidates(rows: Array, folder: Path, empty: dict[str, Candidate]) -> Iterator[Candidate]:
    for one in rows:
        name, box = text(one["imname"]), np.ravel(one["idlocate"]).tolist()
        if not box:
            if name not in empty:
                empty[name] = Candidate(folder / name, None)
            yield empty[name]
        else:
            x, y, width, height = box
            yield Candidate(folder / name, (float(x), float(y), float(width), float(height)))


def _with_whole_pool(queries: tuple[QueryPerson, ...], pool: list[Path]) -> tuple[QueryPerson, ...]:
    others = {path: Candidate(path, None) for path in pool}
    result = []
    for query in queries:
        listed = query.candidates or ()
        known = {one.path for one in listed} | {query.path}
        rest = tuple(one for path, one in others.items() if path not in known)
        result.append(QueryPerson(query.path, query.box, query.identity, None, listed + rest))
    return tuple(result)


def _load_boxes(root: Path) -> _Boxes:
    """(N, 4) xywh of everybody in every picture; boxes without width or height are left out, as the authors do."""
    check_folder(_folder(root), GET)
    path = root / "annotation" / "Images.mat"
    boxes: _Boxes = {}
    with reading(path, GET):
        for row in np.ravel(read_mat(path)["Img"]):
            people = [np.ravel(one[0]) for one in np.ravel(row[2])]  # fields by place: name, count, people
            rows = np.array(people, np.float64).reshape(-1, 4)
            boxes[text(row[0])] = rows[(rows[:, 2:] > 0).all(axis=1)]
    return boxes


def _load_pool(root: Path) -> list[str]:
    """Names of the test pictures."""
    path = root / "annotation" / "pool.mat"
    with reading(path, GET):
        return [text(name) for name in np.ravel(read_mat(path)["pool"])]


def _name_person(boxes: _Boxes, identities: _Names, name: str, box: Array, identity: int) -> None:
    """Give the person with exactly this box (xywh) the identity; a person who is annotated nowhere else is let be."""
    if name in boxes:
        same = (np.trunc(boxes[name]) == np.trunc(box.astype(np.float64))).all(axis=1)
        identities[name][np.flatnonzero(same)[:1]] = identity


def _pictures(root: Path, boxes: _Boxes, identities: _Names) -> tuple[Picture, ...]:
    return tuple(Picture(_folder(root) / name, xywh_to_xyxy(rows), identities[name]) for name, rows in boxes.items())


def _folder(root: Path) -> Path:
    return root / "Image" / "SSM"


def _protocol_path(root: Path, name: str) -> Path:
    return root / "annotation" / "test" / "train_test" / f"{name}.mat"
