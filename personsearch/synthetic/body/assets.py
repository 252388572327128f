"""A folder of MakeHuman meshes, read once: body, skeleton, shape targets, garments, hair and poses."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import DataError
from personsearch.synthetic.body.anatomy import Anatomy, build_anatomy, limb_coordinates, triangle_parts
from personsearch.synthetic.body.formats import Mesh, Proxy, read_json, read_mesh, read_proxy, read_target
from personsearch.synthetic.body.poses import PoseLibrary, load_poses
from personsearch.synthetic.body.skeleton import Skeleton, SkinWeights, build_skeleton, build_weights, mixed

WHERE = "MakeHuman publishes them (CC0): github.com/makehumancommunity/makehuman, folder makehuman/data, and makehuman-assets"


@dataclass(frozen=True)
class Surface:
    """A mesh that moves with the skeleton, and where on the unmorphed body it lies."""

    triangles: Array  # (T, 3) int64
    skin: SkinWeights
    rest: Array  # (V, 3) dm
    limb: Array  # (V, 3) limb coordinates, see anatomy.py
    part: Array  # (T,) part of the body
    along: Array  # (T,) dm down the limb of each triangle's nearest corner


@dataclass(frozen=True)
class Wearable:
    """A garment, shoes, a hat or hair, bound to the base mesh."""

    name: str
    proxy: Proxy
    surface: Surface
    upper: Array  # (T,) bool: belongs to the half above the waist
    lower: Array  # (T,) bool: belongs to the half below
    cut: float  # height where a welded suit is cut, dm; -inf where its halves are separate

    def fit(self, body: Array) -> Array:
        """(K, 3) vertices of the garment on a body of (V, 3) base vertices."""
        return fit(self.proxy, body)


@dataclass(frozen=True)
class Assets:
    """All that is needed to make people."""

    base: Mesh
    skeleton: Skeleton
    body: Surface  # the visible skin; its vertices are all those of the base mesh
    anatomy: Anatomy
    targets: dict[str, tuple[Array, Array]]
    suits: dict[str, Wearable]
    shoes: dict[str, Wearable]
    hats: dict[str, Wearable]
    hair: dict[str, Wearable]
    poses: PoseLibrary


@lru_cache(maxsize=2)
def load_assets(folder: Path) -> Assets:
    """Read a folder laid out like MakeHuman's data: base.obj, rig, targets/macrodetails, clothes, hair, poses.

    Raises:
        DataError: the folder or something in it is missing or damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of MakeHuman meshes; {WHERE}")
    base = read_mesh(folder / "base.obj")
    if "body" not in base.groups:
        raise DataError(f"{folder / 'base.obj'} has no group `body`; use MakeHuman's data/3dobjs/base.obj")
    skeleton = build_skeleton(read_json(folder / "rig" / "default.mhskel", "bones"))
    skin = build_weights(read_json(folder / "rig" / "default_weights.mhw", "weights")["weights"], skeleton, len(base.vertices))
    targets = {path.name.removesuffix(".target.gz"): read_target(path) for path in _some(folder, "targets/macrodetails/*.target.gz")}
    anatomy = build_anatomy(skeleton, base.vertices)
    clothes = [_wearable(path, base, skeleton, skin, anatomy) for path in _some(folder, "clothes/*/*.mhclo")]
    hair = [_wearable(path, base, skeleton, skin, anatomy) for path in _some(folder, "hair/*/*.mhclo")]
    shoes = {item.name: item for item in clothes if "Shoes" in item.proxy.tags}
    hats = {item.name: item for item in clothes if "Hats" in item.proxy.tags}
    suits = {item.name: item for item in clothes if item.name not in shoes and item.name not in hats}
    if not suits:
        raise DataError(f"{folder / 'clothes'} has no suit (only shoes and hats); {WHERE}")
    poses = load_poses(folder / "poses", skeleton, base.vertices)
    body = _surface(base.triangles[base.groups["body"]], skin, base.vertices, anatomy)
    return Assets(base, skeleton, body, anatomy, targets, suits, shoes, hats, {item.name: item for item in hair}, poses)


