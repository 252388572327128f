"""Scenes, crops and data sets: exact boxes, exact visibility, and the same pictures every time."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from personsearch.errors import ConfigError, DataError
from personsearch.synthetic.body.poses import sample_pose
from personsearch.synthetic.cli import app
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.dataset import describe, generate_dataset
from personsearch.synthetic.paint.sprites import Sprite, draw_sprite, mask_box
from personsearch.synthetic.people.person import pose_person
from personsearch.synthetic.placing import place_people
from personsearch.synthetic.scene import RenderedScene, generate_scene, measure, merge, resolve
from personsearch.synthetic.stage.camera import draw_camera
from personsearch.synthetic.stage.lens import develop, draw_look, jpeg_decode, jpeg_encode
from personsearch.synthetic.stage.lighting import NO_SHADOW, draw_light
from personsearch.synthetic.world import World, appearance, is_double, loaded, person, view
from tests.helpers.synthetic_folder import write_assets


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = write_assets(tmp_path_factory.mktemp("assets"))
    return World(folder, seed=1, identities=12, cameras=3, people=(4, 6), width=160, height=96)


def sprite(left: int, top: int, depth: float, height: int = 10, width: int = 10) -> Sprite:
    shape = (height, width)
    return Sprite(left, top, np.full((*shape, 3), depth, np.float32), np.full(shape, -1 / depth, np.float32), np.ones(shape, bool))


def test_a_masks_box_is_its_extent_in_pixels() -> None:
    mask = np.zeros((6, 8), bool)
    mask[2, 3] = mask[4, 5] = True
    # two samples a pixel
    assert mask_box(mask) == (1.5, 1.0, 3.0, 2.5)
    assert mask_box(mask, left=-4, top=10) == (-0.5, 6.0, 1.0, 7.5)
    assert mask_box(np.zeros((3, 3), bool)) == (0, 0, 0, 0)


def test_the_nearer_person_covers_the_farther() -> None:
    # 20 x 20 pixels; the second is before the right half of the first
    far, near = sprite(10, 10, 8.0), sprite(15, 10, 4.0)
    layers = merge([far, near], np.full((20, 20), 100.0, np.float32))
    boxes, seen, visibility = measure([far, near], layers.owner, 20, 20)
    assert visibility.tolist() == [0.5, 1.0]
    assert boxes.tolist() == [[5, 5, 10, 10], [7.5, 5, 12.5, 10]]
    assert seen.tolist() == [[5, 5, 7.5, 10], [7.5, 5, 12.5, 10]]
    assert layers.color[12, 16].tolist() == [4, 4, 4]
    # the order of the list decides nothing
    again = measure([near, far], merge([near, far], np.full((20, 20), 100.0, np.float32)).owner, 20, 20)
    assert again[2].tolist() == [1.0, 0.5]


def test_what_stands_in_the_place_covers_people_behind_it() -> None:
    place = np.full((20, 20), 100.0, np.float32)
    place[:8] = 2.0  # a beam over the upper rows, 16 samples
    person = sprite(10, 10, 4.0)
    _, seen, visibility = measure([person], merge([person], place).owner, 20, 20)
    assert visibility[0] == pytest.approx(0.4)
    assert seen[0].tolist() == [5, 8, 10, 10]


def test_the_part_outside_the_picture_is_not_seen() -> None:
    person = sprite(-5, -2, 4.0)
    boxes, seen, visibility = measure([person], merge([person], np.full((20, 20), 9.0, np.float32)).owner, 20, 20)
    assert boxes[0].tolist() == [0, 0, 2.5, 4]
    assert seen[0].tolist() == [0, 0, 2.5, 4]
    assert visibility[0] == pytest.approx(5 * 8 / 100)


def test_nobody_is_placed_smaller_than_asked(world) -> None:
    heights = {}
    for smallest in (26, 40):
        places = [view(replace(world, width=320, height=192, smallest=smallest), camera) for camera in range(3)]
        spots = [(place_people(p.camera, p.backdrop, p.scenery.solids, 12, smallest, np.random.default_rng(0)), p.camera) for p in places]
        depths = [((spot.at - camera.position) @ camera.axes[2], camera) for some, camera in spots for spot in some]
        heights[smallest] = np.array([1.7 * camera.focal / depth for depth, camera in depths])
    assert 26 <= heights[26].min() < 40 <= heights[40].min()


def test_who_is_hardly_or_not_seen_has_visibility_zero() -> None:
    owner = np.full((40, 40), -1, np.int16)
    owner[:2, :10] = owner[2, :3] = 0
    assert measure([sprite(0, 0, 4.0)], owner, 20, 20)[2][0] == 0
    owner[2, 3] = 0
    assert measure([sprite(0, 0, 4.0)], owner, 20, 20)[2][0] == pytest.approx(0.24)
    outside = sprite(60, 60, 4.0)
    assert measure([outside], merge([outside], np.full((20, 20), 9.0, np.float32)).owner, 20, 20)[2][0] == 0


def test_pixels_are_the_mean_of_their_samples() -> None:
    owner = np.array([[0, -1], [-1, -1]], np.int16)
    color = np.zeros((2, 2, 3), np.float32)
    color[0, 0] = 1.0
    assert np.allclose(resolve(np.full((1, 1, 3), 0.2, np.float32), color, owner), 0.25 * 1 + 0.75 * 0.2)


@pytest.mark.slow
def test_a_scene_is_consistent(world: World) -> None:
    people = 0
    for seed in range(6):
        scene = generate_scene(seed, world)
        assert scene.image.shape == (96, 160, 3)
        assert scene.image.dtype == np.uint8
        assert (scene.boxes.dtype, scene.identities.dtype, scene.visibility.dtype) == (np.float32, np.int64, np.float32)
        assert len(set(scene.identities.tolist())) == len(scene.identities)
        assert ((scene.visibility > 0) & (scene.visibility <= 1)).all()
        assert (scene.visible_boxes[:, :2] >= scene.boxes[:, :2]).all()
        assert (scene.visible_boxes[:, 2:] <= scene.boxes[:, 2:]).all()
        assert (scene.visible_boxes[:, :2] < scene.visible_boxes[:, 2:]).all()
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= [160, 96, 160, 96]).all()
        # someone seen whole has one box
        whole = scene.visibility == 1
        assert (scene.boxes[whole] == scene.visible_boxes[whole]).all()
        assert 0 <= scene.camera < 3
        people += len(scene.identities)
    assert people > 12


@pytest.mark.parametrize("seed", range(5))
def test_a_sprites_box_is_where_its_vertices_are_seen(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assets, mesh = loaded(world), person(world, seed)
    posed = pose_person(mesh, sample_pose(assets.poses, assets.skeleton, rng)[0], rng.uniform(0, 6))
    at = np.array([rng.uniform(-3, 3), 0.0, rng.uniform(6, 12)])
    camera = draw_camera(320, 200, rng)
    drawn = draw_sprite(mesh, posed, at, camera, draw_light(rng), NO_SHADOW)
    seen = camera.project(posed.vertices[np.unique(mesh.triangles)] + at)[:, :2]
    # a sample is half a pixel wide; a sharp corner may slip between two
    assert np.allclose(drawn.box, [*seen.min(axis=0), *seen.max(axis=0)], atol=1.0)
    assert (drawn.color[drawn.drawn] > 0).any()
    assert (drawn.color[~drawn.drawn] == 0).all()
    assert np.isfinite(drawn.depth[drawn.drawn]).all()


def test_nobody_in_the_scene_is_a_scene(world: World) -> None:
    scene = generate_scene(0, replace(world, people=(0, 0)))
    assert scene.boxes.shape == (0, 4)
    assert scene.visibility.shape == (0,)
    assert scene.image.std() > 1


def test_the_same_seed_gives_the_same_picture_and_another_does_not(world: World) -> None:
    first, again, other = generate_scene(2, world), generate_scene(2, replace(world)), generate_scene(4, world)
    assert (first.image == again.image).all()
    assert first.boxes.tolist() == again.boxes.tolist()
    assert first.image.tobytes() != other.image.tobytes()
    assert generate_scene(2, replace(world, seed=2)).image.tobytes() != first.image.tobytes()


def test_a_camera_can_be_chosen_and_must_be_there(world: World) -> None:
    assert generate_scene(0, world, camera=2).camera == 2
    with pytest.raises(ConfigError, match="camera 3 is not in this world"):
        generate_scene(0, world, camera=3)


def test_identities_belong_to_the_world_alone(world: World) -> None:
    assert appearance(world, 5) == appearance(replace(world, cameras=9, identities=40), 5)
    assert appearance(world, 5) != appearance(replace(world, seed=9), 5)
    with pytest.raises(ConfigError, match="identity 12 is not in this world"):
        appearance(world, 12)


def test_every_fourth_identity_is_a_double(world: World) -> None:
    assert [k for k in range(12) if is_double(k)] == [3, 7, 11]
    first, double = appearance(world, 2), appearance(world, 3)
    assert sum(getattr(first, name) != getattr(double, name) for name in first.__dataclass_fields__) == 1


def test_doubles_meet_in_scenes(world: World) -> None:
    met = sum(
        any(is_double(name) and name - 1 in names for name in names)
        for names in (set(generate_scene(seed, replace(world, identities=400)).identities.tolist()) for seed in range(15))
    )
    # by chance alone, five of four hundred would hardly ever hold such a pair
    assert met >= 2


def test_photographs_can_be_backgrounds(world: World, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 70, 3), (30, 60, 200), np.uint8))  # BGR: red
    red = replace(world, backgrounds=tmp_path, cameras=8, people=(0, 0))
    means = [generate_scene(0, red, camera=camera).image.reshape(-1, 3).mean(axis=0) for camera in range(8)]
    reddish = sum(mean[0] > 1.5 * mean[2] for mean in means)
    assert 1 <= reddish <= 7  # half of the cameras, drawn at random


def test_a_folder_without_photographs_and_a_damaged_one_are_told(world: World, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        replace(world, backgrounds=tmp_path)
    (tmp_path / "a.jpg").write_text("no picture")
    broken = replace(world, backgrounds=tmp_path, cameras=8)
    with pytest.raises(DataError, match=r"a\.jpg cannot be read"):
        _ = [generate_scene(0, broken, camera=camera) for camera in range(8)]


@pytest.mark.parametrize("wrong", [{"people": (5, 3)}, {"identities": 0}, {"cameras": 0}, {"width": 10}])
def test_an_impossible_world_is_told(world: World, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="a world needs"):
        replace(world, **wrong)


def test_crops_show_one_identity_from_several_cameras(world: World) -> None:
    crops = list(render_person_crops(world, [2, 5], views=4, height=64, width=32))
    assert [crop.identity for crop in crops] == [2, 5]
    assert crops[0].images.shape == (4, 64, 32, 3)
    assert crops[0].images.dtype == np.uint8
    assert set(np.concatenate([crop.cameras for crop in crops]).tolist()) <= {0, 1, 2}
    # an identity's crops do not depend on which others are asked for
    assert (next(render_person_crops(world, [5], views=4, height=64, width=32)).images == crops[1].images).all()
    assert (next(render_person_crops(world, [5], views=4, height=64, width=32, seed=1)).images != crops[1].images).any()
    assert list(render_person_crops(world, [])) == []
    with pytest.raises(ConfigError, match="must be positive"):
        next(render_person_crops(world, [0], views=0))


@pytest.mark.slow
def test_a_data_set_is_the_same_from_any_number_of_workers(world: World, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    generate_dataset(world, one, 5)
    generate_dataset(world, two, 5, workers=2)
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert [str(path) for path in files] == ["annotations.json", *(f"images/{k:06d}.jpg" for k in range(5))]
    for path in files:
        assert (one / path).read_bytes() == (two / path).read_bytes()


def test_a_data_set_is_coco(world: World, tmp_path: Path) -> None:
    target = generate_dataset(world, tmp_path / "set", 4, first=7)
    content = json.loads(target.read_text())
    assert [image["file_name"] for image in content["images"]] == [f"images/{k:06d}.jpg" for k in range(7, 11)]
    assert content["categories"] == [{"id": 1, "name": "person"}]
    ids = {image["id"]: image for image in content["images"]}
    assert [row["id"] for row in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    for row in content["annotations"]:
        image = ids[row["image_id"]]
        x, y, w, h = row["bbox"]
        assert 0 <= x < x + w <= image["width"]
        assert 0 <= y < y + h <= image["height"]
        assert row["area"] == w * h
        assert row["camera"] == image["camera"]
        assert 0 < row["visibility"] <= 1
    for image in content["images"]:
        picture = cv2.imread(str(target.parent / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3)
    with pytest.raises(ConfigError, match="already holds a data set"):
        generate_dataset(world, tmp_path / "set", 1)
    with pytest.raises(ConfigError, match="must be positive"):
        generate_dataset(world, tmp_path / "other", 0)


def test_rows_of_a_scene_by_hand() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    box, seen = np.array([[1, 2, 11, 32]], np.float32), np.array([[1, 2, 6, 32]], np.float32)
    record = describe(RenderedScene(image, box, seen, np.array([9]), np.array([0.5], np.float32), 3), 4, "images/x.jpg")
    assert record["image"] == {"id": 4, "file_name": "images/x.jpg", "width": 60, "height": 40, "camera": 3}
    assert record["annotations"] == [
        {
            "image_id": 4, "category_id": 1, "bbox": [1, 2, 10, 30], "area": 300, "iscrowd": 0,
            "person_id": 9, "camera": 3, "visibility": 0.5, "visible_bbox": [1, 2, 5, 30],
        }
    ]  # fmt: skip


def test_the_command_writes_a_data_set(world: World, tmp_path: Path) -> None:
    size = ["--width", "96", "--height", "64", "--identities", "4", "--cameras", "2", "--most", "3", "--fewest", "1"]
    result = CliRunner().invoke(app, ["--assets", str(world.assets), "--out", str(tmp_path), "--scenes", "2", "--seed", "5", *size])
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "annotations.json").read_text())["images"]) == 2


def test_a_grey_camera_has_no_colour_and_jpeg_keeps_the_picture() -> None:
    rng = np.random.default_rng(0)
    infrared = replace(draw_look(rng), infrared=True, noise=0.0, quality=95)
    image = develop(np.full((32, 32, 3), (0.5, 0.2, 0.1), np.float32), infrared, rng)
    assert np.ptp(image.astype(int), axis=2).max() <= 1
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
    assert np.abs(jpeg_decode(jpeg_encode(ramp, 95)).astype(int) - ramp).max() <= 8


@pytest.mark.extra
def test_scenes_of_the_real_meshes(shared: Path) -> None:
    real = World(shared / "assets" / "makehuman", identities=16, cameras=2, people=(6, 6), width=640, height=360)
    scene, again = generate_scene(1, real), generate_scene(1, replace(real))
    assert len(scene.boxes) >= 4
    assert (scene.image == again.image).all()
    whole = scene.boxes[scene.visibility == 1]
    shape = (whole[:, 3] - whole[:, 1]) / (whole[:, 2] - whole[:, 0])
    assert ((shape > 1.0) & (shape < 6.0)).all()  # people stand upright
