"""Removed people, images and interrupted writes are deleted from the disk."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import GalleryError
from personsearch.gallery import FileFacts, Gallery, file_count, merging, removal, rows_a_file
from tests.helpers.gallery_frames import KEY, embeddings_of, files_with, frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    return Gallery.create_or_open(folder, KEY)


@pytest.mark.parametrize("together", [True, False], ids=["in one file with others", "in a file of its own"])
def test_removed_images_are_deleted_from_the_disk(gallery: Gallery, folder: Path, together: bool) -> None:
    secret, other = frame("secret-picture.jpg", 2), frame("other-picture.jpg", 2)
    crowd = [frame(f"crowd-{n}.jpg", 2) for n in range(50)]  # a file is not worth rewriting to Lance for so few deleted rows
    for batch in [[secret, other, *crowd]] if together else [[secret], [other, *crowd]]:
        gallery.add(batch)
    name, features = b"secret-picture.jpg", secret.detections.embeddings.tobytes()
    assert files_with(folder, name)  # or else finding nothing below would mean nothing
    assert files_with(folder, features)
    assert gallery.remove("secret-picture.jpg") == 2
    assert files_with(folder, name) == files_with(folder, features) == []
    assert files_with(folder, secret.detections.embeddings[1].tobytes()) == []
    assert np.array_equal(embeddings_of(gallery, "other-picture.jpg"), other.detections.embeddings)
    assert set(gallery.images()) == {item.image for item in [other, *crowd]}


def test_a_removed_person_is_deleted_and_the_others_stay(gallery: Gallery, folder: Path) -> None:
    three = frame("a.jpg", 3)
    gallery.add([three, frame("b.jpg")])
    data = [row.tobytes() for row in three.detections.embeddings]
    assert all(files_with(folder, row) for row in data)
    gallery.remove_person("a.jpg", 1)
    assert [bool(files_with(folder, row)) for row in data] == [True, False, True]
    assert gallery.people().rows.tolist() == [0, 2, 0]
    assert gallery.images()["a.jpg"].complete
    with pytest.raises(GalleryError, match=r"no person 1 in frame 0 of a\.jpg"):
        gallery.remove_person("a.jpg", 1)


def test_a_video_is_removed_with_all_its_frames(gallery: Gallery) -> None:
    gallery.add([frame("v.mp4", 2, number=n) for n in range(3)] + [frame("w.mp4", 2, number=1)])
    gallery.remove_person("v.mp4", 0, frame=1)
    assert list(zip(gallery.people().frames.tolist(), gallery.people().rows.tolist(), strict=True))[:5] == [
        (0, 0),
        (0, 1),
        (1, 1),
        (2, 0),
        (2, 1),
    ]
    assert gallery.remove("v.mp4") == 5
    assert gallery.people().images.tolist() == ["w.mp4", "w.mp4"]


def test_removing_an_unknown_image_suggests_names_and_removes_nothing(gallery: Gallery) -> None:
    gallery.add([frame("party.jpg")])
    with pytest.raises(GalleryError, match=r"partyy\.jpg is not in gallery .*similar names: party\.jpg"):
        gallery.remove("party.jpg", "partyy.jpg")
    with pytest.raises(GalleryError, match="lists its 1 images"):
        gallery.remove("zzz")
    assert gallery.image_count == 1


def test_an_image_is_removed_by_its_relative_path(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Galleries of files go by absolute paths; a relative one, or a `Path`, was refused."""
    monkeypatch.chdir(tmp_path)
    gallery.add([frame(str(tmp_path / "photos" / name), 2) for name in ("a.jpg", "b.jpg", "c.jpg")])
    gallery.remove_person("photos/a.jpg", 1)
    assert gallery.remove(Path("photos/a.jpg"), "photos/../photos/b.jpg") == 3
    assert list(gallery.images()) == [str(tmp_path / "photos" / "c.jpg")]


