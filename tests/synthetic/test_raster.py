"""Rasteriser, camera, ray casting and light, against geometry worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.synthetic.kernels.raster import rasterize, vertex_normals
from personsearch.synthetic.kernels.textures import PATTERNS, Fabric, noise_tile, smooth_noise, tile
from personsearch.synthetic.paint import raycast
from personsearch.synthetic.paint.raycast import FAR, GROUND, SKY, SOLID, look
from personsearch.synthetic.paint.shading import shadow_share
from personsearch.synthetic.stage.camera import aim, draw_camera
from personsearch.synthetic.stage.lighting import Light, shadow_map
from personsearch.synthetic.stage.scenery import BOX, COLUMNS, CYLINDER, ELLIPSOID, Scenery, draw_scenery
from personsearch.synthetic.stage.solids import solid_meshes


def draw(screen: list[list[float]], triangles: list[list[int]], size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    depth, nearest = np.full((size, size), np.inf, np.float32), np.full((size, size), -1, np.int32)
    rasterize(np.array(screen, float).reshape(-1, 3), np.array(triangles, np.int64).reshape(-1, 3), depth, nearest)
    return depth, nearest


def test_a_triangle_covers_the_samples_inside_it() -> None:
    _, nearest = draw([[0, 0, 1], [4, 0, 1], [0, 4, 1]], [[0, 1, 2]])
    # centres (c + .5, r + .5) with c + r + 1 <= 4
    expected = np.array([[c + r <= 3 for c in range(8)] for r in range(8)])
    assert ((nearest == 0) == expected).all()


def test_both_windings_are_drawn_and_a_line_is_not() -> None:
    forward, backward = draw([[0, 0, 1], [4, 0, 1], [0, 4, 1]], [[0, 1, 2]]), draw([[0, 0, 1], [4, 0, 1], [0, 4, 1]], [[0, 2, 1]])
    assert (forward[1] == backward[1]).all()
    assert (draw([[0, 0, 1], [4, 4, 1], [8, 8, 1]], [[0, 1, 2]])[1] == -1).all()
    assert (draw([], [])[1] == -1).all()


def test_depth_is_linear_over_the_triangle_and_the_nearer_one_wins() -> None:
    # a ramp of depth x over the whole picture, and a wall at depth 3 before its right part
    screen = [[-9, -9, -9], [30, -9, 30], [-9, 30, -9], [-9, -9, 3], [30, -9, 3], [-9, 30, 3]]
    depth, nearest = draw(screen, [[0, 1, 2], [3, 4, 5]])
    columns = np.arange(8) + 0.5
    assert np.allclose(depth, np.minimum(columns, 3)[None, :], atol=1e-5)
    assert (nearest == (columns > 3).astype(int)[None, :]).all()


def test_a_picture_is_cut_at_its_edges() -> None:
    _, nearest = draw([[-100, -100, 1], [300, -100, 1], [-100, 300, 1]], [[0, 1, 2]])
    assert (nearest == 0).all()
    assert (draw([[9, 9, 1], [12, 9, 1], [9, 12, 1]], [[0, 1, 2]])[1] == -1).all()


@given(st.lists(st.floats(-4, 12, width=32), min_size=6, max_size=6))
def test_coverage_is_what_a_slow_test_of_every_sample_says(corners: list[float]) -> None:
    points = np.array(corners, float).reshape(3, 2)
    area = np.linalg.det(np.stack([points[1] - points[0], points[2] - points[0]]))
    _, nearest = draw([[x, y, 1] for x, y in points], [[0, 1, 2]])
    for row in range(8):
        for column in range(8):
            at = np.array([column + 0.5, row + 0.5])
            edges = [
                (points[(k + 1) % 3, 0] - points[k, 0]) * (at[1] - points[k, 1])
                - (points[(k + 1) % 3, 1] - points[k, 1]) * (at[0] - points[k, 0])
                for k in range(3)
            ]
            lowest = min(edge * np.sign(area) for edge in edges)
            # on an edge rounding may decide either way
            if abs(lowest) > 1e-6 and abs(area) > 1e-6:
                assert (nearest[row, column] == 0) == (lowest > 0)


def test_normals_point_out_of_a_flat_square() -> None:
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]])
    normals = vertex_normals(square, np.array([[0, 1, 2], [0, 2, 3]]))
    assert np.allclose(normals[:4], [0, 0, 1])
    assert np.allclose(normals[4], 0)  # a vertex of no triangle


def test_a_camera_projects_as_a_pinhole() -> None:
    camera = aim(np.array([0.0, 2, 0]), 0.0, 0.0, 0.0, field=np.pi / 2, width=200, height=100)
    # half of the height is one metre at one metre: 50 pixels; the world's +x lies to the left
    points = camera.project(np.array([[0.0, 2, 4], [1, 2, 4], [0, 1, 4]]))
    assert np.allclose(points, [[100, 50, -0.25], [87.5, 50, -0.25], [100, 62.5, -0.25]])
    assert np.allclose(camera.project(np.array([[1.0, 2, 4]]), 2)[0, :2], [175, 100])


@given(st.integers(0, 1 << 30))
def test_a_ground_point_is_seen_where_it_was_looked_for(seed: int) -> None:
    camera = draw_camera(160, 90, np.random.default_rng(seed))
    assert np.allclose(camera.axes @ camera.axes.T, np.eye(3))
    at = camera.on_ground(31.0, 88.0)
    assert at is not None
    assert at[1] == pytest.approx(0)
    assert np.allclose(camera.project(at[None])[0, :2], [31, 88])


def test_there_is_no_ground_above_the_horizon() -> None:
    camera = aim(np.array([0.0, 2, 0]), 0.0, 0.0, 0.0, field=1.0, width=64, height=64)
    assert camera.on_ground(32, 31) is None
    assert camera.on_ground(32, 33) is not None


def solid(kind: int, center: tuple[float, ...], half: tuple[float, ...]) -> np.ndarray:
    row = np.zeros(COLUMNS)
    row[0], row[1:4], row[4:7], row[8:11], row[14:16] = kind, center, half, 0.5, 1.0
    return row


def place(*solids: np.ndarray) -> Scenery:
    rows = np.stack(solids) if solids else np.zeros((0, COLUMNS))
    return Scenery(rows, np.stack([solid(BOX, (0, 0, 0), (1, 1, 1))] * 2), (1.0, 0.0, 50.0), False)


LEVEL = aim(np.array([0.0, 2, 0]), 0.0, 0.0, 0.0, field=np.pi / 2, width=64, height=64)


def test_an_empty_place_is_ground_below_and_sky_above() -> None:
    seen = look(LEVEL, place())
    assert (seen.kind[:32] == SKY).all()
    assert (seen.kind[32:] == GROUND).all()
    assert (seen.depth[:32] == FAR).all()
    # the lowest row looks down at 63.5 - 32 over 32: 2 m down after 2 / (31.5 / 32) m
    assert seen.depth[63, 10] == pytest.approx(2 * 32 / 31.5)


@pytest.mark.parametrize("kind", [BOX, ELLIPSOID, CYLINDER])
def test_a_solid_is_met_at_its_front(kind: int) -> None:
    seen = look(LEVEL, place(solid(kind, (0, 2, 10), (1, 1, 2))))
    assert seen.kind[32, 32] == SOLID
    # up to the bend of a round front over half a pixel
    assert seen.depth[32, 32] == pytest.approx(8, abs=0.05)
    # the pixel's middle looks .125 m past the axis, where a round front has turned by up to a quarter
    assert np.allclose(seen.normal[32, 32], [0, 0, -1], atol=0.26)
    # one metre at 8 m or a little more: about four pixels to each side
    width = int((seen.kind[31] == SOLID).sum())
    assert width in ((8,) if kind == BOX else (6, 7, 8))


def test_the_top_of_a_low_cylinder_is_seen_from_above() -> None:
    camera = aim(np.array([0.0, 4, 0]), 0.6, 0.0, 0.0, field=0.6, width=64, height=64)
    seen = look(camera, place(solid(CYLINDER, (0, 0.5, 5), (1, 0.5, 1))))
    assert ((seen.kind == SOLID) & (seen.normal[..., 1] > 0.99)).sum() > 50


def test_what_is_out_of_sight_changes_nothing() -> None:
    near, behind = solid(BOX, (0, 2, 10), (1, 1, 1)), solid(BOX, (0, 2, -30), (1, 1, 1))
    first, second = look(LEVEL, place(near)), look(LEVEL, place(near, behind))
    assert (first.depth == second.depth).all()
    assert (first.albedo == second.albedo).all()


@pytest.mark.parametrize("seed", range(12))
def test_random_places_can_be_seen(seed: int) -> None:
    scenery = draw_scenery(np.random.default_rng(seed))
    seen = look(LEVEL, scenery)
    assert np.isfinite(seen.albedo).all()
    assert (seen.albedo >= 0).all()
    assert (seen.kind == GROUND).any()
    for vertices, triangles in solid_meshes(scenery.solids):
        assert triangles.max() < len(vertices)


@pytest.mark.parametrize("seed", range(6))
def test_looking_only_where_a_solid_can_be_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    camera, scenery = draw_camera(96, 54, rng), draw_scenery(rng)
    seen = look(camera, scenery)
    monkeypatch.setattr(raycast, "_windows", lambda camera, solids: np.tile([0.0, 96, 0, 54], (len(solids), 1)))
    everywhere = look(camera, scenery)
    assert (seen.kind == SOLID).any()
    for name in ("albedo", "normal", "depth", "kind", "open_sky"):
        assert (getattr(seen, name) == getattr(everywhere, name)).all()


def test_solid_meshes_fill_their_solids() -> None:
    for kind in (BOX, ELLIPSOID, CYLINDER):
        vertices, _ = solid_meshes(solid(kind, (1, 2, 3), (1, 0.5, 2))[None])[0]
        assert np.allclose((vertices.max(0) + vertices.min(0)) / 2, [1, 2, 3])
        size = (vertices.max(0) - vertices.min(0)) / 2
        assert (size <= np.array([1, 0.5, 2]) + 1e-9).all()
        assert (size > 0.9 * np.array([1, 0.5, 2])).all()


def test_the_shadow_of_a_box_lies_on_the_far_side_of_the_sun() -> None:
    light = Light(np.array([1.0, 1, 0]) / np.sqrt(2), np.ones(3), np.ones(3), np.ones(3))
    box = solid_meshes(solid(BOX, (0, 1, 0), (0.5, 1, 0.5))[None])
    shadow = shadow_map(light, box, np.array([[-4.0, 0, -4], [4, 0, 4], [-4, 0, 4], [4, 0, -4]]))
    # two metres high, the sun at 45 degrees from +x: from -0.5 to -2.5
    for x, lit in ((1.5, 1), (-1.0, 0), (-2.3, 0), (-2.7, 1)):
        assert shadow_share(shadow.depth, shadow.frame, x, 0.0, 0.0, 0.02) == lit
    assert shadow_share(shadow.depth, shadow.frame, -1.0, 0.0, 1.0, 0.02) == 1


def test_without_sun_or_things_nothing_is_in_shadow() -> None:
    light = Light(np.array([0.0, 1, 0]), np.zeros(3), np.ones(3), np.ones(3))
    dark = shadow_map(light, solid_meshes(solid(BOX, (0, 1, 0), (1, 1, 1))[None]), np.zeros((1, 3)))
    assert shadow_share(dark.depth, dark.frame, 0.0, 0.0, 0.0, 0.02) == 1


@pytest.mark.parametrize("pattern", PATTERNS)
def test_tiles_hold_the_colours_of_their_fabric(pattern: str) -> None:
    colors = ((0.1, 0.2, 0.3), (0.9, 0.8, 0.7), (0.5, 0.1, 0.9))
    picture = tile(Fabric(pattern, colors, 1.0, 7))
    assert picture.shape == (64, 64, 3)
    assert picture.min() >= 0.1 - 1e-6
    assert picture.max() <= 0.9 + 1e-6
    assert (picture == np.array(colors[0], np.float32)).all(axis=2).all() == (pattern == "plain")
    assert (picture == tile(Fabric(pattern, colors, 1.0, 7))).all()


def test_noise_wraps_round_and_fills_its_range() -> None:
    field = smooth_noise(64, 4, np.random.default_rng(0))
    inside = np.abs(np.diff(field, axis=0)).max()
    assert np.abs(field[0] - field[-1]).max() <= inside * 1.5
    assert (field.min(), field.max()) == (0, 1)
    assert noise_tile().shape == (256, 256)
