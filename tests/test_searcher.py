"""The way of an image, from files to hits, with a model whose numbers are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher, Query
from personsearch.errors import (
    BoxError,
    ConfigError,
    DeviceError,
    GalleryModelError,
    ImageError,
    ModelNotFoundError,
    QueryError,
    SourceError,
)
from tests.helpers.fakes import BLUE, GREEN, RED, YELLOW, RectangleModel, scene


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three scenes: red with green, green alone, no people."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder / "a.png", scene((RED, 10, 10, 60), (GREEN, 100, 20, 50)))
    save(folder / "b.png", scene((GREEN, 50, 30, 80)))
    save(folder / "c.png", scene())
    return folder


def save(path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(path)


def crop(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((60, 20, 3), colour, np.uint8)


def test_search_a_folder_by_crop(photos: Path) -> None:
    result = PersonSearcher(RectangleModel()).search(crop(RED), photos, top_k=2)
    assert [(Path(hit.image).name, hit.rank, hit.box) for hit in result] == [
        ("a.png", 1, (10, 10, 30, 70)),
        ("a.png", 2, (100, 20, 120, 70)),
    ]
    assert result[0].similarity == pytest.approx(1)
    assert result[1].similarity == pytest.approx(0)
    assert result[0].score == pytest.approx(0.6)


def test_equal_cosines_rank_by_path(photos: Path) -> None:
    result = PersonSearcher(RectangleModel()).search(crop(GREEN), photos)
    assert [Path(hit.image).name for hit in result] == ["a.png", "b.png", "a.png"]


def test_confidence_weighting_changes_the_order_and_keeps_the_cosine(photos: Path) -> None:
    result = PersonSearcher(RectangleModel()).search(crop(GREEN), photos, confidence_weighted=True)
    assert [Path(hit.image).name for hit in result] == ["b.png", "a.png", "a.png"]
    assert result[0].similarity == pytest.approx(1)
    assert result[0].ranked_by == pytest.approx(0.8)


def test_nobody_like_the_query_is_an_answer(photos: Path) -> None:
    assert len(PersonSearcher(RectangleModel()).search(crop(BLUE), photos, min_similarity=0.5)) == 0


def test_list_in_list_out(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index(photos)
    queries = [crop(RED), Query(photos / "b.png", (50, 30, 70, 110)), crop(GREEN), Query(photos / "a.png", (10, 10, 30, 70))]
    together = searcher.search(queries, gallery)
    assert [result.hits for result in together] == [searcher.search(query, gallery).hits for query in queries]
    assert searcher.search([], gallery) == []
    assert [len(found) for found in searcher.detect([photos / "a.png", photos / "c.png"])] == [2, 0]
    assert [rows.shape for rows in searcher.embed([crop(RED), crop(BLUE)])] == [(1, 3), (1, 3)]
    assert searcher.embed(photos / "a.png", [(10, 10, 30, 70), (100, 20, 120, 70)]).shape == (2, 3)


def test_cbgm_lets_the_companion_speak(tmp_path: Path) -> None:
    """Yellow is half way between red and green; beside green (the companion) red is taken, so yellow must be the other."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder / "a.png", scene((RED, 10, 10, 60), (BLUE, 100, 20, 50)))
    save(tmp_path / "query.png", scene((YELLOW, 20, 10, 60), (RED, 100, 10, 70)))
    searcher = PersonSearcher(RectangleModel())
    query = Query(tmp_path / "query.png", (20, 10, 40, 70))
    plain, matched = searcher.search(query, folder), searcher.search(query, folder, rerank="cbgm")
    assert [hit.box[0] for hit in plain] == [10, 100]
    assert [hit.box[0] for hit in matched] == [100, 10]
    assert matched[0].ranked_by == pytest.approx(1)  # the edge red - red is the largest of the matching
    assert matched[0].similarity == pytest.approx(plain[1].similarity)


def test_cbgm_with_a_bare_crop_is_a_clear_error(photos: Path) -> None:
    with pytest.raises(QueryError, match="bare crop"):
        PersonSearcher(RectangleModel()).search(crop(RED), photos, rerank="cbgm")


def test_cbgm_leaves_the_query_person_out_of_the_context(tmp_path: Path) -> None:
    """A loosely drawn box meets its own detection; counting both would give the person two edges."""
    save(tmp_path / "query.png", scene((RED, 20, 10, 60), (GREEN, 100, 10, 70)))
    searcher = PersonSearcher(RectangleModel())
    query = Query(tmp_path / "query.png", (19, 8, 41, 71))
    context = searcher._context(query, np.array([1, 0, 0], np.float32))
    assert context.scores.tolist() == pytest.approx([1, 0.7])
    assert context.embeddings[1].tolist() == pytest.approx([0, 1, 0])


