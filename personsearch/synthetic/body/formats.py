"""The text formats of MakeHuman: obj meshes, shape targets, clothes, skeleton, skin weights and BVH poses.

Source: makehumancommunity/makehuman, read from its files; lengths are decimetres, y is up, faces look along +z.
"""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import DataError


@dataclass(frozen=True)
class Mesh:
    """An obj file: corners and faces; quads are cut into two triangles."""

    vertices: Array  # (V, 3) float64, dm
    triangles: Array  # (T, 3) int64, 0-based
    groups: dict[str, Array]  # name of a `g` line -> indices of its triangles


@dataclass(frozen=True)
class Proxy:
    """An mhclo file: how every vertex of a garment hangs on three vertices of the base mesh."""

    name: str
    mesh_file: Path
    tags: tuple[str, ...]
    anchors: Array  # (K, 3) int64, base vertices
    weights: Array  # (K, 3) float64, sum 1, may be negative
    offsets: Array  # (K, 3) float64, scaled by the body's size along each axis
    scale_anchors: Array  # (3, 2) int64, per axis the two base vertices whose distance sets the scale
    scale_units: Array  # (3,) float64, that distance on the unmorphed body; 0 = the axis is not scaled
    hidden: Array  # int64, base vertices that the garment covers


@dataclass(frozen=True)
class Joint:
    """One joint of a BVH file."""

    name: str
    parent: int  # -1 for a root
    offset: tuple[float, float, float]
    channels: tuple[str, ...]
    start: int  # its first column in a frame


@dataclass(frozen=True)
class Motion:
    """A BVH file: joints in file order and one row of channel values per frame."""

    joints: tuple[Joint, ...]
    frames: Array  # (F, C) float64, degrees and lengths as the file has them


@dataclass
class _Hierarchy:
    joints: list[Joint] = field(default_factory=list)
    stack: list[int] = field(default_factory=list)
    columns: int = 0
    end_site: bool = False


def read_mesh(path: Path) -> Mesh:
    """The vertices, triangles and groups of an obj file.

    Raises:
        DataError: the file is missing, or a line is not what obj has.
    """
    vertices: list[list[str]] = []
    triangles: list[tuple[int, int, int]] = []
    groups: dict[str, list[int]] = {}
    group = groups.setdefault("", [])
    with _lines(path) as lines:
        for line in lines:
            if line.startswith("v "):
                vertices.append(line.split()[1:4])
            elif line.startswith("f "):
                corners = [int(corner.split("/")[0]) - 1 for corner in line.split()[1:]]
                for k in range(2, len(corners)):
                    group.append(len(triangles))
                    triangles.append((corners[0], corners[k - 1], corners[k]))
            elif line.startswith("g "):
                group = groups.setdefault(line[2:].strip(), [])
    indices = np.array(triangles, np.int64).reshape(-1, 3)
    points = np.array(vertices, np.float64).reshape(-1, 3)
    if indices.size and (indices.min() < 0 or indices.max() >= len(points)):
        raise DataError(f"{path}: a face names vertex {indices.max() + 1}, the mesh has {len(points)}; the file is damaged")
    return Mesh(points, indices, {name: np.array(rows, np.int64) for name, rows in groups.items() if rows})


def read_target(path: Path) -> tuple[Array, Array]:
    """A shape target (gzipped): (M,) int64 base vertices and (M, 3) float64 dm by which they move."""
    _check_file(path)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    values = np.array(rows, np.float64).reshape(-1, 4)
    return values[:, 0].astype(np.int64), values[:, 1:]


def read_proxy(path: Path) -> Proxy:
    """The binding of a garment, hair or hat to the base mesh.

    Raises:
        DataError: the file is missing or binds no vertex.
    """
    header: dict[str, list[str]] = {}
    tags: list[str] = []
    bindings: list[list[str]] = []
    hidden: list[str] = []
    section = ""
    with _lines(path) as lines:
        for words in (line.split() for line in lines if not line.startswith("#")):
            if not words:
                continue
            if words[0] in ("verts", "delete_verts"):
                section = words[0]
            elif not (words[0][0].isdigit() or words[0][0] == "-"):
                header[words[0]] = words[1:]
                tags += [" ".join(words[1:])] if words[0] == "tag" else []
            elif section == "verts":
                bindings.append(words)
            elif section == "delete_verts":
                hidden += words
    if not bindings or "obj_file" not in header:
        raise DataError(f"{path}: no `verts` or no `obj_file`; is this an mhclo file of MakeHuman?")
    anchors, weights, offsets = _bindings(bindings)
    scale_anchors, scale_units = _scales(header)
    name = " ".join(header.get("name", [path.stem]))
    mesh_file = path.parent / header["obj_file"][0]
    return Proxy(name, mesh_file, tuple(tags), anchors, weights, offsets, scale_anchors, scale_units, _ranges(hidden))


