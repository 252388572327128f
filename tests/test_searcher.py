"""From files to hits, with a model whose numbers can be worked out by hand."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher, Query, images
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
from personsearch.ranking import CBGM, Rerank
from personsearch.searching import SearchOptions
from tests.helpers.fakes import BLUE, GREEN, RED, YELLOW, RectangleModel, scene


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three scenes: red with green, green alone, empty."""
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


def test_no_similar_person_gives_an_empty_result(photos: Path) -> None:
    assert len(PersonSearcher(RectangleModel()).search(crop(BLUE), photos, min_similarity=0.5)) == 0


def test_list_in_list_out(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index(photos)
    queries = [crop(RED), Query(photos / "b.png", (50, 30, 70, 110)), crop(GREEN), Query(photos / "a.png", (10, 10, 30, 70))]
    together = searcher.search(queries, gallery)
    assert [result.hits for result in together] == [searcher.search(query, gallery).hits for query in queries]
    assert searcher.search([], gallery) == []
    assert [len(people) for people in searcher.detect([photos / "a.png", photos / "c.png"])] == [2, 0]
    assert [rows.shape for rows in searcher.embed([crop(RED), crop(BLUE)])] == [(1, 3), (1, 3)]
    assert searcher.embed(photos / "a.png", [(10, 10, 30, 70), (100, 20, 120, 70)]).shape == (2, 3)


def test_cbgm_uses_the_companion(tmp_path: Path) -> None:
    """Yellow is half red; the companion, red, takes the red person, so yellow is matched with the other person."""
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


def test_cbgm_drops_the_query_person_from_the_context(tmp_path: Path) -> None:
    """A loosely drawn box overlaps its own detection; counting both would give the person two edges."""
    save(tmp_path / "query.png", scene((RED, 20, 10, 60), (GREEN, 100, 10, 70)))
    embedded = PersonSearcher(RectangleModel()).embed_query(Query(tmp_path / "query.png", (19, 8, 41, 71)), rerank="cbgm")
    assert embedded.context is not None
    assert embedded.context.scores.tolist() == pytest.approx([1, 0.7])
    assert embedded.context.embeddings[0].tolist() == embedded.row.tolist()
    assert embedded.context.embeddings[1].tolist() == pytest.approx([0, 1, 0])


class Spy:
    """Counts the images that are read and prepared."""

    def __init__(self, model: RectangleModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded: list[object] = []
        self.prepared = 0
        load, prepare = images.load, model.prepare
        monkeypatch.setattr(images, "load", lambda image: self.loaded.append(image) or load(image))
        monkeypatch.setattr(model, "prepare", lambda image: self._prepare(prepare, image))

    def _prepare(self, prepare: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
        self.prepared += 1
        return prepare(image)


@pytest.mark.parametrize("rerank", [None, "cbgm"])
def test_a_query_is_read_and_prepared_once(photos: Path, rerank: Rerank | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CBGM the scene was read and prepared twice."""
    model = RectangleModel()
    searcher = PersonSearcher(model)
    gallery = searcher.index(photos)
    spy = Spy(model, monkeypatch)
    searcher.search(Query(photos / "a.png", (10, 10, 30, 70)), gallery, rerank=rerank)
    assert (spy.loaded, spy.prepared) == ([photos / "a.png"], 1)


def test_an_embedded_query_searches_without_reading_again(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = RectangleModel()
    searcher = PersonSearcher(model)
    gallery, query = searcher.index(photos), Query(photos / "a.png", (10, 10, 30, 70))
    embedded = searcher.embed_query(query, rerank=CBGM())
    spy = Spy(model, monkeypatch)
    results = searcher.search([embedded, embedded], gallery, rerank="cbgm"), searcher.search([embedded], gallery)
    assert (spy.loaded, spy.prepared) == ([], 0)
    assert results[0][0] == results[0][1] == searcher.search(query, gallery, rerank="cbgm")
    assert results[1] == searcher.search([query], gallery)


def test_an_embedded_query_of_another_kind_is_refused(photos: Path) -> None:
    searcher, other = PersonSearcher(RectangleModel()), RectangleModel()
    other.fingerprint = "e" * 64
    query = Query(photos / "a.png", (10, 10, 30, 70))
    with pytest.raises(QueryError, match="without the people around it"):
        searcher.search(searcher.embed_query(query), photos, rerank="cbgm")
    with pytest.raises(GalleryModelError, match="embedded by another model"):
        searcher.search(PersonSearcher(other).embed_query(query), photos)


def test_options_as_one_value_or_as_keywords(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    gallery, query = searcher.index(photos), Query(photos / "a.png", (10, 10, 30, 70))
    options = SearchOptions(top_k=2, rerank=CBGM(10, 3, "authors"), min_similarity=0.1)
    result = searcher.search(query, gallery, options)
    assert result.hits == searcher.search(query, gallery, top_k=2, rerank=CBGM(10, 3, "authors"), min_similarity=0.1).hits
    assert searcher.search(query, gallery, options, top_k=1).hits == result[:1]
    with pytest.raises(TypeError, match="topk"):
        searcher.search(query, gallery, topk=1)  # type: ignore[call-overload]


def test_the_same_gallery_by_folder_object_and_source(photos: Path, tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index(photos, gallery=tmp_path / "people.lance")
    results = [searcher.search(crop(RED), searched).hits for searched in (gallery, tmp_path / "people.lance", photos)]
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


def test_min_score_limits_the_gallery(photos: Path, tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    assert len(searcher.index(photos)) == 3
    assert len(searcher.index(photos, gallery=tmp_path / "sure.lance", min_score=0.7)) == 1


def test_a_searcher_made_of_a_model_object_cannot_be_pickled() -> None:
    with pytest.raises(ConfigError, match="open a model with from_pretrained"):
        pickle.dumps(PersonSearcher(RectangleModel()))


def test_an_opened_searcher_travels_as_the_way_it_was_opened() -> None:
    """A model on ONNX Runtime could not be pickled."""
    searcher = PersonSearcher.from_pretrained(device="cpu", backend="onnx")
    searcher.calibration = None
    again = pickle.loads(pickle.dumps(searcher))
    assert (again.folder, again.model.fingerprint, again.calibration) == (searcher.folder, searcher.model.fingerprint, None)
    assert repr(again) == repr(searcher)


@pytest.mark.parametrize("box", [(300, 10, 320, 50), (200, 10, 220, 50), (10, 10, 10, 50), (float("nan"), 0, 5, 5)])
def test_a_wrong_query_box_is_an_error(photos: Path, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BoxError):
        PersonSearcher(RectangleModel()).search(Query(photos / "a.png", box), photos)


def test_wrong_options_are_errors(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    with pytest.raises(QueryError, match="top_k"):
        searcher.search(crop(RED), photos, top_k=0)
    with pytest.raises(QueryError, match="rerank"):
        searcher.search(crop(RED), photos, rerank="hungarian")  # type: ignore[call-overload]
    with pytest.raises(SourceError):
        searcher.index(photos / "nothing_here")


def test_a_wrong_query_is_an_error_before_indexing(photos: Path) -> None:
    """The error came only after the whole folder had been indexed."""
    model = RectangleModel()
    for query in ("nothing.png", Query(photos / "a.png", (300, 10, 320, 50))):
        with pytest.raises((ImageError, BoxError)):
            PersonSearcher(model).search(query, photos)
    assert model.detected == 0


def test_a_threshold_that_is_not_a_number_is_an_error(photos: Path) -> None:
    searcher, query = PersonSearcher(RectangleModel()), Query(photos / "a.png", (10, 10, 30, 70))
    with pytest.raises(QueryError, match="not a number"):
        searcher.search(query, photos, min_similarity=float("nan"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("top_k", value) for value in ("5", 2.5, None, [], True)),
        *(("min_similarity", value) for value in ("abc", "0.5", [], [0.5], {}, True, 1j, np.array([0.1, 0.2]))),
        *(("rerank", value) for value in ("hungarian", 5, [], (30, 4), np.array([1, 2]))),
        *(("confidence_weighted", value) for value in ("no", 1)),
    ],
)
def test_search_options_of_the_wrong_type_are_errors(option: str, value: object) -> None:
    """Most raised a TypeError from deep inside, and "no" ranked by the score."""
    model = RectangleModel()
    with pytest.raises(QueryError, match=option):
        PersonSearcher(model).search(crop(RED), [scene()], **{option: value})
    assert model.detected == 0


def test_numbers_of_numpy_are_numbers() -> None:
    searcher, picture = PersonSearcher(RectangleModel()), scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))
    options = {"top_k": np.int64(1), "min_similarity": np.float32(0.5), "confidence_weighted": np.True_}
    assert len(searcher.search(crop(RED), [picture], **options)) == 1
    assert len(searcher.search(Query(picture, (10, 10, 30, 70)), [picture], rerank=CBGM(np.int64(3), 2))) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        *(((value,), {}, ConfigError, "name_or_folder must be a path or text") for value in (3, 1.5, [], b"nano", True)),
        *(((), {"device": value}, DeviceError, "device must be text") for value in (3, None, 1.5, [], True)),
        *(((), {"backend": value}, ConfigError, 'backend must be "auto", "torch" or "onnx"') for value in (3, None, "tf", [])),
    ],
)
def test_wrong_arguments_of_from_pretrained_are_errors(arguments: tuple, options: dict, error: type[Exception], message: str) -> None:
    """An unknown backend was taken as "auto"."""
    with pytest.raises(error, match=message):
        PersonSearcher.from_pretrained(*arguments, **options)


@pytest.mark.parametrize("boxes", [5, "abc", [[1, 2, 3, 4], [1, 2, 3, 4]], []])
def test_a_list_of_images_needs_a_list_of_boxes(boxes: object) -> None:
    with pytest.raises(QueryError, match="1 images need a list of 1 arrays of boxes, got"):
        PersonSearcher(RectangleModel()).embed([crop(RED)], boxes)


def test_a_long_list_is_embedded_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole list was in memory at once."""
    model, sizes = RectangleModel(), []
    embed = model.embed_crops
    monkeypatch.setattr(model, "embed_crops", lambda crops: sizes.append(len(crops)) or embed(crops))
    rows = PersonSearcher(model).embed([crop(RED)] * 20 + [crop(BLUE)])
    assert max(sizes) == 8
    np.testing.assert_allclose(np.concatenate(rows), [[1, 0, 0]] * 20 + [[0, 0, 1]])


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ModelNotFoundError, match="none yet"):
        PersonSearcher.from_pretrained("no-such-model")
