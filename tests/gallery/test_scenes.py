"""Embeddings of whole scenes in a gallery, and a search that uses them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from personsearch import searching
from personsearch.boxes import Array
from personsearch.errors import GalleryError, QueryError, ShapeError
from personsearch.gallery import FramePeople, Gallery, scene_embeddings
from personsearch.ranking import GFN, SceneFilter
from personsearch.searching import SearchOptions, context_rows
from tests.helpers.gallery_frames import KEY, files_with, frame

OPEN = SceneFilter(np.ones(3, np.float32), np.zeros(3, np.float32), temperature=1e9)  # every gate half open: the scenes' plain cosine
SCENED = replace(KEY, scenes=True)
X, Y, Z = np.eye(3, dtype=np.float32)


def scened(image: str, scene: Array, people: int = 1, **options: int) -> FramePeople:
    one = frame(image, people, **options)
    rows = one.detections.embeddings
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return replace(one, detections=replace(one.detections, embeddings=unit, scene=scene))


@pytest.fixture(params=["float32", "float16"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Gallery:
    made = Gallery.create_or_open(tmp_path / "gallery", SCENED, storage=request.param)
    made.add([scened("b.jpg", Y, 2), scened("empty.jpg", Z, 0)])
    made.add([scened("a's.jpg", X, 1), scened("c.mp4", Z, 1, number=4), scened("c.mp4", X, 2, number=2)])
    return made


def test_scenes_are_numbered_as_the_people_are(gallery: Gallery) -> None:
    people = gallery.people()
    assert people.images.tolist() == ["a's.jpg", "b.jpg", "b.jpg", "c.mp4", "c.mp4", "c.mp4"]
    assert scene_embeddings(gallery, people).tolist() == np.stack([X, Y, X, Z]).tolist()
    assert scene_embeddings(gallery, people).dtype == np.float32
    assert scene_embeddings(gallery, people) is scene_embeddings(gallery, gallery.people())


def test_scenes_of_some_people_and_after_a_change(gallery: Gallery) -> None:
    before = gallery.people()
    some = replace(before, **{name: values[[0, 3]] for name, values in vars(before).items() if name != "scenes"})
    assert scene_embeddings(gallery, some).tolist() == np.stack([X, X]).tolist()
    gallery.add([scened("b.jpg", Z, 1, seed=1)])
    assert scene_embeddings(gallery, gallery.people()).tolist() == np.stack([X, Z, X, Z]).tolist()
    gallery.compact()
    assert scene_embeddings(Gallery.open(gallery.location), gallery.people()).tolist() == np.stack([X, Z, X, Z]).tolist()
    gallery.remove("a's.jpg")
    assert scene_embeddings(gallery, gallery.people()).tolist() == np.stack([Z, X, Z]).tolist()
    with pytest.raises(GalleryError, match="changed during the search"):
        scene_embeddings(gallery, before)


def test_a_gallery_without_scenes_says_so(tmp_path: Path) -> None:
    plain = Gallery.create_or_open(tmp_path / "plain", KEY)
    plain.add([scened("a.jpg", X)])  # its scene is not stored
    assert not plain.key.scenes
    with pytest.raises(GalleryError, match="index again"):
        scene_embeddings(plain, plain.people())
    assert not Gallery.create_or_open(tmp_path / "plain", SCENED).key.scenes  # an existing gallery stays as it is


def test_a_frame_without_its_scene_is_refused(gallery: Gallery) -> None:
    for scene in (None, np.zeros(2, np.float32)):
        with pytest.raises(ShapeError, match="numbers of each whole scene"):
            gallery.add([replace(frame("d.jpg"), detections=replace(frame("d.jpg").detections, scene=scene))])


def test_an_empty_gallery_has_no_scenes(tmp_path: Path) -> None:
    empty = Gallery.create_or_open(tmp_path / "none", SCENED)
    assert scene_embeddings(empty, empty.people()).shape == (0, 3)


def test_removing_a_person_takes_the_scene_they_were_in(tmp_path: Path) -> None:
    """The embedding of a whole picture depends on everyone in it; other pictures and people keep theirs."""
    gallery = Gallery.create_or_open(tmp_path / "g", SCENED)
    scene = np.array([0.6123, 0.5321, 0.58487], np.float32)
    gallery.add([scened("it's.jpg", scene, 2), scened("b.jpg", Y, 1)])
    assert files_with(tmp_path / "g", scene.tobytes())
    gallery.remove_person("it's.jpg", row=0)
    assert files_with(tmp_path / "g", scene.tobytes()) == []
    people = gallery.people()
    assert (people.images.tolist(), people.rows.tolist()) == (["b.jpg", "it's.jpg"], [0, 1])
    assert scene_embeddings(gallery, people).tolist() == [Y.tolist(), [0, 0, 0]]
    assert list(gallery.images()) == ["b.jpg", "it's.jpg"]
    result = ranked(gallery, people.embeddings[1], Y, SearchOptions(scene_filter="gfn"))
    assert len(result.hits()) == 2


def ranked(gallery: Gallery, row: Array, scene: Array, options: SearchOptions) -> searching.RankedPeople:
    (result,) = searching.search([gallery], context_rows(row[None], scenes=scene[None]), options, scene_filter=OPEN)
    return result


def test_hits_are_weighted_by_their_scenes(gallery: Gallery) -> None:
    """Like the query's scene: 0.7311; at right angles to it: a half."""
    people = gallery.people()
    row = people.embeddings[1] / np.linalg.norm(people.embeddings[1])
    cosines = people.embeddings @ row
    weights = np.where(np.isin(people.images, ["b.jpg"]), 1 / (1 + np.exp(-1)), 0.5)
    for weighted, keys in ((False, cosines * weights), (True, cosines * weights * people.scores)):
        result = ranked(gallery, row, Y, SearchOptions(top_k=9, scene_filter="gfn", confidence_weighted=weighted))
        assert result.ranked.rows.tolist() == np.argsort(-keys, kind="stable").tolist()
        np.testing.assert_allclose(result.ranked.keys, keys[result.ranked.rows], atol=1e-3)  # a row in float16 is not quite a unit row
        np.testing.assert_allclose(result.ranked.similarities, cosines[result.ranked.rows], atol=1e-3)
        assert result.scenes_left_out == 0