def fit(proxy: Proxy, body: Array) -> Array:
    """(K, 3) vertices of a garment on a body: a weighted mean of three base vertices plus a scaled offset."""
    near = (proxy.weights[:, :, None] * body[proxy.anchors]).sum(axis=1)
    ends = body[proxy.scale_anchors]  # (3, 2, 3)
    spans = np.abs(ends[:, 0] - ends[:, 1])[np.arange(3), np.arange(3)]
    scale = np.divide(spans, proxy.scale_units, out=np.ones(3), where=proxy.scale_units > 0)
    return np.asarray(near + proxy.offsets * scale)


def pieces(triangles: Array, count: int) -> Array:
    """(T,) number of the connected piece that each triangle belongs to, of a mesh of `count` vertices."""
    label = np.arange(count)
    while True:
        lowest = label[triangles].min(axis=1)
        step = label.copy()
        for corner in range(3):
            np.minimum.at(step, triangles[:, corner], lowest)
        step = step[step]  # a shortcut along the chain halves the rounds
        if np.array_equal(step, label):
            return np.asarray(label[triangles[:, 0]])
        label = step


def halves(rest: Array, triangles: Array, waist: float) -> tuple[Array, Array, float]:
    """Which triangles of a suit are its shirt and which its trousers.

    A suit is one mesh. Its pieces tell: trousers reach below the waist and not far above it.
    A piece with shirt and trousers welded is cut at the waist; triangles across the cut belong to both.

    Args:
        rest: (V, 3) on the unmorphed body, dm.
        triangles: (T, 3).
        waist: Height of the hips, in dm.

    Returns:
        (T,) bool for the shirt, (T,) bool for the trousers, and the height of the cut, -inf where nothing is welded.
    """
    height = rest[triangles][:, :, 1]
    low, high = height.min(axis=1), height.max(axis=1)
    label = pieces(triangles, len(rest))
    upper, lower, cut = np.zeros(len(triangles), bool), np.zeros(len(triangles), bool), -np.inf
    for piece in np.unique(label):
        rows = label == piece
        bottom, top = low[rows].min(), high[rows].max()
        if bottom < waist - 3.0 and top > waist + 2.5:
            cut = waist + 0.1
            upper[rows], lower[rows] = high[rows] > cut, low[rows] < cut
        else:
            upper[rows] = (bottom + top) / 2 > waist
            lower[rows] = ~upper[rows]
    return upper, lower, float(cut)


def _wearable(path: Path, base: Mesh, skeleton: Skeleton, skin: SkinWeights, anatomy: Anatomy) -> Wearable:
    """Read a garment and check that its mesh and its binding belong together."""
    proxy = read_proxy(path)
    mesh = read_mesh(proxy.mesh_file)
    if len(mesh.vertices) != len(proxy.anchors):
        raise DataError(f"{path} binds {len(proxy.anchors)} vertices, {proxy.mesh_file.name} has {len(mesh.vertices)}; take both again")
    if proxy.anchors.min() < 0 or proxy.anchors.max() >= len(base.vertices):
        raise DataError(f"{path} hangs on vertex {proxy.anchors.max()}, the base mesh has {len(base.vertices)}; use MakeHuman's hm08 base")
    weights = mixed(skin, proxy.anchors, proxy.weights, len(skeleton.names), skeleton.index("root"))
    rest = fit(proxy, base.vertices)
    upper, lower, cut = halves(rest, mesh.triangles, float(anatomy.leg[0, 1]))
    return Wearable(path.stem, proxy, _surface(mesh.triangles, weights, rest, anatomy), upper, lower, cut)


def _surface(triangles: Array, skin: SkinWeights, rest: Array, anatomy: Anatomy) -> Surface:
    limb = limb_coordinates(anatomy, rest)
    return Surface(triangles, skin, rest, limb, triangle_parts(anatomy, skin, triangles), limb[triangles][:, :, 2].min(axis=1))


def _some(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern in name order; an error without any."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise DataError(f"{folder} has no {pattern}; {WHERE}")
    return paths
