"""Several pictures of one person as one query, and people who are not this person."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher, Query, QueryWarning, Shots
from personsearch.boxes import Array
from personsearch.errors import GalleryModelError, ImageError, ImagesError, QueryError
from tests.helpers.fakes import BLUE, GREEN, RED, YELLOW, RectangleModel, scene

ORANGE, LIME = (228, 178, 128), (178, 228, 128)  # nearer to red and nearer to green; yellow is between them


def crop(colour: tuple[int, int, int]) -> Array:
    return np.full((60, 20, 3), colour, np.uint8)


@pytest.fixture
def searcher() -> PersonSearcher:
    return PersonSearcher(RectangleModel())


@pytest.fixture
def gallery(searcher: PersonSearcher, tmp_path: Path) -> Gallery:
    """One picture for each colour."""
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE), ("yellow", YELLOW), ("orange", ORANGE), ("lime", LIME)):
        Image.fromarray(scene((colour, 10, 10, 60))).save(tmp_path / f"{name}.png")
    return searcher.index(tmp_path)


def names(result: object) -> list[str]:
    return [Path(hit.image).stem for hit in result]  # type: ignore[attr-defined]


def test_the_mean_of_two_pictures_is_between_them(searcher: PersonSearcher, gallery: Gallery) -> None:
    """Red is (1, 0, 0) and green (0, 1, 0): their mean is yellow."""
    result = searcher.search(Query.of([crop(RED), crop(GREEN)]), gallery)
    assert names(result)[:3] == ["yellow", "lime", "orange"]
    assert result[0].similarity == pytest.approx(1)
    assert [hit.similarity for hit in result][3:5] == pytest.approx([0.5**0.5] * 2)


def test_the_best_of_two_pictures_counts(searcher: PersonSearcher, gallery: Gallery) -> None:
    result = searcher.search(Query.of([crop(RED), crop(GREEN)], combine="best"), gallery)
    assert names(result) == ["green", "red", "lime", "orange", "yellow", "blue"]
    assert result[0].similarity == result[1].similarity == pytest.approx(1)
    assert result[4].similarity == pytest.approx(0.5**0.5)


def test_the_best_ranks_as_all_pictures_together(searcher: PersonSearcher, gallery: Gallery) -> None:
    pictures = [crop(colour) for colour in (RED, BLUE, LIME)]
    result = searcher.search(Query.of(pictures, combine="best"), gallery, top_k=2, confidence_weighted=True)
    people = gallery.people()
    rows = np.concatenate([searcher.embed(picture) for picture in pictures])
    keys = (rows @ people.embeddings.T).max(axis=0) * people.scores
    assert [hit.image for hit in result] == people.images[np.argsort(-keys.round(5), kind="stable")[:2]].tolist()


def test_people_nearer_to_a_negative_are_dropped(searcher: PersonSearcher, gallery: Gallery) -> None:
    result = searcher.search(Query.of([crop(RED)], negatives=[crop(YELLOW)]), gallery)
    assert names(result) == ["red"]  # orange is as near to red as to yellow, and lime nearer to yellow; blue is at right angles to both
    assert names(searcher.search(Query.of([crop(RED)]), gallery, top_k=2)) == ["red", "orange"]


def test_negatives_do_not_shorten_the_list(searcher: PersonSearcher, gallery: Gallery) -> None:
    """The best three are dropped; the next three are found."""
    query = Query.of([crop(YELLOW)], negatives=[crop(LIME), crop(ORANGE)])
    assert names(searcher.search(query, gallery, top_k=1)) == ["yellow"]
    query = Query.of([Query(crop(ORANGE), crop=True)], negatives=[crop(YELLOW), crop(LIME)])
    assert names(searcher.search(query, gallery, top_k=2)) == ["orange", "red"]


def test_a_hit_as_a_negative_is_gone_from_the_hits(searcher: PersonSearcher, gallery: Gallery) -> None:
    first = searcher.search(crop(YELLOW), gallery)
    again = searcher.search(Query.of(crop(YELLOW), negatives=[first[1]]), gallery)
    assert first[1] not in again.hits
    assert names(again)[0] == "yellow"


def test_files_hits_detections_and_arrays_mix(searcher: PersonSearcher, gallery: Gallery, tmp_path: Path) -> None:
    red = tmp_path / "red.png"
    hit, detection = searcher.search(crop(RED), gallery)[0], searcher.detect(red)[0]
    mixed = Query.of([Query(red, person=1), hit, detection, crop(RED), searcher.embed_query(crop(RED))])
    result = searcher.search(mixed, gallery, top_k=1)
    assert names(result) == ["red"]
    assert result[0].similarity == pytest.approx(1)
    assert result.shots is not None
    assert len(result.shots.pictures) == 5
    assert result.query.box == hit.box  # the first picture, with the box of person 1


def test_several_pictures_in_a_list_of_queries(searcher: PersonSearcher, gallery: Gallery) -> None:
    results = searcher.search([crop(BLUE), Query.of([crop(RED), crop(GREEN)]), crop(RED)], gallery, top_k=1)
    assert [names(result) for result in results] == [["blue"], ["yellow"], ["red"]]


def test_a_generator_and_a_slice_of_hits_are_lists(searcher: PersonSearcher, gallery: Gallery) -> None:
    result = searcher.search(crop(RED), gallery)
    assert len(Query.of(result[:2]).pictures) == 2
    assert len(Query.of(crop(colour) for colour in (RED, GREEN)).pictures) == 2
    assert Query.of("me.jpg") == Query.of(["me.jpg"], negatives=None) == Shots(("me.jpg",))
    assert len(Query.of(io.BytesIO(b"two\nlines")).pictures) == 1
    assert len(Query.of(crop(RED)).pictures) == 1


def test_a_query_read_once_gives_the_same_hits(searcher: PersonSearcher, gallery: Gallery) -> None:
    query = Query.of([crop(RED), crop(YELLOW)], negatives=[crop(BLUE)])
    embedded = searcher.embed_query(query)
    assert searcher.search(embedded, gallery).hits == searcher.search(query, gallery).hits


def test_one_bad_picture_is_named(searcher: PersonSearcher, gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    with pytest.raises(ImagesError, match=r"1 of the 3 pictures.*counted from 0:\n\[1\].*bad\.jpg") as raised:
        searcher.search(Query.of([crop(RED), tmp_path / "bad.jpg", crop(GREEN)]), gallery)
    assert list(raised.value.unreadable) == [1]
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        searcher.search(Query.of([crop(RED)], negatives=[tmp_path / "missing.jpg"]), gallery)


def test_a_negative_that_equals_the_query_is_an_error(searcher: PersonSearcher, gallery: Gallery) -> None:
    with pytest.raises(QueryError, match=r"negative 1 .* is a picture of the query itself"):
        searcher.search(Query.of([crop(RED), crop(GREEN)], negatives=[crop(BLUE), crop(GREEN)]), gallery)


def test_wrong_lists_are_errors() -> None:
    with pytest.raises(QueryError, match="at least one picture"):
        Query.of([])
    with pytest.raises(QueryError, match="one flat list"):
        Query.of([Query.of(["a.jpg"])])
    with pytest.raises(QueryError, match="combine must be"):
        Query.of(["a.jpg"], combine="median")  # type: ignore[arg-type]


def test_opposite_pictures_have_no_mean(searcher: PersonSearcher, gallery: Gallery) -> None:
    with pytest.raises(QueryError, match='combine="best"'):
        searcher.search(Query.of([crop(RED), crop((28, 128, 128))]), gallery)


def test_pictures_of_another_model_are_refused(searcher: PersonSearcher, gallery: Gallery) -> None:
    other = RectangleModel()
    other.fingerprint = "e" * 64
    foreign = PersonSearcher(other).embed_query(crop(RED))
    with pytest.raises(GalleryModelError, match="another model"):
        searcher.search(Query.of([crop(RED), foreign]), gallery)


def test_cbgm_takes_the_best_of_several_scenes(searcher: PersonSearcher, gallery: Gallery, tmp_path: Path) -> None:
    shots = [Query(tmp_path / "red.png", person=1), Query(tmp_path / "green.png", person=1)]
    result = searcher.search(Query.of(shots, combine="best"), gallery, rerank="cbgm")
    assert names(result)[:2] == ["green", "red"]
    with pytest.raises(QueryError, match=r'CBGM .* combine="best"'):
        searcher.search(Query.of(shots), gallery, rerank="cbgm")


def test_each_doubtful_picture_warns(searcher: PersonSearcher, gallery: Gallery, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.fromarray(scene((RED, 10, 10, 40))).save(small)
    with pytest.warns(QueryWarning, match="small"):
        searcher.search(Query.of([crop(RED), small]), gallery)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        searcher.search(Query.of([crop(RED), Query(small, person=1)]), gallery)


def test_json_names_all_pictures(searcher: PersonSearcher, gallery: Gallery, tmp_path: Path) -> None:
    red, lime = str(tmp_path / "red.png"), str(tmp_path / "lime.png")
    query = Query.of([Query(red, person=1), crop(RED)], negatives=[Query(lime, person=1)], combine="best")
    plain = searcher.search(query, gallery).to_dict()
    assert [one["image"] for one in plain["query"]["pictures"]] == [red, None]
    assert [one["image"] for one in plain["query"]["negatives"]] == [lime]
    assert plain["query"]["combine"] == "best"
    assert plain["compared"] == 6
