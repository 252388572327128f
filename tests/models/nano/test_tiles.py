"""Tiles and panoramas of the bundled detector: which parts are looked at, and that each person is found once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.cli import app as cli
from personsearch.errors import ConfigError
from personsearch.models.nano.detector import CellPredictions, NanoDetector
from personsearch.models.nano.steps import are_parts, regions
from personsearch.models.two_step import TwoStep, set_tiles
from personsearch.options import Tiles
from tests.helpers.fakes import RectangleModel
from tests.helpers.nano_models import OPTIONS, write

SEEN = 5  # pixels; the network below finds people at least this high
TILE_OPTIONS = ([], ["--tiles", "1,2"], ["--tiles", "two"])
SIDES = (448, 800)
ONE, SMALL = (40, 20, 60, 80), (870, 100, 900, 130)


class Eyes(nn.Module):
    """Finds the red pixels of each half of a canvas, if there are enough of them in a column."""

    def forward(self, pixels: Tensor) -> CellPredictions:
        rows = [self._people((image[2] > 128) & (image[0] < 64)) for image in pixels]
        return CellPredictions(torch.stack([scores.logit() for scores, _ in rows]), torch.stack([boxes for _, boxes in rows]))

    def _people(self, red: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = torch.zeros(1, 4), torch.full((1,), 1e-6)
        if int(red.sum(dim=0).max()) >= SEEN:
            ys, xs = (red.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
            boxes[0], scores[0] = torch.tensor([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]), 0.9
        return scores, boxes


def picture(height: int, width: int, *people: tuple[int, int, int, int]) -> Array:
    image = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in people:
        image[y1:y2, x1:x2, 0] = 255
    return image


def boxes_of(image: Array, tiles: tuple[Tiles, Tiles] | None = None) -> Array:
    detector = NanoDetector(Eyes(), OPTIONS.model_copy(update={"tiles": tiles}), fingerprint="x")  # type: ignore[arg-type]
    boxes: Array = detector.detect([detector.prepare(image)])[0][0]
    return boxes


def test_most_pictures_are_looked_at_once() -> None:
    for height, width in ((1080, 1920), (1920, 1080), (300, 300), (1080, 2560), (60, 700)):
        assert regions(height, width, *SIDES, tiles=None) == [(0, 0, width, height)]


@pytest.mark.parametrize(("width", "count"), [(3840, 3), (7680, 5), (11520, 8)])
def test_a_panorama_is_looked_at_in_pieces_of_the_canvas_shape(width: int, count: int) -> None:
    whole, *pieces = regions(1080, width, *SIDES, tiles=None)
    assert whole == (0, 0, width, 1080)
    assert len(pieces) == count
    assert all((x2 - x1) / 1080 <= 800 / 448 for x1, _, x2, _ in pieces)
    assert all(second[0] < first[2] for first, second in pairwise(pieces))  # they overlap
    assert [[y1, x1, y2, x2] for x1, y1, x2, y2 in pieces] == [list(tall) for tall in regions(width, 1080, *SIDES, tiles=None)[1:]]


def test_a_ribbon_has_few_pieces() -> None:
    assert len(regions(8, 2000, *SIDES, tiles=None)) == 1 + 32


def test_small_people_need_tiles() -> None:
    """A tenth of the scale is left: the person of 30 pixels has 3 of them, and 5 in a tile."""
    image = picture(480, 960, SMALL)
    assert len(boxes_of(image)) == 0
    np.testing.assert_allclose(boxes_of(image, (2, 2)), [SMALL], atol=5)


def test_a_person_in_several_views_is_found_once() -> None:
    image = picture(120, 180, ONE)
    np.testing.assert_allclose(boxes_of(image), [ONE], atol=2)
    np.testing.assert_allclose(boxes_of(image, (1, 2)), [ONE], atol=2)


def test_a_person_cut_by_a_tile_is_left_to_the_other_views() -> None:
    """The border of the left tile is at 100 of 180 pixels, within the person."""
    middle = (80, 20, 115, 100)
    np.testing.assert_allclose(boxes_of(picture(120, 180, middle), (1, 2)), [middle], atol=2)


def test_people_of_a_panorama_are_found_at_their_own_scale() -> None:
    """60 times as wide as high: the whole picture shrinks to nothing."""
    person = (1500, 10, 1510, 50)
    np.testing.assert_allclose(boxes_of(picture(60, 3600, person)), [person], atol=2)


def test_a_group_in_a_panorama_is_not_taken_for_one_person() -> None:
    """Three of seven people were left: the others were taken for parts of a box that the shrunk picture showed."""
    left, right = (100, 20, 120, 180), (1400, 20, 1420, 180)
    boxes = boxes_of(picture(200, 1600, left, right))
    assert all(np.abs(boxes - person).max(axis=1).min() < 4 for person in (left, right))


def test_parts_of_a_person_of_the_whole_picture() -> None:
    """A head within the person; a smaller person who is 75 % inside, one of 70 % of the area, and one elsewhere."""
    person, scores = np.float32([[0, 0, 100, 200]]), np.float32([0.5])
    boxes = np.float32([[30, 0, 60, 40], [75, 0, 115, 100], [0, 0, 100, 140], [200, 0, 210, 20]])
    assert are_parts(boxes, person, scores).tolist() == [True, False, False, False]
    assert not are_parts(boxes, person, np.float32([0.2])).any()
    assert are_parts(boxes[:0], person, scores).shape == (0,)
    assert not are_parts(boxes, person[:0], scores[:0]).any()


def test_setting_tiles_is_another_model(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    bare, tiled = (PersonSearcher.from_pretrained(folder, device="cpu", tiles=tiles) for tiles in (None, (1, 2)))
    assert isinstance(tiled.model, TwoStep)
    image = np.random.default_rng(0).integers(0, 255, (120, 180, 3), np.uint8)
    assert len(tiled.model.prepare(image).for_detector) == 3
    assert bare.model.fingerprint != tiled.model.fingerprint
    assert tiled.model.fingerprint == PersonSearcher.from_pretrained(folder, device="cpu", tiles=(1, 2)).model.fingerprint
    assert len(tiled.detect(image, min_score=0)) >= len(bare.detect(image, min_score=0)) > 0


@pytest.mark.parametrize("tiles", [(0, 1), (1, 33), (1,), "1x2", (1.5, 2)])
def test_wrong_tiles_are_refused(tmp_path: Path, tiles: object) -> None:
    with pytest.raises(ConfigError, match="tiles"):
        PersonSearcher.from_pretrained(write(tmp_path / "model"), device="cpu", tiles=tiles)  # type: ignore[arg-type]


def test_a_model_without_a_detector_takes_no_tiles() -> None:
    with pytest.raises(ConfigError, match="tiles"):
        set_tiles(RectangleModel(), (1, 2))


def test_the_command_line_reads_tiles(tmp_path: Path) -> None:
    folder, file = write(tmp_path / "model"), tmp_path / "street.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 180, 3), np.uint8)).save(file)
    outputs = [
        CliRunner().invoke(cli.app, ["detect", str(file), "--model", str(folder), "--min-score", "0", *more]) for more in TILE_OPTIONS
    ]
    assert [result.exit_code for result in outputs[:2]] == [0, 0]
    assert outputs[0].stdout != outputs[1].stdout
    assert isinstance(outputs[2].exception, ConfigError)
    assert "--tiles must be ROWS,COLUMNS" in str(outputs[2].exception)