def test_scenes_below_the_threshold_are_not_ranked(gallery: Gallery) -> None:
    people = gallery.people()
    row = people.embeddings[1]
    options = SearchOptions(top_k=9, scene_filter=GFN(min_scene_score=0.6))
    result = ranked(gallery, row, X, options)
    assert sorted(result.ranked.rows.tolist()) == [0, 3, 4]
    assert result.scenes_left_out == 2
    assert {hit.image for hit in result.hits()} == {"a's.jpg", "c.mp4"}
    nothing = ranked(gallery, row, X, SearchOptions(scene_filter=GFN(min_scene_score=0.99)))
    assert (len(nothing.ranked), nothing.scenes_left_out) == (0, 4)


def test_candidates_of_the_index_are_weighted_too(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    people = gallery.people()
    monkeypatch.setattr(Gallery, "fits_in_memory", False)
    rows = np.array([0, 2])
    candidates = replace(people, **{name: values[rows] for name, values in vars(people).items() if name != "scenes"})
    monkeypatch.setattr(Gallery, "nearest", lambda *_, **__: [candidates])
    result = ranked(gallery, people.embeddings[2], Y, SearchOptions(scene_filter=GFN(0.6)))
    assert (result.engine, result.scenes_left_out) == ("index", 1)
    assert [hit.image for hit in result.hits()] == ["b.jpg"]


def test_a_filter_without_scenes_or_with_cbgm_is_refused(gallery: Gallery) -> None:
    with pytest.raises(QueryError, match="needs the scene of each query"):
        searching.search([gallery], context_rows(X[None]), SearchOptions(scene_filter="gfn"))
    with pytest.raises(QueryError, match="choose one"):
        SearchOptions(scene_filter="gfn", rerank="cbgm")
    with pytest.raises(QueryError, match="scene_filter must be"):
        SearchOptions(scene_filter="other")  # type: ignore[arg-type]
