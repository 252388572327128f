"""Galleries are private, notice damage, and survive a clock that is set back, pickling and a fork."""

import pickle
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.errors import ConfigError, GalleryError, ShapeError
from personsearch.gallery import FileFacts, FramePeople, Gallery, location, vector_index
from personsearch.gallery.checksum import checksums, moved
from tests.helpers.gallery_frames import KEY, embeddings_of, frame, run


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.create_or_open(tmp_path / "gallery", KEY)


def modes(folder: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*") if path.is_file()}


def test_a_gallery_is_private_to_its_user(gallery: Gallery, tmp_path: Path) -> None:
    """Another user could open it and search it."""
    folder = tmp_path / "gallery"
    for change in (lambda: gallery.add([frame("a.jpg"), frame("b.jpg")]), lambda: gallery.remove("a.jpg"), gallery.compact):
        change()
        assert (oct(stat.S_IMODE(folder.stat().st_mode)), modes(folder)) == ("0o700", {"0o600"})


def test_a_gallery_that_its_owner_opened_to_others_stays_open(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "gallery").chmod(0o750)
    gallery.add([frame("a.jpg")])
    assert oct(stat.S_IMODE((tmp_path / "gallery").stat().st_mode)) == "0o750"
    assert "0o644" in modes(tmp_path / "gallery")


def test_the_home_of_the_package_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "made" / "home"))
    Gallery.create_or_open(location.default_location("photos", "f"), KEY)
    folders = [tmp_path / "made" / "home", tmp_path / "made" / "home" / "galleries"]
    assert [oct(stat.S_IMODE(folder.stat().st_mode)) for folder in folders] == ["0o700", "0o700"]


def test_no_codes_of_removed_people_stay_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After everybody was removed, the vector index still had a code of each person."""
    monkeypatch.setattr(vector_index, "LEAST_ROWS", 256)
    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    gallery.add([frame(f"{n}.jpg", 20) for n in range(20)])
    gallery.nearest(np.eye(3, dtype=np.float32)[:1], 5)
    assert any((tmp_path / "gallery" / "_indices").rglob("*.*"))
    gallery.remove(*(f"{n}.jpg" for n in range(20)))
    assert [path for path in (tmp_path / "gallery" / "_indices").rglob("*") if path.is_file()] == []


def test_a_clock_set_back_does_not_bring_old_people_back(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two writes of one frame the one with the later clock counted, not the later one."""
    gallery.add([frame("a.jpg", 1)])
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    gallery.add([frame("a.jpg", 2, seed=1)])
    assert np.array_equal(embeddings_of(gallery, "a.jpg"), frame("a.jpg", 2, seed=1).detections.embeddings)


def test_a_changed_value_on_the_disk_is_noticed(gallery: Gallery, tmp_path: Path) -> None:
    """Lance gave other numbers back without an error."""
    people = frame("a.jpg", 3)
    gallery.add([people])
    value = people.detections.embeddings[1, 2].tobytes()
    (file,) = (tmp_path / "gallery" / "data").iterdir()
    content = file.read_bytes()
    assert content.count(value) == 1
    file.write_bytes(content.replace(value, np.float32(0.125).tobytes()))
    with pytest.raises(GalleryError, match="values of 1 of 3 people have changed"):
        Gallery.open(gallery.location).people()


def test_every_flipped_bit_changes_a_checksum() -> None:
    person: dict[str, Any] = {
        "images": np.array(["a.jpg"], object),
        "frames": np.array([2]),
        "rows": np.array([1]),
        "boxes": np.ones((1, 4), np.float32),
        "scores": np.ones(1, np.float32),
        "embeddings": np.array([[0.6, 0.8]], np.float32),
    }
    before = checksums(**person)
    for name in ("boxes", "scores", "embeddings"):
        for bit in range(32):
            other = person[name].copy()
            other.view(np.uint32).ravel()[-1:] ^= np.uint32(1 << bit)
            assert checksums(**{**person, name: other}) != before
    for name, value in (("images", np.array(["b.jpg"], object)), ("frames", np.array([3])), ("rows", np.array([2]))):
        assert checksums(**{**person, name: value}) != before
    renamed = checksums(**{**person, "images": np.array(["b.jpg"], object)})
    assert moved(before, ["a.jpg"], ["b.jpg"]) == renamed


