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
from personsearch.results import SearchResult
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
