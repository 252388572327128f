"""A made-up folder in MakeHuman's layout: a body of boxes, so that the whole generator runs in a second."""

import gzip
import json
from pathlib import Path

import numpy as np

# boxes of the body's left side and middle: bone, centre, half size (dm)
MIDDLE = {"spine02": ((0, 2.5, 0), (1.6, 2.6, 0.9)), "head": ((0, 6.9, 0.2), (0.8, 1.1, 0.9))}
LEFT = {
    "upperarm01.L": ((2.3, 3.5, 0), (0.5, 1.2, 0.5)),
    "lowerarm01.L": ((2.3, 1.1, 0), (0.4, 1.2, 0.4)),
    "wrist.L": ((2.3, -0.6, 0), (0.3, 0.5, 0.3)),
    "upperleg01.L": ((0.9, -2.0, 0), (0.7, 2.0, 0.7)),
    "lowerleg01.L": ((0.9, -5.6, 0), (0.5, 1.8, 0.5)),
    "foot.L": ((0.9, -7.7, 0.4), (0.4, 0.4, 1.0)),
}
PARENTS = {
    "root": None, "spine02": "root", "neck01": "spine02", "head": "neck01",
    **{f"{a}.{s}": f"{b}.{s}" if b not in ("spine02", "root") else b for s in "LR" for a, b in (
        ("upperarm01", "spine02"), ("lowerarm01", "upperarm01"), ("wrist", "lowerarm01"),
        ("upperleg01", "root"), ("lowerleg01", "upperleg01"), ("foot", "lowerleg01"),
    )},
}  # fmt: skip
FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
BODY_VERTICES = 8 * 14


def box_corners(center: tuple[float, ...], half: tuple[float, ...]) -> np.ndarray:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    return np.array(center, float) + signs * np.array(half, float)


def body_boxes() -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    right = {name.replace(".L", ".R"): ((-c[0], c[1], c[2]), h) for name, (c, h) in LEFT.items()}
    return {**MIDDLE, **LEFT, **right}


def joint_places() -> dict[str, np.ndarray]:
    """Heads of the bones: the top of a bone's box, root at the hips, neck below the head."""
    tops = {name: np.array([c[0], c[1] + h[1], c[2]]) for name, (c, h) in body_boxes().items()}
    return {**tops, "spine02": np.array([0, 1.0, 0]), "root": np.array([0, 0, 0.0]), "neck01": np.array([0, 5.2, 0.0])}


def write_assets(folder: Path) -> Path:
    """Write the folder and return it."""
    boxes, joints = body_boxes(), joint_places()
    corners = np.concatenate([box_corners(*box) for box in boxes.values()] + [box_corners((0, -1.5, 0), (2.0, 2.5, 1.2))])
    vertices = np.concatenate([corners, np.stack(list(joints.values()))])
    lines = [*_faces(len(boxes), "body"), "g helper-skirt", *_box_faces(len(boxes))]
    _write(folder / "base.obj", [*_vertices(vertices), *lines])
    names = {name: BODY_VERTICES + 8 + k for k, name in enumerate(joints)}
    _write_rig(folder / "rig", boxes, names)
    head = list(boxes).index("head") * 8
    _gzip(folder / "targets/macrodetails/caucasian-male-young.target.gz", [f"{head + k} 0 .3 0" for k in range(8)])
    _gzip(folder / "targets/macrodetails/universal-male-young-averagemuscle-maxweight.target.gz", ["0 -.2 0 0"])
    clothed = [name for name in boxes if name not in ("head", "wrist.L", "wrist.R", "foot.L", "foot.R")]
    _write_garment(folder / "clothes/male_suit01", "male_suit01", "Male", clothed, boxes, 0.1)
    _write_garment(folder / "clothes/female_suit01", "female_suit01", "Female", clothed, boxes, 0.15)
    _write_garment(folder / "clothes/shoes01", "shoes01", "Shoes", ["foot.L", "foot.R"], boxes, 0.1)
    _write_garment(folder / "hair/short01", "short01", "Short", ["head"], boxes, 0.1)
    _write_motion(folder / "poses/walk1.bvh", joints, [25.0, -25.0])
    _write_motion(folder / "poses/standing01.bvh", joints, [0.0])
    return folder


def _vertices(points: np.ndarray) -> list[str]:
    return [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in points]


def _box_faces(box: int) -> list[str]:
    return ["f " + " ".join(f"{8 * box + corner + 1}/1" for corner in face) for face in FACES]


def _faces(count: int, group: str) -> list[str]:
    return [f"g {group}", *(line for box in range(count) for line in _box_faces(box))]


def _write_rig(folder: Path, boxes: dict[str, object], joints: dict[str, int]) -> None:
    bones = {name: {"parent": parent, "head": f"{name}____head", "tail": f"{name}____head"} for name, parent in PARENTS.items()}
    skeleton = {"bones": bones, "joints": {f"{name}____head": [vertex] for name, vertex in joints.items()}}
    weights = {name: [[8 * k + corner, 1.0] for corner in range(8)] for k, name in enumerate(boxes)}
    _write(folder / "default.mhskel", [json.dumps(skeleton)])
    _write(folder / "default_weights.mhw", [json.dumps({"weights": weights})])


def _write_garment(folder: Path, name: str, tag: str, parts: list[str], boxes: dict, wider: float) -> None:
    """Boxes a little larger than those of the body, each corner hung on the body's corner."""
    order = list(boxes)
    signs = box_corners((0, 0, 0), (1, 1, 1)) * wider
    bound = [(8 * order.index(part) + corner, signs[corner]) for part in parts for corner in range(8)]
    corners = np.concatenate([box_corners(*boxes[part]) + signs for part in parts])
    _write(folder / f"{name}.obj", [*_vertices(corners), *_faces(len(parts), name)])
    hidden = " ".join(f"{8 * order.index(part)} - {8 * order.index(part) + 7}" for part in parts)
    header = ["# made up", f"name {name}", f"tag {tag}", f"obj_file {name}.obj", "verts 0"]
    lines = [f"{v} {v} {v} 1.0 0.0 0.0 {d[0]} {d[1]} {d[2]}" for v, d in bound]
    _write(folder / f"{name}.mhclo", [*header, *lines, "", "delete_verts", hidden])


def _write_motion(path: Path, joints: dict[str, np.ndarray], angles: list[float]) -> None:
    """The left leg swings about x; y is up."""
    lines: list[str] = ["HIERARCHY"]
    columns: list[str] = []

    def joint(name: str) -> None:
        parent = PARENTS[name]
        offset = joints[name] - (joints[parent] if parent else 0)
        lines.extend([f"{'JOINT' if parent else 'ROOT'} {name}", "{", "OFFSET " + " ".join(f"{value:.4f}" for value in offset)])
        lines.append("CHANNELS 3 Xrotation Yrotation Zrotation")
        columns.append(name)
        children = [child for child, above in PARENTS.items() if above == name]
        for child in children:
            joint(child)
        if not children:
            lines.extend(["End Site", "{", "OFFSET 0 -1 0", "}"])
        lines.append("}")

    joint("root")
    rows = [" ".join(f"{angle if name == 'upperleg01.L' else 0} 0 0" for name in columns) for angle in angles]
    _write(path, [*lines, "MOTION", f"Frames: {len(rows)}", "Frame Time: 0.04", *rows])


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _gzip(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(("# made up\n" + "\n".join(lines) + "\n").encode()))
