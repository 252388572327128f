"""Small folders in the formats of the data sets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from tests.helpers.fakes import BLUE, GREEN, RED, YELLOW, scene

TRAIN_FRAMES = {"c1s1_000001": [(7, 10, 20, 20, 90)], "c2s1_000002": [(7, 30, 20, 20, 80), (932, 80, 20, 20, 60), (-2, 150, 20, 20, 50)]}
# Red is person 3, blue person 5, green is unknown; the height of a person is its score.
TEST_FRAMES = {
    "c1s3_000010": [(RED, 3, 10, 90), (BLUE, 5, 60, 80)],
    "c1s3_000020": [(RED, 3, 20, 85), (GREEN, -2, 100, 70)],
    "c2s3_000030": [(RED, 3, 100, 80), (YELLOW, -2, 20, 90)],
    "c2s3_000040": [(BLUE, 5, 100, 75)],
}


def cells(values: list[Any]) -> np.ndarray:
    """A MATLAB column of cells."""
    column = np.empty((len(values), 1), object)
    column[:, 0] = values
    return column


def structs(**fields: list[Any]) -> np.ndarray:
    """A MATLAB struct array, one row."""
    rows = np.empty((1, len(next(iter(fields.values())))), [(name, object) for name in fields])
    for name, values in fields.items():
        for place, value in enumerate(values):
            rows[0, place][name] = value
    return rows


def write_prw(root: Path, *, ending: str = "\n") -> Path:
    """A PRW of two training and four test frames; people are coloured rectangles, 20 wide, at top 20."""
    (root / "frames").mkdir(parents=True)
    (root / "annotations").mkdir()
    savemat(root / "frame_train.mat", {"img_index_train": cells(list(TRAIN_FRAMES))})
    savemat(root / "frame_test.mat", {"img_index_test": cells(list(TEST_FRAMES))})
    for name, rows in TRAIN_FRAMES.items():
        savemat(root / "annotations" / f"{name}.jpg.mat", {"anno_file": np.array(rows, float)}, appendmat=False)
    for name, people in TEST_FRAMES.items():
        rows = [(identity, left, 20, 20, height) for _, identity, left, height in people]
        savemat(root / "annotations" / f"{name}.jpg.mat", {"box_new": np.array(rows, float)}, appendmat=False)
        pixels = scene(*((colour, left, 20, height) for colour, _, left, height in people))
        Image.fromarray(pixels).save(root / "frames" / f"{name}.jpg", format="PNG")  # exact colours; the content decides, not the name
    lines = ["3 10.7 20.2 20.0 90.0 c1s3_000010", "5 60.0 20.0 20.0 80.0 c1s3_000010"]
    (root / "query_info.txt").write_bytes((ending.join(lines) + ending).encode())
    return root


def write_cuhk_sysu(root: Path) -> Path:
    """A CUHK-SYSU of one training and four test pictures; person p1 is red, and in s2, s3 and s4."""
    pictures = {
        "s1.jpg": [(GREEN, 10, 90)],
        "s2.jpg": [(RED, 10, 90), (BLUE, 60, 80)],
        "s3.jpg": [(RED, 20, 85)],
        "s4.jpg": [(GREEN, 20, 70), (RED, 100, 80)],
        "s5.jpg": [(YELLOW, 50, 60)],
    }
    images, tests = root / "Image" / "SSM", root / "annotation" / "test" / "train_test"
    images.mkdir(parents=True)
    tests.mkdir(parents=True)
    boxes = {name: [np.array([[left, 20, 20, height]]) for _, left, height in people] for name, people in pictures.items()}
    for name, people in pictures.items():
        Image.fromarray(scene(*((colour, left, 20, height) for colour, left, height in people))).save(images / name, format="PNG")
    boxes["s5.jpg"].append(np.array([[0, 0, 0, 9]]))  # without width: the real file has such
    found = [structs(idlocate=rows, ishard=[np.array([[0]])] * len(rows)) for rows in boxes.values()]
    savemat(
        root / "annotation" / "Images.mat",
        {"Img": structs(imname=list(boxes), nAppear=[np.array([[len(rows)]]) for rows in boxes.values()], box=found)},
    )
    savemat(root / "annotation" / "pool.mat", {"pool": cells(["s2.jpg", "s3.jpg", "s4.jpg", "s5.jpg"])})
    trained = structs(idname=["p9"], nAppear=[1], scene=[structs(imname=["s1.jpg"], idlocate=boxes["s1.jpg"], ishard=[0])])
    savemat(tests / "Train.mat", {"Train": cells([trained])})
    query = structs(imname=["s2.jpg"], idlocate=[boxes["s2.jpg"][0]], ishard=[0], idname=["p1"])
    lists = {50: ["s3.jpg", "s5.jpg"], 100: ["s3.jpg", "s4.jpg", "s5.jpg"]}
    person = {"s3.jpg": boxes["s3.jpg"][0], "s4.jpg": boxes["s4.jpg"][1], "s5.jpg": np.zeros((1, 0))}
    for size, names in lists.items():
        gallery = structs(imname=names, idlocate=[person[name] for name in names], ishard=[0] * len(names))
        savemat(tests / f"TestG{size}.mat", {f"TestG{size}": structs(Query=[query], Gallery=[gallery])})
    return root


def write_posetrack21(root: Path, *, stranger: bool = False, region: Sequence[tuple[int, int]] = ()) -> Path:
    """A PoseTrack21 of three test pictures; one query picture asks for red, person 4, and blue, person 5.

    Args:
        root: the folder to make.
        stranger: another red person, not annotated, in picture 3 at 125..145, 20..115.
        region: corners of a polygon to ignore in picture 3.
    """
    (root / "posetrack_person_search").mkdir(parents=True)
    (root / "images").mkdir()
    people = {1: [(RED, 4, 10, 90), (BLUE, 5, 100, 80)], 2: [(BLUE, 5, 20, 70)], 3: [(RED, 4, 60, 60)]}
    for part, chosen in (("val", (1, 2, 3)), ("query", (1,))):
        images: list[dict[str, Any]] = [{"id": one, "vid_id": "000342", "file_name": f"images/{one}.png"} for one in chosen]
        if part == "val" and region:
            images[2] |= {"ignore_regions_x": [[x for x, _ in region]], "ignore_regions_y": [[y for _, y in region]]}
        annotations = [
            {"image_id": one, "person_id": person, "bbox": [left, 20, 20, height]}
            for one in chosen
            for _, person, left, height in people[one]
        ]
        (root / "posetrack_person_search" / f"{part}.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    for one, rows in people.items():
        shown = [(colour, left, 20, height) for colour, _, left, height in rows]
        if stranger and one == 3:
            shown.append((RED, 125, 20, 95))
        Image.fromarray(scene(*shown)).save(root / "images" / f"{one}.png")
    return root
