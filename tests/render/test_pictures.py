"""Scenes with detections, and montages of a query with its hits."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from personsearch.boxes import Array
from personsearch.errors import ImageError
from personsearch.hits import Query
from personsearch.render import pictures, views
from personsearch.results import Detections
from tests.helpers.render_scenes import BOX, MAGENTA, OFF, TILE, extent, hit, jpegs, misfit, page_of, result, saved, scene

# -- drawing detections


def detections(*boxes: tuple[float, ...], image: object = None) -> Detections:
    n = len(boxes)
    scores = np.linspace(0.9, 0.5, n).astype(np.float32)
    return Detections(np.array(boxes, np.float32).reshape(n, 4), scores, np.zeros((n, 2), np.float32), image)


def test_draw_puts_the_colour_around_the_box() -> None:
    image = scene()
    drawn = detections(BOX, image=image).draw()
    assert drawn.size == (400, 300)
    pixels = np.asarray(drawn)
    colour = pictures.PALETTE[0]
    assert tuple(pixels[110, 99]) == tuple(pixels[110, 98]) == colour  # left of x1 = 100
    assert tuple(pixels[110, 140]) == tuple(pixels[160, 120]) == colour  # right and below
    assert (pixels[61:159, 101:139] == MAGENTA).all()  # the person stays free
    assert (image == scene()).all(), "the caller's array was painted"


def test_draw_without_people_is_the_scene() -> None:
    assert (np.asarray(detections(image=scene()).draw()) == scene()).all()


def test_draw_scales_lines_with_the_picture() -> None:
    box = (400, 400, 800, 1600)
    large = detections(box, image=scene(2800, 2800, box)).draw()
    assert extent(large, pictures.PALETTE[0])[2:] == [800 + 10, 1600 + 10]  # 2800 / 280


def test_draw_without_a_picture_says_what_to_pass() -> None:
    with pytest.raises(ImageError, match=r"draw\(image\)"):
        detections(BOX).draw()


def test_draw_writes_the_score() -> None:
    one = detections(BOX)
    other = Detections(one.boxes, np.array([0.42], np.float32), one.embeddings)
    changed = np.asarray(one.draw(scene())) != np.asarray(other.draw(scene()))
    ys, _ = np.nonzero(changed.any(axis=2))
    assert 30 < ys.min() <= ys.max() < 60  # on the plate above the box


def test_draw_writes_the_number_of_the_person() -> None:
    one = detections(BOX)
    drawn = [np.asarray(replace(one, numbers=np.array([number])).draw(scene())) for number in (1, 2)]
    assert (drawn[0] == np.asarray(one.draw(scene()))).all()
    ys, _ = np.nonzero((drawn[0] != drawn[1]).any(axis=2))
    assert 30 < ys.min() <= ys.max() < 60  # on the plate above the box


@pytest.mark.parametrize("size", [(8, 8), (30, 8), (9, 30)])
def test_draw_on_a_tiny_picture(size: tuple[int, int]) -> None:
    assert detections((0, 0, *size), image=np.zeros((size[1], size[0], 3), np.uint8)).draw().size == size


@given(st.lists(st.tuples(*[st.integers(-50, 450)] * 4), min_size=1, max_size=8), st.integers(40, 400), st.integers(20, 300))
def test_labels_stay_inside_the_picture(boxes: list[tuple[int, ...]], width: int, height: int) -> None:
    from PIL import ImageDraw

    canvas, taken = ImageDraw.Draw(Image.new("RGB", (width, height))), []
    for x1, y1, x2, y2 in boxes:
        box = np.array([min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)], np.float32)
        taken += pictures._label(canvas, "0.50", 10, box, (width, height), pictures.PALETTE[0], 2, taken)
    assert len(taken) == len(boxes)
    assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in taken)


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    from PIL import ImageDraw

    canvas, taken = ImageDraw.Draw(Image.new("RGB", (400, 300))), []
    for x in (100, 110, 120):
        taken += pictures._label(canvas, "0.50", 10, np.array([x, 80, x + 8, 120.0]), (400, 300), pictures.PALETTE[0], 2, taken)
    assert not any(pictures._overlap(a, b) for i, a in enumerate(taken) for b in taken[:i])


# -- the montage


def test_montage_shows_query_and_hit_side_by_side(tmp_path: Path) -> None:
    picture = result(hit(saved(tmp_path / "a.png"))).montage()
    left, right = picture.crop((0, 0, 280, picture.height)), picture.crop((281, 0, picture.width, 20 + TILE[1]))
    assert misfit(left, views.QUERY_COLOUR) <= OFF
    assert misfit(right, views.HIT_COLOUR) <= OFF


@pytest.mark.parametrize(("hits", "columns", "rows"), [(1, 1, 1), (5, 5, 1), (6, 5, 2), (50, 9, 6)])
def test_montage_grid(tmp_path: Path, hits: int, columns: int, rows: int) -> None:
    path = saved(tmp_path / "a.png")
    picture = result(*(hit(path, rank) for rank in range(1, hits + 1))).montage()
    assert picture.width == 300 + 260 * columns
    # every cell holds a tile, and each tile a person in a box
    cell = (picture.height - 20) // rows
    for i in range(hits):
        x, y = 300 + i % columns * 260, 20 + i // columns * cell
        assert misfit(picture.crop((x, y, x + 240, y + 320)), views.HIT_COLOUR) <= OFF


def test_montage_keeps_the_order_of_ranks(tmp_path: Path) -> None:
    red, green = np.full((300, 400, 3), (200, 0, 0), np.uint8), np.full((300, 400, 3), (0, 200, 0), np.uint8)
    # the paths sort the other way than the ranks
    picture = result(hit(saved(tmp_path / "z.png", red), 1), hit(saved(tmp_path / "a.png", green), 2)).montage()
    assert extent(picture, (200, 0, 0))[0] < 540 <= extent(picture, (0, 200, 0))[0]


def test_montage_prints_rank_similarity_and_ranking_number(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    first = np.asarray(result(hit(path)).montage())
    assert (np.asarray(result(hit(path)).montage()) == first).all(), "same input, same picture"
    for other in (hit(path, 2), hit(path, similarity=0.25, ranked_by=0.25)):
        changed = (np.asarray(result(other).montage()) != first).any(axis=2)
        ys, xs = np.nonzero(changed)
        assert ys.min() >= 340, "the tile changed, not its caption"
        assert xs.min() >= 300, "the query changed"
    # another line appears if hits are ordered by another number
    assert result(hit(path, ranked_by=0.5)).montage().height > first.shape[0]


def test_caption_by_hand() -> None:
    weighted = hit("videos/walk.mp4", frame=300, time=75.2, similarity=0.5, ranked_by=0.45)
    assert pictures._caption(weighted, True) == ["similarity 0.500", "ranked by 0.450", "walk.mp4", "at 1:15.2"]
    plain = hit("scenes/a.png")
    assert pictures._caption(plain, False) == ["similarity 0.750", "a.png"]
    doubtful = hit("walk.mp4", box=(0, 0, 20, 41), time=45.2, start=31.0, end=61.5, threshold=0.8)
    assert pictures._caption(doubtful, False) == [
        "similarity 0.750",
        "probably somebody else",
        "small: 41 pixels high",
        "walk.mp4",
        "0:31.0 to 1:01.5, best at 0:45.2",
    ]


def test_montage_greys_the_rank_below_the_threshold(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    picture = np.asarray(result(hit(path, threshold=0.7), hit(path, 2, similarity=0.6, ranked_by=0.6, threshold=0.7)).montage())
    plates = [(np.abs(picture[345:370, x : x + 30].astype(int) - views.HIT_COLOUR) < 5).all(axis=2).any() for x in (300, 560)]
    assert plates == [True, False]
    assert pictures._query_caption(Query("q.jpg"), [hit(path, threshold=0.7)])[-1] == "1 match, threshold 0.700"


def test_montage_without_hits_differs_from_the_query_alone() -> None:
    picture = result().montage()
    right = np.asarray(picture.crop((310, 30, picture.width - 30, 20 + TILE[1] - 10)))
    ys, _ = np.nonzero((right != pictures.PAPER).any(axis=2))
    assert abs(ys.mean() - right.shape[0] / 2) < 10, "the words stand in the middle of the hits' place"
    assert pictures.count(()) == "no hits"


@pytest.mark.parametrize("kind", ["gone", "array", "not a picture", "changed"])
def test_a_picture_that_cannot_be_read_is_a_grey_tile(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "not a picture":
        path.write_text("no picture")
    if kind == "changed":
        saved(path, np.zeros((10, 10, 3), np.uint8))
    broken = result(hit("image-000003-1a2b3c4d" if kind == "array" else str(path)), hit(saved(tmp_path / "b.png"), 2))
    picture = broken.montage()
    assert picture.getpixel((310, 40)) == views.GREY
    assert misfit(picture.crop((560, 20, 800, 340)), views.HIT_COLOUR) <= OFF  # the other hit is shown
    text = page_of(broken)
    assert (views.CHANGED if kind == "changed" else views.GONE) in text
    assert len(jpegs(text)) == 3  # the query, the readable hit and its scene


def test_a_query_without_its_picture_is_a_grey_tile(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    gone = result(hit(path), query=Query(tmp_path / "gone.png"))
    assert gone.montage().getpixel((30, 40)) == views.GREY
    assert "gone.png" in page_of(gone)


def test_a_crop_is_shown_whole() -> None:
    tile = views.of_query(Query(np.full((100, 40, 3), MAGENTA, np.uint8)), TILE)
    assert extent(tile, MAGENTA) == [56, 0, 184, 320]  # 40 x 100 at 3.2 is 128 x 320


def test_a_scene_with_many_hits_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def read_frame(image: str, frame: int, time: float | None) -> Array:
        read.append((image, frame, time))
        return scene()

    monkeypatch.setattr(views, "read_frame", read_frame)
    result(hit("a", 1), hit("b", 2), hit("a", 3), hit("a", 4, frame=7, time=1.0)).montage()
    assert read == [("a", 0, None), ("a", 7, 1.0), ("b", 0, None)]


def test_a_hit_in_a_video_shows_its_own_frame(tmp_path: Path) -> None:
    path = str(tmp_path / "walk.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (400, 300))
    for left in range(0, 400, 40):  # the person walks 40 pixels a frame
        writer.write(scene(box=(left, 60, left + 40, 160))[:, :, ::-1].copy())
    writer.release()
    third = hit(path, frame=3, time=0.3, box=(120.0, 60.0, 160.0, 160.0))
    picture = result(third).montage()
    assert misfit(picture.crop((300, 20, 540, 340)), views.HIT_COLOUR) <= OFF


@pytest.mark.parametrize("name", ["Zoë 写真.png", "фото.png", "caf\udce9.png", "two\nlines.png", "x" * 300, "🙂.png", "صورة.png"])
def test_any_file_name_can_be_shown(tmp_path: Path, name: str) -> None:
    named = result(hit(name), query=Query(name))
    assert named.montage().size == (560, 432)
    named.save_html(tmp_path / "hits.html")
    shown = name.replace("\n", "?").replace("\udce9", "?")
    assert shown in (tmp_path / "hits.html").read_text(encoding="utf-8")
