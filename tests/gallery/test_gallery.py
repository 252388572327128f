"""The gallery's content: frames and people are stored, replaced, removed and read back."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.errors import GalleryError, ShapeError
from personsearch.gallery import FramePeople, Gallery
from personsearch.results import Detections
from tests.helpers.gallery_frames import KEY, embeddings_of, frame, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    return Gallery.create_or_open(folder, KEY)


def test_people_by_hand(gallery: Gallery) -> None:
    two = Detections(
        np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32), np.array([0.9, 0.5], np.float32), np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    )
    one = Detections(np.array([[0, 0, 9, 9.5]], np.float32), np.array([0.7], np.float32), np.array([[0, 0, 1]], np.float32))
    none = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 3), np.float32))
    gallery.add(
        [
            FramePeople("b.jpg", 0, None, 10, 20, "f-b", 11, 12, "root", True, two),
            FramePeople("a.mp4", 5, 0.2, 10, 20, "f-a", None, None, None, False, one),
            FramePeople("c.jpg", 0, None, 10, 20, "f-c", 13, 14, "root", True, none),
        ]
    )
    people = gallery.people()
    assert people.images.tolist() == ["a.mp4", "b.jpg", "b.jpg"]
    assert people.frames.tolist() == [5, 0, 0]
    assert people.rows.tolist() == [0, 0, 1]
    assert str(people.times.tolist()) == "[0.2, nan, nan]"
    assert people.boxes.tolist() == [[0, 0, 9, 9.5], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert people.scores.tolist() == np.array([0.7, 0.9, 0.5], np.float32).tolist()
    assert people.embeddings.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    dtypes = [people.frames.dtype, people.rows.dtype, people.times.dtype, people.boxes.dtype, people.scores.dtype, people.embeddings.dtype]
    assert dtypes == [np.int32, np.int32, np.float64, np.float32, np.float32, np.float32]
    assert (len(gallery), gallery.image_count) == (3, 3)

    records = gallery.images()
    assert list(records) == ["a.mp4", "b.jpg", "c.jpg"]
    still, video = records["c.jpg"], records["a.mp4"]
    assert (still.fingerprint, still.size, still.modified_ns, still.root, still.complete) == ("f-c", 13, 14, "root", True)
    assert (video.size, video.modified_ns, video.root, video.complete, video.frames) == (None, None, None, False, frozenset({5}))
    assert abs(video.indexed_ns - os.stat(gallery.location).st_mtime_ns) < 60e9


def test_empty_gallery(gallery: Gallery) -> None:
    people = gallery.people()
    assert (people.images.shape, people.boxes.shape, people.embeddings.shape) == ((0,), (0, 4), (0, 3))
    assert (len(gallery), gallery.image_count, gallery.images()) == (0, 0, {})
    version = gallery.version
    gallery.add([])
    gallery.compact()
    assert (gallery.version, gallery.remove()) == (version, 0)
    assert gallery.to_arrow().num_rows == 0


def test_people_of_one_frame_share_a_scene(gallery: Gallery) -> None:
    assert gallery.people().scenes.tolist() == []
    gallery.add([frame("b.jpg"), frame("a.avi", 2, number=0, last=False), frame("a.avi", 1, number=5), frame("c.jpg", 0)])
    assert gallery.people().scenes.tolist() == [0, 0, 1, 2]


def test_frames_without_people_are_known(gallery: Gallery) -> None:
    gallery.add([frame("empty.jpg", 0), frame("empty too.jpg", 0)])
    assert (len(gallery), list(gallery.images())) == (0, ["empty too.jpg", "empty.jpg"])


def test_a_video_is_complete_after_its_last_frame(gallery: Gallery) -> None:
    gallery.add([frame("v.mp4", number=n, time=n / 25, last=False) for n in (0, 5)])
    record = gallery.images()["v.mp4"]
    assert (record.frames, record.complete) == (frozenset({0, 5}), False)
    gallery.add([frame("v.mp4", 0, number=10, time=0.4, last=True)])
    later = gallery.images()["v.mp4"]
    assert (later.frames, later.complete, later.indexed_ns) == (frozenset({0, 5, 10}), True, record.indexed_ns)
    assert gallery.people().times.tolist() == [0, 0.2]


def test_the_newest_write_of_a_frame_counts(gallery: Gallery) -> None:
    gallery.add([frame("a.jpg", 3), frame("b.jpg", 2)])
    gallery.add([frame("a.jpg", 1, seed=1)])
    assert np.array_equal(embeddings_of(gallery, "a.jpg"), frame("a.jpg", 1, seed=1).detections.embeddings)
    gallery.add([frame("b.jpg", 0)])
    assert (len(gallery), gallery.image_count) == (1, 2)
    assert gallery.remove("a.jpg") == 1
    assert embeddings_of(gallery, "a.jpg").shape == (0, 3)  # the older write is not back


def test_frames_of_older_content_do_not_complete_a_video(gallery: Gallery) -> None:
    gallery.add([frame("v.mp4", number=0, last=False), frame("v.mp4", number=1)])
    changed = frame("v.mp4", number=0, last=False)
    gallery.add([FramePeople(**{**vars(changed), "fingerprint": "new"})])
    record = gallery.images()["v.mp4"]
    assert (record.fingerprint, record.frames, record.complete) == ("new", frozenset({0}), False)


def test_people_are_cached_until_the_gallery_changes(gallery: Gallery) -> None:
    gallery.add([frame("a.jpg")])
    people = gallery.people()
    assert gallery.people() is people
    with pytest.raises(ValueError, match="read-only"):
        people.embeddings[0] = 0
    Gallery.open(gallery.location).add([frame("b.jpg")])  # as another process would
    assert gallery.people().images.tolist() == ["a.jpg", "b.jpg"]


def test_a_rejected_batch_changes_nothing(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match=r"a\.jpg frame 0 is in the batch twice"):
        gallery.add([frame("a.jpg"), frame("a.jpg")])
    wrong = Detections(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), np.zeros((1, 5), np.float32))
    with pytest.raises(ShapeError, match=r"\(1, 5\), the gallery stores 3"):
        gallery.add([frame("b.jpg"), FramePeople(**{**vars(frame("c.jpg")), "detections": wrong})])
    assert gallery.image_count == 0


def test_importing_the_gallery_does_not_load_lance() -> None:
    done = run("import sys, personsearch.gallery; print([name for name in ('lance', 'pyarrow', 'torch', 'pandas') if name in sys.modules])")
    assert done.stdout.strip() == "[]"


BATCH = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=3)
STEPS = st.lists(
    st.one_of(st.tuples(st.just("add"), BATCH), st.tuples(st.just("remove"), st.sets(st.sampled_from("abc"))), st.just(("compact", None))),
    max_size=6,
)


@settings(max_examples=15)
@given(STEPS)
def test_any_sequence_of_steps_gives_what_a_dict_gives(steps: list[tuple[str, object]]) -> None:
    model: dict[tuple[str, int], FramePeople] = {}
    with tempfile.TemporaryDirectory() as name:
        gallery = Gallery.create_or_open(name, KEY)
        for step, what in steps:
            if step == "add":
                batch = {(image, n): frame(image, people, number=n, seed=seed) for image, n, people, seed in what}  # type: ignore[attr-defined]
                gallery.add(list(batch.values()))
                model |= batch
            elif step == "remove":
                images = {image for image, _ in model} & what  # type: ignore[operator]
                gallery.remove(*images)
                model = {key: value for key, value in model.items() if key[0] not in images}
            else:
                gallery.compact()
            check(gallery, model)
        check(Gallery.open(name), model)


def check(gallery: Gallery, model: dict[tuple[str, int], FramePeople]) -> None:
    people, want = gallery.people(), [model[key] for key in sorted(model)]
    keys = [(item.image, item.frame, row) for item in want for row in range(len(item.detections))]
    assert list(zip(people.images.tolist(), people.frames.tolist(), people.rows.tolist(), strict=True)) == keys
    assert len(gallery) == len(keys)
    empty = np.empty((0, 3), np.float32)
    assert np.array_equal(people.embeddings, np.concatenate([empty, *(item.detections.embeddings for item in want)]))
    assert np.array_equal(people.boxes, np.concatenate([empty[:, [0, 0, 0, 0]], *(item.detections.boxes for item in want)]))
    assert people.scores.tolist() == [score for item in want for score in item.detections.scores]
    frames: dict[str, set[int]] = {}
    for image, number in model:
        frames.setdefault(image, set()).add(number)
    assert {image: set(record.frames) for image, record in gallery.images().items()} == frames


def test_repr_names_the_location_content_and_model(gallery: Gallery, folder: Path) -> None:
    gallery.add([frame("a.jpg", 2), frame("b.jpg", 0)])
    assert repr(gallery) == f"Gallery({folder}: 2 people in 2 images, model tiny)"
    gallery.delete()
    assert repr(gallery) == f"Gallery({folder}: cannot be read, model tiny)"
