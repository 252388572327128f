"""PRW: people in the frames of six cameras, as its authors' MATLAB files and as the JSON files of AlignPS give them.

Layout: `frames/*.jpg`, `annotations/*.jpg.mat`, `frame_train.mat`, `frame_test.mat`, `query_info.txt`; or
`frames/` with `annotations/train_pid.json` and `annotations/test_pid.json`, and `query_info.txt`.
The papers count 482 training identities; both forms of the annotations name 483, and all of them are kept here.

Source: serend1p1ty/SeqNet@edec285 datasets/prw.py (which key, how boxes are cut); daodaofr/AlignPS train_pid.json.
"""

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from personsearch.boxes import Array
from personsearch.datasets.files import check_folder, read_json, read_mat, reading, text
from personsearch.datasets.people import UNLABELLED, Picture, QueryPerson, SearchSet, number_identities, xywh_to_xyxy
from personsearch.errors import DataError

GET = (
    "download PRW-v16.04.20 from its authors' page (liangzheng06/PRW-baseline), unpack it, "
    "and name the folder that holds frames/ and frame_test.mat"
)
_KEYS = ("box_new", "anno_file", "anno_previous")  # the annotation files use one or the other
_CAMERA = re.compile(r"c(\d+)s\d")
Split = Literal["train", "test"]


def load_train(root: Path) -> tuple[tuple[Picture, ...], int]:
    """The training frames with identities 0..L-1, and L, which is 483 for the whole of PRW.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    return number_identities(load_pictures(root, "train"))


def load_test(root: Path) -> SearchSet:
    """The test frames and the queries; every query is searched in all frames but its own.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    return SearchSet(load_pictures(root, "test"), load_queries(root))


def load_pictures(root: Path, split: Split) -> tuple[Picture, ...]:
    """The frames of one part, identities as the files number them.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    check_folder(root, GET)
    check_folder(root / "frames", GET)
    coco = root / "annotations" / f"{split}_pid.json"
    if coco.is_file():
        return read_coco(coco, root / "frames")
    listed = root / f"frame_{split}.mat"
    with reading(listed, GET):
        names = [f"{text(name)}.jpg" for name in np.ravel(read_mat(listed)[f"img_index_{split}"])]
    return tuple(_picture(root, name) for name in names)


def load_queries(root: Path) -> tuple[QueryPerson, ...]:
    """The people of `query_info.txt`, whose lines may end in LF or CRLF.

    The corners are cut to whole numbers first and to the frame then, as the authors do it.

    Raises:
        DataError: the file is missing or broken.
    """
    path = root / "query_info.txt"
    with reading(path, GET):
        lines = path.read_text(encoding="utf-8").splitlines()  # either ending
        queries = [_query(root, line, number) for number, line in enumerate(lines, 1) if line.strip()]
    return tuple(queries)


def read_coco(file: Path, folder: Path) -> tuple[Picture, ...]:
    """The frames of a COCO-style file of AlignPS; `person_id` is -1 or -2 where the person is unnamed.

    Raises:
        DataError: the file is missing or broken.
    """
    with reading(file, GET):
        content = read_json(file)
        rows: dict[int, list[Any]] = {image["id"]: [] for image in content["images"]}
        for one in content["annotations"]:
            rows[one["image_id"]].append([one["person_id"], *one["bbox"]])
        return tuple(_from_rows(folder / image["file_name"], np.array(rows[image["id"]]).reshape(-1, 5)) for image in content["images"])


def _picture(root: Path, name: str) -> Picture:
    path = root / "annotations" / f"{name}.mat"
    with reading(path, GET):
        content = read_mat(path)
        key = next((key for key in _KEYS if key in content), None)
        if key is None:
            raise DataError(f"none of {', '.join(_KEYS)} is in it")
        return _from_rows(root / "frames" / name, np.asarray(content[key], np.float64).reshape(-1, 5))


def _from_rows(path: Path, rows: Array) -> Picture:
    """One frame of (N, 5) identity, x, y, w, h."""
    # The authors clip x, y, w, h at 0 before they add, so a box that begins left of the frame moves; then cut to whole numbers.
    boxes = np.trunc(xywh_to_xyxy(np.clip(rows[:, 1:], 0, None)))
    identities = rows[:, 0].astype(np.int64)
    return Picture(path, boxes, np.where(identities < 0, UNLABELLED, identities), _camera(path.name))


def _query(root: Path, line: str, number: int) -> QueryPerson:
    """One line: identity x y w h frame."""
    fields = line.split()
    if len(fields) != 6:
        raise DataError(f"line {number} must be: identity x y w h frame, got {line!r:.80}")
    box = np.clip(np.trunc(xywh_to_xyxy(np.array([fields[1:5]], np.float64))), 0, None)[0]
    name = f"{fields[5]}.jpg"
    return QueryPerson(root / "frames" / name, box, int(fields[0]), _camera(name))


def _camera(name: str) -> int:
    found = _CAMERA.match(name)
    if found is None:
        raise DataError(f"the frame {name!r} does not begin with its camera, as c1s3_016471.jpg does")
    return int(found.group(1))