def test_the_same_gallery_by_place_object_and_source(photos: Path, tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index(photos, gallery=tmp_path / "people.lance")
    results = [searcher.search(crop(RED), given).hits for given in (gallery, tmp_path / "people.lance", photos)]
    assert results[0] == results[1] == results[2]
    assert len(Gallery.open(tmp_path / "people.lance")) == 3


def test_another_models_gallery_is_refused(photos: Path, tmp_path: Path) -> None:
    PersonSearcher(RectangleModel()).index(photos, gallery=tmp_path / "people.lance")
    other = RectangleModel()
    other.fingerprint = "e" * 64
    with pytest.raises(GalleryModelError, match="rectangles"):
        PersonSearcher(other).search(crop(RED), tmp_path / "people.lance")
    with pytest.raises(GalleryModelError, match="rectangles"):
        PersonSearcher(other).index(photos, gallery=tmp_path / "people.lance")


def test_min_score_decides_who_enters(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    assert len(searcher.index(photos)) == 3
    assert len(searcher.index(photos, min_score=0.7)) == 1


@pytest.mark.parametrize("box", [(300, 10, 320, 50), (200, 10, 220, 50), (10, 10, 10, 50), (float("nan"), 0, 5, 5)])
def test_a_wrong_query_box_is_named(photos: Path, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BoxError):
        PersonSearcher(RectangleModel()).search(Query(photos / "a.png", box), photos)


def test_wrong_options_are_named(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    with pytest.raises(QueryError, match="top_k"):
        searcher.search(crop(RED), photos, top_k=0)
    with pytest.raises(QueryError, match="rerank"):
        searcher.search(crop(RED), photos, rerank="hungarian")  # type: ignore[call-overload]
    with pytest.raises(SourceError):
        searcher.index(photos / "nothing_here")


def test_a_wrong_query_is_named_before_a_source_is_indexed(photos: Path) -> None:
    """It was named only after the whole folder had been indexed."""
    model = RectangleModel()
    for query in ("nothing.png", Query(photos / "a.png", (300, 10, 320, 50))):
        with pytest.raises((ImageError, BoxError)):
            PersonSearcher(model).search(query, photos)
    assert model.detected == 0


def test_options_that_cbgm_does_not_take_are_named(photos: Path) -> None:
    searcher, query = PersonSearcher(RectangleModel()), Query(photos / "a.png", (10, 10, 30, 70))
    with pytest.raises(QueryError, match="authors"):
        searcher.search(query, photos, rerank="cbgm", confidence_weighted=True)
    with pytest.raises(QueryError, match="not a number"):
        searcher.search(query, photos, min_similarity=float("nan"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("top_k", value) for value in ("5", 2.5, None, [], True)),
        *(("min_similarity", value) for value in ("abc", "0.5", [], [0.5], {}, True, 1j, np.array([0.1, 0.2]))),
        *(("rerank", value) for value in ("hungarian", 5, [], np.array([1, 2]))),
        *(("cbgm_k", value) for value in (5, None, (1,), (1, 2, 3), ("a", 1), (1.5, 2), (0, 4), "30,4")),
        *(("cbgm_variant", value) for value in (None, 5, "code")),
        *(("confidence_weighted", value) for value in ("no", 1, None)),
    ],
)
def test_search_options_of_the_wrong_kind_are_named(option: str, value: object) -> None:
    """Most were a TypeError from somewhere inside; "no" ranked by the score, and three numbers of CBGM were two."""
    model = RectangleModel()
    with pytest.raises(QueryError, match=option):
        PersonSearcher(model).search(crop(RED), [scene()], **{option: value})
    assert model.detected == 0


def test_numbers_of_numpy_are_numbers() -> None:
    searcher, place = PersonSearcher(RectangleModel()), scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))
    options = {"top_k": np.int64(1), "min_similarity": np.float32(0.5), "confidence_weighted": np.True_}
    assert len(searcher.search(crop(RED), [place], **options)) == 1
    assert len(searcher.search(Query(place, (10, 10, 30, 70)), [place], rerank="cbgm", cbgm_k=[np.int64(3), 2])) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        *(((value,), {}, ConfigError, "name_or_folder must be a path or text") for value in (3, 1.5, [], b"nano", True)),
        *(((), {"device": value}, DeviceError, "device must be text") for value in (3, None, 1.5, [], True)),
        *(((), {"backend": value}, ConfigError, 'backend must be "auto", "torch" or "onnx"') for value in (3, None, "tf", [])),
    ],
)
def test_what_no_model_can_be_opened_by_is_named(arguments: tuple, options: dict, error: type[Exception], message: str) -> None:
    """Another backend than the three was taken for "auto"."""
    with pytest.raises(error, match=message):
        PersonSearcher.from_pretrained(*arguments, **options)


@pytest.mark.parametrize("boxes", [5, "abc", [[1, 2, 3, 4], [1, 2, 3, 4]], []])
def test_boxes_of_a_list_of_images_are_a_list(boxes: object) -> None:
    with pytest.raises(QueryError, match="1 images need a list of 1 arrays of boxes, got"):
        PersonSearcher(RectangleModel()).embed([crop(RED)], boxes)


def test_a_long_list_is_embedded_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pictures of a list were in memory at once."""
    model, sizes = RectangleModel(), []
    embed = model.embed_crops
    monkeypatch.setattr(model, "embed_crops", lambda crops: sizes.append(len(crops)) or embed(crops))
    rows = PersonSearcher(model).embed([crop(RED)] * 20 + [crop(BLUE)])
    assert max(sizes) == 8
    np.testing.assert_allclose(np.concatenate(rows), [[1, 0, 0]] * 20 + [[0, 0, 1]])


def test_an_unknown_model_says_what_is_there() -> None:
    with pytest.raises(ModelNotFoundError, match="none yet"):
        PersonSearcher.from_pretrained("no-such-model")