def test_a_panic_of_lance_is_a_gallery_error() -> None:
    """A flipped bit in a version file raised a BaseException that no program catches."""
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(GalleryError, match="cannot be used: index out of bounds"), location.lance_errors("here"):
        raise panic("index out of bounds")
    with pytest.raises(KeyboardInterrupt), location.lance_errors("here"):
        raise KeyboardInterrupt


def test_renamed_images_keep_their_people(gallery: Gallery) -> None:
    gallery.add([frame("a.jpg", 2), frame("b.jpg", 1)])
    gallery.rename({"a.jpg": FileFacts("c.jpg", 5, 6, 7, "root"), "unknown.jpg": FileFacts("d.jpg", 5, 6, 7, "root")})
    assert gallery.people().images.tolist() == ["b.jpg", "c.jpg", "c.jpg"]
    assert np.array_equal(embeddings_of(gallery, "c.jpg"), frame("a.jpg", 2).detections.embeddings)
    record = gallery.images()["c.jpg"]
    assert (record.fingerprint, record.size, record.modified_ns, record.changed_ns, record.root) == ("digest of a.jpg", 5, 6, 7, "root")


def test_a_gallery_travels_as_its_location(gallery: Gallery) -> None:
    gallery.add([frame("a.jpg", 2)])
    gallery.memory_limit = 17
    again = pickle.loads(pickle.dumps(gallery))
    assert (again.location, again.memory_limit, len(again)) == (gallery.location, 17, 2)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda gallery: Gallery.open(2.5), GalleryError),
        (lambda gallery: Gallery.exists(None), GalleryError),
        (lambda gallery: Gallery.create_or_open(gallery.location, "key"), ConfigError),
        (lambda gallery: Gallery.create_or_open(gallery.location, KEY, storage=[]), ConfigError),
        (lambda gallery: gallery.remove(2.5), GalleryError),
        (lambda gallery: gallery.remove("a.jpg", missing_ok="no"), ConfigError),
        (lambda gallery: gallery.remove_person("a.jpg", "0"), GalleryError),
        (lambda gallery: gallery.remove_person("a.jpg", 0, None), GalleryError),
        (lambda gallery: gallery.add(3), GalleryError),
        (lambda gallery: gallery.add(["a.jpg"]), GalleryError),
        (lambda gallery: gallery.nearest([[1, 0, 0]], [1]), ConfigError),
        (lambda gallery: gallery.nearest([1, 0], 1), ShapeError),
        (lambda gallery: gallery.nearest("text", 1), ShapeError),
        (lambda gallery: gallery.to_csv(5), GalleryError),
        (lambda gallery: gallery.to_csv("/nowhere/at/all.csv"), GalleryError),
    ],
)
def test_a_wrong_type_is_an_error_of_the_package(gallery: Gallery, call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call(gallery)


def test_a_gallery_without_the_newer_columns_still_opens(gallery: Gallery) -> None:
    """As galleries were made before: without `changed_ns` and checksums."""
    import lance

    gallery.add([frame("a.jpg", 2)])
    lance.dataset(gallery.location).drop_columns(["changed_ns", "checksum"])
    old = Gallery.open(gallery.location)
    old.add([FramePeople(**{**vars(frame("b.jpg", 1)), "changed_ns": 5})])
    old.rename({"a.jpg": FileFacts("c.jpg", 5, 6, 7, "root")})
    assert old.people().images.tolist() == ["b.jpg", "c.jpg", "c.jpg"]
    assert (old.images()["b.jpg"].changed_ns, old.images()["c.jpg"].size) == (None, 5)


def test_another_user_cannot_open_a_gallery(gallery: Gallery, tmp_path: Path) -> None:
    gallery.add([frame("a.jpg")])
    script = """
import os, sys, lance, pyarrow, personsearch.gallery
from personsearch.errors import GalleryError
from personsearch.gallery import Gallery
if os.geteuid() != 0:
    print("refused")  # only root can become another user
    sys.exit()
os.chmod(sys.argv[2], 0o755)
os.setuid(65534)
try:
    print(len(Gallery.open(sys.argv[1])))
except GalleryError:
    print("refused")
"""
    assert run(script, gallery.location, str(tmp_path)).stdout.strip() == "refused"
