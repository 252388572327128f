"""Hits grouped by spell."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, Hit, PersonSearcher, Query
from personsearch.boxes import Array
from personsearch.errors import GalleryError, QueryError
from personsearch.gallery import vector_index
from personsearch.results import SearchResult
from personsearch.tracks import link
from personsearch.tracks import spells as spells_module
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.pictures import write_video

RATE = 10  # frames a second
RED_CROP = np.full((60, 20, 3), RED, np.uint8)


def street() -> list[Array]:
    """Six seconds: a red person walks from 0 to 1.9 s and from 4 to 4.9 s, a blue one is there from 0.5 to 1.4 s."""
    pictures = []
    for t in range(6 * RATE):
        people = [(RED, 10 + 3 * t, 10, 60)] if t < 20 else [(RED, 10, 10, 50)] if 40 <= t < 50 else []
        people += [(BLUE, 150, 40, 50)] if 5 <= t < 15 else []
        pictures.append(scene(*people))
    return pictures


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    write_video(tmp_path / "street.avi", street())
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "a.png")
    return PersonSearcher(RectangleModel()).index([tmp_path / "street.avi", tmp_path / "a.png"], gallery=tmp_path / "g.lance")


def searched(gallery: Gallery, **options: Any) -> SearchResult:
    return PersonSearcher(RectangleModel()).search(RED_CROP, gallery, **options)


def spans(result: SearchResult) -> list[tuple[float, float]]:
    return sorted((round(hit.start, 2), round(hit.end or 0, 2)) for hit in result if hit.start is not None)


def test_one_person_of_neighbouring_frames_is_one_hit(gallery: Gallery) -> None:
    spells = searched(gallery, top_k=100).spells()
    assert spans(spells) == [(0.0, 1.9), (0.5, 1.4), (4.0, 4.9)]
    assert [hit.rank for hit in spells] == [1, 2, 3, 4]
    pictures = [hit for hit in spells if hit.time is None]
    assert [(Path(hit.image).name, hit.start, hit.end) for hit in pictures] == [("a.png", None, None)]


def test_a_spell_is_the_best_hit_of_its_frames(gallery: Gallery) -> None:
    result = searched(gallery, top_k=100)
    for spell in result.spells():
        if spell.start is None or spell.end is None:
            continue
        rivals = [hit for hit in result if hit.time is not None and spell.start <= hit.time <= spell.end]
        assert spell.similarity <= max(hit.similarity for hit in rivals)
        assert any((hit.frame, hit.row) == (spell.frame, spell.row) and hit.similarity == spell.similarity for hit in rivals)


def test_a_spell_reaches_beyond_the_hits(gallery: Gallery) -> None:
    assert spans(searched(gallery, top_k=2).spells()) in ([(0.0, 1.9)], [(4.0, 4.9)])
    assert len([hit for hit in searched(gallery, top_k=2) if hit.time is not None]) <= 2


def test_the_gap_joins_spells(gallery: Gallery) -> None:
    """The red person is away for 2.1 s; frames in sequence are joined by any gap."""
    result = searched(gallery, top_k=100)
    assert [len(result.spells(gap)) for gap in (0, 1, 2, 2.2)] == [4, 4, 4, 3]
    for gap in (-1, "1", float("nan"), float("inf"), None):
        with pytest.raises(QueryError, match="gap"):
            searched(gallery).spells(gap)


def test_a_result_groups_after_pickling(gallery: Gallery) -> None:
    result = searched(gallery, top_k=100)
    assert pickle.loads(pickle.dumps(result)).spells() == result.spells()


def test_a_result_of_a_deleted_gallery_says_so(gallery: Gallery) -> None:
    result = searched(gallery)
    copied = pickle.dumps(result)
    gallery.delete()
    for one in (result, pickle.loads(copied)):
        with pytest.raises(GalleryError):
            one.spells()


def test_no_hits_and_no_videos() -> None:
    searcher = PersonSearcher(RectangleModel())
    assert len(searcher.search(RED_CROP, [scene()]).spells()) == 0
    result = searcher.search(RED_CROP, [scene((RED, 10, 10, 60)), scene((GREEN, 10, 10, 60))])
    assert result.spells() == result


def test_hits_alone_are_linked_by_place() -> None:
    """As of a result that a program made itself."""

    def hit(time: float, left: float, rank: int) -> Hit:
        return Hit(rank, "a.mp4", round(time * 10), time, (left, 0, left + 20, 60), 0.9, 1 - rank / 10, 1 - rank / 10)

    hits = (hit(0.5, 20, 1), hit(0.0, 10, 2), hit(0.5, 300, 3), hit(9.0, 20, 4), hit(1.0, 30, 5))
    spells = SearchResult(hits, Query("q.jpg")).spells()
    assert [(one.start, one.end, one.box[0]) for one in spells] == [(0.0, 1.0, 20), (0.5, 0.5, 300), (9.0, 9.0, 20)]


def test_a_video_indexed_anew_keeps_its_hits(gallery: Gallery) -> None:
    result = searched(gallery, top_k=1)
    gallery.remove(*[name for name in gallery.images() if name.endswith(".avi")])
    assert [hit.image for hit in result.spells()] == [hit.image for hit in result]


# -- in a search


@pytest.mark.parametrize("keyword", ["group", "group_by"])
def test_a_search_gives_top_k_spells(gallery: Gallery, keyword: str) -> None:
    """The best ten hits alone are of two stretches."""
    assert spans(searched(gallery, top_k=10, **{keyword: "spell"})) == [(0.0, 1.9), (0.5, 1.4), (4.0, 4.9)]
    best = searched(gallery, top_k=2, **{keyword: "spell"})
    everything = searched(gallery, top_k=100).spells()
    assert (best.hits, [hit.rank for hit in best]) == (everything.hits[:2], [1, 2])


def test_spells_of_a_search_have_the_best_hit_and_the_gap(gallery: Gallery) -> None:
    result = searched(gallery, group="spell", gap=2.2)
    assert spans(result) == [(0.0, 4.9), (0.5, 1.4)]
    assert result.hits == searched(gallery, top_k=100).spells(2.2).hits
    assert [hit.start for hit in searched(gallery)] == [None] * 10


def test_spells_of_a_gallery_too_large_for_memory(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = searched(gallery, group="spell")
    monkeypatch.setattr(vector_index, "LEAST_ROWS", 10)
    gallery.memory_limit = 0
    near = searched(gallery, group="spell")
    assert (near.engine, near.hits) == ("index", exact.hits)


def test_grouping_in_two_words_must_agree(gallery: Gallery) -> None:
    for options in ({"group": "spell", "group_by": "image"}, {"group": "person"}, {"gap": -1}, {"exclude": "all"}, {"exclude": 1}):
        with pytest.raises(QueryError, match=r"group|gap|exclude"):
            searched(gallery, **options)


def test_the_query_leaves_out_its_own_frame(gallery: Gallery, tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    street = str(tmp_path / "street.avi")
    hit = next(hit for hit in searched(gallery, top_k=100) if hit.frame == 5)
    for query in (Query(street, time=0.5, person=1), Query(street, frame=5, person=1), hit):
        whole, rest = (searcher.search(query, gallery, top_k=100, exclude=one) for one in (None, "frame"))
        left_out = {(hit.image, hit.frame) for hit in whole} - {(hit.image, hit.frame) for hit in rest}
        assert left_out == {(street, 5)}
        assert searcher.search(query, gallery, top_k=100, exclude=True).hits == rest.hits
        assert [Path(hit.image).name for hit in searcher.search(query, gallery, top_k=100, exclude="image")] == ["a.png"]
    assert len(searcher.search(Query(street, frame=5, person=1), gallery, top_k=3, exclude="frame")) == 3


def test_the_query_leaves_out_its_own_picture(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = PersonSearcher(RectangleModel())
    monkeypatch.chdir(tmp_path)
    rest = searcher.search(Query("a.png", person=1), gallery, top_k=100, exclude="frame")
    assert {Path(hit.image).name for hit in rest} == {"street.avi"}
    pictures = [scene((RED, 10, 10, 60)), scene((RED, 50, 10, 60))]
    for query in (Query(pictures[1], person=1), searcher.search(RED_CROP, pictures)[1], searcher.detect(pictures[1])[0]):
        assert [hit.box[0] for hit in searcher.search(query, pictures, exclude="frame")] == [10]
    several = Query.of([Query(pictures[0], person=1), Query(pictures[1], person=1)])
    assert len(searcher.search(several, pictures, exclude="frame")) == 0


def test_a_second_search_links_nothing_again(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    first = searched(gallery, group="spell")
    calls = []
    monkeypatch.setattr(spells_module, "link", lambda *columns, **options: calls.append(columns) or link(*columns, **options))
    assert searched(gallery, group="spell").hits == first.hits
    assert calls == []
    searched(gallery, group="spell", gap=0.5)
    assert calls != []


def test_changed_videos_are_linked_again(gallery: Gallery, tmp_path: Path) -> None:
    assert len(spans(searched(gallery, group="spell"))) == 3
    write_video(tmp_path / "street.avi", street()[:20])
    changed = PersonSearcher(RectangleModel()).index([tmp_path / "street.avi", tmp_path / "a.png"], gallery=gallery.location)
    assert spans(searched(changed, group="spell")) == [(0.0, 1.9), (0.5, 1.4)]
    assert spans(searched(gallery, group="spell")) == [(0.0, 1.9), (0.5, 1.4)]


def test_spells_of_several_galleries(gallery: Gallery, tmp_path: Path) -> None:
    write_video(tmp_path / "other.avi", street()[:20])
    searcher = PersonSearcher(RectangleModel())
    other = searcher.index(tmp_path / "other.avi", gallery=tmp_path / "other.lance")
    result = searcher.search(RED_CROP, [gallery, other], group="spell")
    assert sorted((Path(hit.image).name, hit.start) for hit in result if hit.start is not None) == [
        ("other.avi", 0.0),
        ("other.avi", 0.5),
        ("street.avi", 0.0),
        ("street.avi", 0.5),
        ("street.avi", 4.0),
    ]