def test_a_name_in_the_gallery_wins_over_the_same_relative_path(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gallery.add([frame("a.jpg"), frame(str(tmp_path / "a.jpg"))])
    gallery.remove("a.jpg")
    assert list(gallery.images()) == [str(tmp_path / "a.jpg")]


def test_missing_images_are_ignored_on_request(gallery: Gallery) -> None:
    gallery.add([frame("a.jpg", 2), frame("b.jpg")])
    assert gallery.remove("a.jpg", "gone.jpg", missing_ok=True) == 2
    assert gallery.remove("gone.jpg", missing_ok=True) == 0
    assert list(gallery.images()) == ["b.jpg"]


NAMES = [
    "it's.jpg",
    "''.jpg",
    '"q".jpg',
    "back\\slash\\.jpg",
    "100%_.jpg",
    "née 写真 😀.jpg",
    "new\nline.jpg",
    "`a`; --.jpg",
    "' OR 1=1 --",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_removed(gallery: Gallery, name: str) -> None:
    others = [other for other in NAMES if other != name]
    gallery.add([frame(image, 2) for image in NAMES])
    gallery.remove_person(name, 0)
    assert gallery.remove(name) == 1
    assert list(gallery.images()) == sorted(others)
    assert len(gallery) == 2 * len(others)


def test_compact_and_remove_delete_remains_of_interrupted_writes(gallery: Gallery, folder: Path) -> None:
    import lance
    from lance.fragment import write_fragments

    from personsearch.gallery.table import to_rows

    for clean in (gallery.compact, lambda: gallery.remove("b.jpg")):
        gallery.add([frame("a.jpg"), frame("b.jpg")])
        rows = to_rows([frame("interrupted.jpg")], lance.dataset(folder).schema, 1)
        write_fragments(rows, folder)  # data without a commit, as a kill before the commit leaves it
        for name in ("data/.tmpX", "_versions/.tmpX", "_transactions/.tmpX"):
            (folder / name).write_bytes(b"interrupted.jpg")
        assert len(files_with(folder, b"interrupted.jpg")) == 4
        clean()
        assert files_with(folder, b"interrupted.jpg") == []
        assert "a.jpg" in gallery.images()


def test_compact_finishes_an_interrupted_removal(gallery: Gallery, folder: Path) -> None:
    import lance

    secret = frame("secret.jpg")
    gallery.add([secret])
    lance.dataset(folder).delete("image = 'secret.jpg'")  # as far as a removal had come when it was killed
    assert gallery.image_count == 0
    assert len(files_with(folder, b"secret.jpg")) > 1  # the data and the deletion itself
    gallery.compact()
    assert files_with(folder, b"secret.jpg") == files_with(folder, secret.detections.embeddings.tobytes()) == []


def test_many_small_commits_are_merged(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FEW_FILES", 4)
    for n in range(11):
        gallery.add([frame(f"{n:02}.jpg")])
        assert len(list((folder / "data").iterdir())) < 4
    assert gallery.people().images.tolist() == [f"{n:02}.jpg" for n in range(11)]


def test_merging_small_files_leaves_large_ones(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An addition would otherwise cost as much as the gallery is large."""
    monkeypatch.setattr(merging, "FEW_FILES", 4)
    monkeypatch.setattr(merging, "SIZES", (20, 200))
    gallery.add([frame("large.jpg", 50)])
    (large,) = (folder / "data").iterdir()
    for n in range(10):
        gallery.add([frame(f"{n:02}.jpg")])
    assert large.exists()
    assert len(list((folder / "data").iterdir())) < 5
    gallery.compact()
    assert not large.exists()
    assert len(gallery) == 60


def test_a_removal_writes_only_the_files_of_the_removed(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It merged all small files of the gallery too."""
    monkeypatch.setattr(removal, "ROWS_A_FILE", (8, 8))
    for name in "abcd":
        gallery.add([frame(f"{name}.jpg", 5), frame(f"{name}-2.jpg", 5)])
    before = set((folder / "data").iterdir())
    gallery.remove("b.jpg")
    after = set((folder / "data").iterdir())
    assert (len(before - after), len(after - before), len(gallery)) == (1, 1, 35)


def test_new_dates_of_pictures_write_only_their_rows(gallery: Gallery, folder: Path) -> None:
    """All files with touched pictures were written anew."""
    gallery.add([frame(f"{n:02}.jpg", 5) for n in range(20)])
    (large,) = (folder / "data").iterdir()
    gallery.rename({"03.jpg": FileFacts("03.jpg", 1234, 5, 6, "photos")})
    small = [path for path in (folder / "data").iterdir() if path != large]
    assert (large.exists(), len(small), gallery.images()["03.jpg"].modified_ns, len(gallery)) == (True, 1, 5, 100)
    gallery.remove("03.jpg")
    assert files_with(folder, b"03.jpg") == files_with(folder, frame("03.jpg", 5).detections.embeddings[2].tobytes()) == []


def test_many_new_dates_are_merged(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FEW_FILES", 4)
    gallery.add([frame(f"{n}.jpg") for n in range(3)])
    for n in range(10):
        for name in "012":
            gallery.rename({f"{name}.jpg": FileFacts(f"{name}.jpg", 1234, n, n, "photos")})
        assert file_count(gallery) < 4
    assert (gallery.images()["1.jpg"].modified_ns, len(gallery)) == (9, 3)


def test_full_files_grow_with_the_table() -> None:
    """A removal in a gallery of a million people wrote 400 MB, and a file costs every search a millisecond."""
    assert [rows_a_file(rows) for rows in (0, 10**6, 2_097_151, 2_097_152, 10**7, 10**9)] == [2**13, 2**13, 2**13, 2**14, 2**16, 2**18]


def test_a_removed_person_leaves_older_writes_of_the_frame(gallery: Gallery, folder: Path) -> None:
    """The person had another number in the picture before it changed."""
    before, after = frame("a.jpg", 3), frame("a.jpg", 2, seed=1)
    gallery.add([before, frame("b.jpg")])
    gallery.add([after])
    gallery.remove_person("a.jpg", 0)
    assert [files_with(folder, row.tobytes()) for row in before.detections.embeddings] == [[], [], []]
    assert np.array_equal(embeddings_of(gallery, "a.jpg"), after.detections.embeddings[1:])


def test_compacting_drops_what_changed_pictures_left(gallery: Gallery, folder: Path) -> None:
    before = frame("a.jpg", 3)
    gallery.add([before, frame("b.jpg")])
    gallery.add([frame("a.jpg", 1, seed=1)])
    secret = before.detections.embeddings[1].tobytes()
    assert len(files_with(folder, secret)) == 1
    gallery.compact()
    assert files_with(folder, secret) == []
    assert len(gallery) == 2
