"""Who appears where: grouping a gallery's people without a query."""

from pathlib import Path

import numpy as np
import pytest

from personsearch import Gallery, Where
from personsearch.boxes import Array
from personsearch.errors import QueryError
from personsearch.gallery import FramePeople, ModelKey, clusters
from personsearch.results import Detections

DIM = 16
KEY = ModelKey("m", "f@0", DIM)


def row(person: int, noise: float = 0.0, seed: int = 0) -> Array:
    """A row near axis `person`."""
    rng = np.random.default_rng([11, person, seed])
    values = np.eye(DIM)[person] + noise * rng.standard_normal(DIM)
    return np.asarray(values / np.linalg.norm(values), np.float32)


def picture(image: str, rows: list[Array], *, frame: int = 0, time: float | None = None, left: float = 0) -> FramePeople:
    boxes = np.array([[left + 30 * i, 0, left + 30 * i + 10, 40] for i in range(len(rows))], np.float32).reshape(-1, 4)
    people = Detections(boxes, np.linspace(0.9, 0.8, len(rows), dtype=np.float32), np.array(rows, np.float32).reshape(-1, DIM))
    return FramePeople(image, frame, time, 100, 300, f"digest {image}", 1, 1, "photos", True, people)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.create_or_open(tmp_path / "g.lance", KEY)


def test_each_person_is_one_group(gallery: Gallery) -> None:
    """Twenty pictures of three people out of five; the noise leaves cosines of about .8 within a person."""
    present = [sorted(np.random.default_rng(i).choice(5, 3, replace=False).tolist()) for i in range(20)]
    gallery.add([picture(f"{i:02d}.jpg", [row(person, 0.12, i) for person in people]) for i, people in enumerate(present)])
    people = gallery.cluster()
    assert len(people) == 5
    assert [len(person) for person in people] == sorted((len(person) for person in people), reverse=True)
    truth = {(f"{i:02d}.jpg", number): person for i, names in enumerate(present) for number, person in enumerate(names)}
    for person in people:
        assert len({truth[hit.image, hit.row] for hit in person}) == 1
        assert person.scenes == len(person) == len(person.images)
        assert person.cohesion > 0.7
    assert sum(len(person) for person in people) == len(gallery)
    assert people[0][0].gallery == gallery.location


def test_people_of_one_picture_are_never_one(gallery: Gallery) -> None:
    """Twins: the same row twice in each picture."""
    gallery.add([picture(f"{i}.jpg", [row(1), row(1)]) for i in range(3)])
    people = gallery.cluster(min_similarity=0.5)
    assert [len(person) for person in people] == [3, 3]
    assert all(person.scenes == 3 for person in people)


def test_average_linkage_by_hand(gallery: Gallery) -> None:
    """a, b, c with cosines ab .9, bc .9, ac .62: a and b are joined (.9), and then c, whose mean cosine is (.9 + .62) / 2 = .76."""
    angle = np.arccos(0.9)
    rows = [np.asarray(np.cos(i * angle) * np.eye(DIM)[0] + np.sin(i * angle) * np.eye(DIM)[1], np.float32) for i in range(3)]
    gallery.add([picture(f"{name}.jpg", [one]) for name, one in zip("abc", rows, strict=True)])
    assert [len(person) for person in gallery.cluster(min_similarity=0.75)] == [3]
    assert [len(person) for person in gallery.cluster(min_similarity=0.77)] == [2, 1]
    assert [len(person) for person in gallery.cluster(min_similarity=0.91)] == [1, 1, 1]
    (whole,) = gallery.cluster(min_similarity=0.75)
    assert whole[0].image == "b.jpg"  # in the middle
    np.testing.assert_allclose(whole.cohesion, (0.9 + 0.9 + 0.62) / 3, atol=1e-3)


def test_a_video_is_linked_by_place_first(gallery: Gallery) -> None:
    """One person walks and changes appearance a little in each frame; another at the same time stays as dissimilar as they are."""
    angles = np.linspace(0, 1.2, 13)
    walker = [np.asarray(np.cos(a) * np.eye(DIM)[0] + np.sin(a) * np.eye(DIM)[1], np.float32) for a in angles]
    gallery.add([picture("v.mp4", [one, row(5)], frame=i, time=i / 5, left=2.0 * i) for i, one in enumerate(walker)])
    people = gallery.cluster()
    assert [len(person) for person in people] == [13, 13]


def test_the_threshold_follows_people_of_one_picture(gallery: Gallery) -> None:
    """All different people have a cosine of .5 here: the threshold lies there, not at the .6 for a gallery without pairs."""
    base = np.sqrt(0.5) * np.eye(DIM)[15]
    rows = [np.asarray(base + np.sqrt(0.5) * np.eye(DIM)[i], np.float32) for i in range(8)]
    gallery.add([picture(f"{i}.jpg", rows) for i in range(2)])
    assert clusters.threshold_of(gallery.people()) == pytest.approx(0.5, abs=1e-5)
    assert clusters.threshold_of(gallery.people().take(np.arange(1))) == clusters.UNSURE_COSINE


def test_a_part_and_nothing(gallery: Gallery) -> None:
    assert gallery.cluster() == []
    gallery.add([picture("/a/1.jpg", [row(1), row(2)]), picture("/b/2.jpg", [row(1)])])
    assert [len(person) for person in gallery.cluster(where=Where(folder="/a"))] == [1, 1]
    assert gallery.cluster(where=Where(folder="/none")) == []
    assert gallery.cluster()[0].to_dict()["person"] == 1


def test_wrong_arguments_are_errors(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QueryError, match="a cosine"):
        gallery.cluster(min_similarity=1.5)
    with pytest.raises(QueryError, match="where must be"):
        gallery.cluster(where="photos")  # type: ignore[arg-type]
    gallery.add([picture("1.jpg", [row(1), row(2)])])
    monkeypatch.setattr(clusters, "MOST_PEOPLE", 1)
    with pytest.raises(QueryError, match="too many"):
        gallery.cluster()


def test_groups_do_not_depend_on_the_block_size(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.add([picture(f"{i:02d}.jpg", [row(i % 4, 0.12, i), row(4 + i % 3, 0.12, i)]) for i in range(30)])
    people = gallery.people()
    labels = clusters.labels_of(people, min_similarity=0.4)
    monkeypatch.setattr(clusters, "BLOCK", 7)
    assert clusters.labels_of(people, min_similarity=0.4).tolist() == labels.tolist()
    assert set(labels.tolist()) == set(range(7))