def read_json(path: Path, key: str) -> dict[str, Any]:
    """The JSON object of an mhskel or mhw file, which must have `key`."""
    _check_file(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or key not in content:
        raise DataError(f"{path}: no {key!r} inside; is this a file of MakeHuman's default rig?")
    return content


def read_motion(path: Path) -> Motion:
    """The joints and frames of a BVH file.

    Raises:
        DataError: the file is missing, or its frames have another number of columns than its joints have channels.
    """
    state = _Hierarchy()
    rows: list[list[float]] = []
    with _lines(path) as lines:
        for words in (line.split() for line in lines):
            if not words or words[0] in ("HIERARCHY", "MOTION", "Frames:", "Frame"):
                continue
            if words[0][0].isdigit() or words[0][0] == "-":
                rows.append([float(word) for word in words])
            else:
                _hierarchy_line(state, words)
    if not rows or any(len(row) != state.columns for row in rows):
        raise DataError(f"{path}: joints have {state.columns} channels, frames have {sorted({len(r) for r in rows})} columns")
    return Motion(tuple(state.joints), np.array(rows, np.float64))


def _hierarchy_line(state: _Hierarchy, words: list[str]) -> None:
    """Take one line of BVH's HIERARCHY into the state."""
    if words[0] in ("ROOT", "JOINT"):
        parent = state.stack[-1] if state.stack else -1
        state.joints.append(Joint(words[1], parent, (0.0, 0.0, 0.0), (), state.columns))
    elif words[0] == "End":
        state.end_site = True
    elif words[0] == "{":
        # an End Site has a block of its own but is not a joint
        state.stack.append(-1 if state.end_site else len(state.joints) - 1)
    elif words[0] == "}":
        state.stack.pop()
        state.end_site = False
    elif words[0] == "OFFSET" and not state.end_site:
        joint = state.joints[-1]
        x, y, z = (float(word) for word in words[1:4])
        state.joints[-1] = Joint(joint.name, joint.parent, (x, y, z), joint.channels, joint.start)
    elif words[0] == "CHANNELS":
        joint = state.joints[-1]
        state.joints[-1] = Joint(joint.name, joint.parent, joint.offset, tuple(words[2:]), state.columns)
        state.columns += len(words) - 2


def _bindings(rows: list[list[str]]) -> tuple[Array, Array, Array]:
    """Anchors, weights and offsets of mhclo lines; a single number copies that vertex."""
    full = [row if len(row) >= 9 else [row[0], row[0], row[0], "1", "0", "0", "0", "0", "0"] for row in rows]
    values = np.array([row[:9] for row in full], np.float64)
    return values[:, :3].astype(np.int64), values[:, 3:6], values[:, 6:9]


def _scales(header: dict[str, list[str]]) -> tuple[Array, Array]:
    """Per axis the two vertices and the distance of an mhclo header."""
    anchors, units = np.zeros((3, 2), np.int64), np.zeros(3)
    for axis, key in enumerate(("x_scale", "y_scale", "z_scale")):
        if key in header:
            anchors[axis] = [int(word) for word in header[key][:2]]
            units[axis] = float(header[key][2])
    return anchors, units


def _ranges(words: list[str]) -> Array:
    """Vertices of `delete_verts`: single numbers and `a - b` (both included) mixed."""
    found: list[int] = []
    k = 0
    while k < len(words):
        if k + 2 < len(words) and words[k + 1] == "-":
            found += range(int(words[k]), int(words[k + 2]) + 1)
            k += 3
        else:
            found.append(int(words[k]))
            k += 1
    return np.array(found, np.int64)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path} is missing; MakeHuman publishes these meshes (CC0): github.com/makehumancommunity/makehuman")


def _lines(path: Path) -> Any:
    _check_file(path)
    return path.open(encoding="utf-8")
