"""The pool that the crop network learns from: contents, what cameras make of them, parts, and the real people."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.nano import camera_changes, contents, pool, real_people
from examples.nano.camera_changes import STREET, Changes, coarse, lit, seen
from examples.nano.contents import joined, mixed, recoloured, varied
from examples.nano.pool import Counts, files, write_part
from examples.nano.real_people import PEOPLE_FILE, PIECES_FILE, people_of, photographs, pieces_of, wide_crop
from examples.nano.teachers import joined as rows_joined
from personsearch.boxes import Array
from tests.helpers.bundled_pictures import TALL, picture, write_pictures
from tests.helpers.synthetic_folder import write_assets

RED, GREEN = (255, 0, 0), (0, 255, 0)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (320, 160)) -> Array:
    return np.full((*size, 3), colour, np.uint8)


def noise(count: int, size: tuple[int, int] = (320, 160), seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)


# ---- contents ----


def test_two_people_are_joined_at_the_border() -> None:
    both = joined(plain(RED), plain(GREEN), 0.5)
    assert (both[:160] == RED).all()
    assert (both[166:] == GREEN).all()


def test_mixing_by_hand() -> None:
    assert mixed(plain((100, 0, 200)), plain((200, 40, 0)), 0.25)[0, 0].tolist() == [125, 10, 150]


def test_recolouring_changes_each_half_by_one_rule() -> None:
    for seed in range(5):
        changed = recoloured(plain((200, 60, 60)), np.random.default_rng(seed), muted=False)
        assert len(np.unique(changed.reshape(-1, 3), axis=0)) <= 2
        assert (changed[0] == changed[0, 0]).all()
    assert any(not (recoloured(plain(RED), np.random.default_rng(seed), muted=False) == RED).all() for seed in range(5))


def test_muted_colours_are_less_saturated() -> None:
    before = 178  # of (200, 60, 60)
    for seed in range(10):
        changed = recoloured(plain((200, 60, 60)), np.random.default_rng(seed), muted=True)
        saturation = np.unique(cv2.cvtColor(changed, cv2.COLOR_RGB2HSV)[..., 1])
        assert all(value <= 0.7 * before + 14 for value in saturation if value != before)  # a half may stay as it is


def test_contents_vary_and_leave_their_crop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = noise(3)
    before = crops.copy()
    made = [varied(crops[0], crops, np.random.default_rng(seed)) for seed in range(20)]
    assert (crops == before).all()
    assert len({one.tobytes() for one in made}) > 10
    for name in ("JOINED", "MIXED", "RECOLOURED"):
        monkeypatch.setattr(contents, name, 0)
    assert (varied(crops[0], crops, np.random.default_rng(0)) == crops[0]).all()


# ---- cameras ----


def test_a_camera_makes_a_crop_of_the_teachers_size_the_same_for_the_same_numbers() -> None:
    crops = noise(2)
    first, again, other = (seen(crops[0], crops, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((256, 128, 3), np.uint8)
    assert (first == again).all()
    assert (first != other).any()


def test_a_camera_in_a_street_changes_less() -> None:
    crops = np.stack([cv2.GaussianBlur(crop, (0, 0), 4) for crop in noise(2)])
    plain_crop = crops[0][32:288, 16:144].astype(float)

    def change(changes: Changes) -> float:
        made = [seen(crops[0], crops, np.random.default_rng(seed), changes) for seed in range(30)]
        return float(np.mean([abs(one - plain_crop).mean() for one in made]))

    assert change(STREET) < 0.8 * change(Changes())


def test_framing_keeps_the_middle_in_the_middle() -> None:
    wide = plain((0, 0, 0))
    wide[32:288, 16:144] = 255  # the box
    share = np.mean([camera_changes.framed(wide, np.random.default_rng(seed), 0.0).mean() / 255 for seed in range(30)])
    assert 0.85 < share < 1


def test_a_cover_hides_a_part_and_no_more() -> None:
    for seed in range(10):
        crop = plain(RED, (256, 128))
        camera_changes.covered(crop, plain(GREEN)[None], np.random.default_rng(seed))
        hidden = (crop != RED).any(axis=2).mean()
        assert 0.01 < hidden < 0.35


def test_light_is_one_rule_for_all_pixels_and_coarse_pixels_lose_detail() -> None:
    assert len(np.unique(lit(plain((90, 120, 30), (256, 128)), np.random.default_rng(0), Changes()).reshape(-1, 3), axis=0)) == 1
    stripes = plain((0, 0, 0), (256, 128))
    stripes[:, ::2] = 255
    spread = [float(coarse(stripes, np.random.default_rng(seed), Changes()).std()) for seed in range(30)]
    assert min(spread) < 40 < 100 < max(spread)


# ---- parts ----


class Colours:
    """A teacher whose row is the mean colour."""

    def rows(self, crops: Array) -> Array:
        return crops.mean(axis=(1, 2)).astype(np.float32)


@pytest.mark.slow
def test_a_part_holds_pairs_with_their_rows_and_is_the_same_again(tmp_path: Path) -> None:
    assets, real = write_assets(tmp_path / "assets"), tmp_path / "real"
    real.mkdir()
    np.save(real / PEOPLE_FILE, noise(3))
    np.save(real / PIECES_FILE, noise(3, seed=1))
    counts = Counts(people=2, identities=1, views=2, pieces=1)
    for folder in ("one", "two"):
        write_part(3, real, assets, Colours(), tmp_path / folder, counts)
    pictures, rows = (np.load(path) for path in files(tmp_path / "one", 3))
    assert (pictures.shape, rows.shape, rows.dtype) == ((10, 160, 80, 3), (10, 3), np.float16)
    assert counts.pictures == 10
    np.testing.assert_allclose(pictures.mean(axis=(1, 2)), rows, atol=1.5)
    for first, second in zip(files(tmp_path / "one", 3), files(tmp_path / "two", 3), strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert len(list((tmp_path / "one").iterdir())) == 2  # nothing unfinished is left


def test_a_crop_without_surroundings_gets_its_border() -> None:
    wide = pool.framed(plain(RED, (192, 96)))
    assert (wide.shape, (wide == RED).all()) == ((320, 160, 3), True)


def test_rows_of_teachers_side_by_side_count_alike() -> None:
    rows = rows_joined([np.array([[3.0, 4.0]]), np.array([[0.0, 100.0]])])
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8, 0, 1]]) / np.sqrt(2), rtol=1e-6)
    assert rows.dtype == np.float32


# ---- real people ----


class Known:
    """Finds the same boxes in every picture."""

    def __init__(self, *boxes: tuple[int, ...]) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def people(self, image: Array, least_score: float) -> Array:
        return self.boxes


def test_a_wide_crop_has_the_box_in_its_middle() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[100:300, 150:250] = 255
    crop = wide_crop(image, np.array([150, 100, 250, 300], np.float32))
    assert crop.shape == (320, 160, 3)
    assert (crop[34:286, 18:142] == 255).all()
    assert (crop[:30] == 0).all()
    assert (crop[:, :14] == 0).all()
    large = wide_crop(cv2.resize(image, (1600, 1600), interpolation=cv2.INTER_NEAREST), np.array([600, 400, 1000, 1200], np.float32))
    assert np.abs(large.astype(int) - crop).mean() < 3


def test_people_are_the_labelled_ones_and_those_that_the_finder_adds() -> None:
    image = picture(120, 160, [TALL])
    known = np.array([TALL], np.float32)
    beside = (90, 10, 130, 90)
    assert len(people_of(image, known, Known(TALL, beside))) == 2
    assert len(people_of(image, known, Known())) == 1
    assert len(people_of(image, known[:0], Known((0, 0, 30, 39), (0, 0, 13, 90)))) == 0  # too small
    assert people_of(image, known[:0], Known()).shape == (0, 320, 160, 3)


def test_held_out_pictures_are_not_learned_from(tmp_path: Path) -> None:
    """Of coco128 0 and 4 are held out; 2 has no labels. Then two photographs."""
    found = list(photographs(write_pictures(tmp_path / "data")))
    assert [len(boxes) for _, boxes in found] == [2, 0, 0, 0, 0, 0]
    assert len(pieces_of(found[0][0], np.random.default_rng(0))) == real_people.PIECES
