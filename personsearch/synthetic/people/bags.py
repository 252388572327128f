"""Bags: rounded boxes hung on the body."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body.skeleton import Skeleton
from personsearch.synthetic.people.appearance import Bag


@dataclass(frozen=True)
class HungBag:
    """A bag's mesh in the rest pose and the bone that carries it."""

    vertices: Array  # (K, 3) dm
    triangles: Array  # (T, 3)
    bone: int
    hanging: bool  # moves with the bone but stays upright


def hang_bag(bag: Bag, skeleton: Skeleton, body: Array, clothes: Array) -> HungBag:
    """The bag of a person where it is worn.

    Args:
        bag: Bag to hang.
        skeleton: The bones.
        body: (V, 3) base vertices of the person, dm.
        clothes: (K, 3) vertices of what the upper body wears, dm.
    """
    heads = skeleton.heads(body)
    if bag.kind == "backpack":
        chest, neck = heads[skeleton.index("spine02")], heads[skeleton.index("neck01")]
        size = np.array([1.25, 1.9, 0.7]) * bag.size
        middle = neck[1] - 0.35 - size[1]
        near = clothes[(np.abs(clothes[:, 0]) < 0.8) & (np.abs(clothes[:, 1] - middle) < 1.5)]
        back = near[:, 2].min() if len(near) else chest[2] - 1.0
        vertices, triangles = rounded_box(np.array([0.0, middle, back - size[2] * 0.8]), size)
        return HungBag(vertices, triangles, skeleton.index("spine02"), False)
    if bag.kind == "shoulder":
        hip = heads[skeleton.index("upperleg01.L")]
        near = clothes[np.abs(clothes[:, 1] - hip[1]) < 1.0]
        side = near[:, 0].max() if len(near) else hip[0] + 0.8
        size = np.array([0.45, 1.0, 1.35]) * bag.size
        vertices, triangles = rounded_box(np.array([side + 0.3, hip[1] - 0.2, hip[2]]), size)
        return HungBag(vertices, triangles, skeleton.index("root"), False)
    wrist = heads[skeleton.index("wrist.L")]
    size = np.array([0.45, 1.1, 1.35]) * bag.size
    vertices, triangles = rounded_box(wrist + np.array([0.1, -1.0 - size[1], 0.2]), size)
    return HungBag(vertices, triangles, skeleton.index("wrist.L"), True)


def rounded_box(center: Array, half_size: Array, steps: int = 14) -> tuple[Array, Array]:
    """Vertices (K, 3) and triangles (T, 3) of a superellipsoid around `center`."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, steps // 2 + 1)
    longitude = np.linspace(-np.pi, np.pi, steps, endpoint=False)

    def power(value: Array) -> Array:
        return np.asarray(np.sign(value) * np.abs(value) ** 0.45)

    ring, height = power(np.cos(latitude))[:, None], power(np.sin(latitude))[:, None]
    shape = np.stack(
        [ring * power(np.cos(longitude)), np.broadcast_to(height, (len(latitude), steps)), ring * power(np.sin(longitude))], axis=2
    )
    vertices = center + shape.reshape(-1, 3) * half_size
    row, column = np.mgrid[0 : len(latitude) - 1, 0:steps]
    a = (row * steps + column).ravel()
    b = (row * steps + (column + 1) % steps).ravel()
    triangles = np.concatenate([np.stack([a, b, a + steps], axis=1), np.stack([b, b + steps, a + steps], axis=1)])
    return vertices, triangles
