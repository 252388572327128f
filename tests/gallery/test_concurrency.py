"""Several programs change one gallery at once, in a local folder and on an object store, which has no lock."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from personsearch.errors import GalleryConflictError, GalleryError
from personsearch.gallery import FileFacts, Gallery, add_files, location, write_files
from tests.helpers.gallery_frames import KEY, environment, frame

# Adds, reads, and now and then merges and removes, as several cameras with one gallery do.
WRITER = """
import sys
from tests.helpers import gallery_frames
from personsearch.gallery import Gallery
gallery = Gallery.create_or_open(sys.argv[1], gallery_frames.KEY)
name, loops = sys.argv[2], int(sys.argv[3])
for n in range(loops):
    gallery.add([gallery_frames.frame(f"{name}-{n}.jpg", 2), gallery_frames.frame(f"{name}-{n}-left.jpg", 2)])
    assert f"{name}-{n}.jpg" in gallery.records()
    assert (gallery.people().images == f"{name}-{n}.jpg").sum() == 2
    if n % 3 == 2:
        gallery.compact()
    if n % 5 == 4:
        assert gallery.remove(f"{name}-{n}-left.jpg") == 2
"""


def write_at_once(uri: str, loops: int, writers: str = "xyz", *, options: dict[str, str] | None = None) -> None:
    """Run several writers in processes of their own, and check that no row was lost, and none was left."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, uri, name, str(loops)], env=environment(), stderr=subprocess.PIPE, text=True)
        for name in writers
    ]
    errors = [process.communicate(timeout=60 * loops + 300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(writers), errors
    expected = {f"{name}-{n}.jpg" for name in writers for n in range(loops)}
    expected |= {f"{name}-{n}-left.jpg" for name in writers for n in range(loops) if n % 5 != 4}
    gallery = Gallery.open(uri, storage_options=options)
    images = set(gallery.images())
    assert (expected - images, images - expected) == (set(), set())  # lost, and not removed
    assert (len(gallery), len(gallery.people())) == (2 * len(expected), 2 * len(expected))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "file-object-store://"])
def test_writers_at_once_lose_nothing_and_meet_no_error(tmp_path: Path, scheme: str) -> None:
    """On an object store every fifth change failed, and said that the gallery should be deleted."""
    write_at_once(f"{scheme}{tmp_path / 'gallery'}", 6)


@pytest.mark.extra
def test_hundreds_of_loops_of_writers_lose_nothing(tmp_path: Path) -> None:
    """Not in every run, because it takes minutes."""
    write_at_once(str(tmp_path / "gallery"), 100)


def test_a_change_that_meets_another_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "FIRST_WAIT", 0.001)
    attempts: list[int] = []

    def work(attempt: int) -> str:
        attempts.append(attempt)
        if attempt < 3:
            raise OSError("Retryable commit conflict for version 7")
        return "done"

    assert location.retried(work, "s3://bucket/people.lance") == "done"
    assert attempts == [0, 1, 2, 3]


def test_a_conflict_that_stays_does_not_tell_anybody_to_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "FIRST_WAIT", 0.0001)

    def work(attempt: int) -> None:
        raise OSError("Not found: bucket/people.lance/_versions/17.manifest")

    with pytest.raises(GalleryConflictError, match=r"by another program at the same moment: .*; try again") as caught:
        location.retried(work, "s3://bucket/people.lance")
    assert "delete" not in str(caught.value)
    with pytest.raises(GalleryError, match="delete it and index again"):  # a folder is locked, so that a lost file is damage
        location.retried(work, "/photos/people.lance")


def test_options_of_the_object_store_travel_with_the_gallery(tmp_path: Path) -> None:
    import pickle

    options = {"allow_http": "true"}
    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY, storage_options=options)
    again = pickle.loads(pickle.dumps(gallery))
    assert (again.storage_options, Gallery.open(tmp_path / "gallery").storage_options) == (options, None)


def test_a_change_that_was_lost_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an object store a slow change could take the number of a version that another program had cleaned up, and was lost."""
    import lance

    monkeypatch.setattr(location, "FIRST_WAIT", 0.001)
    gallery = Gallery.create_or_open(f"file-object-store://{tmp_path / 'gallery'}", KEY)
    write, calls = lance.write_dataset, []

    def lost_once(rows, table, **options):
        calls.append(table.version)
        return table if len(calls) == 1 else write(rows, table, **options)

    monkeypatch.setattr(lance, "write_dataset", lost_once)
    gallery.add([frame("a.jpg", 2)])
    assert (len(calls), len(gallery), len(gallery.people())) == (2, 2, 2)


def test_a_renaming_that_was_lost_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lance

    monkeypatch.setattr(location, "FIRST_WAIT", 0.001)
    gallery = Gallery.create_or_open(f"file-object-store://{tmp_path / 'gallery'}", KEY)
    gallery.add([frame("a.jpg", 2), frame("b.jpg", 1)])
    write, calls = lance.write_dataset, []

    def lost_once(rows, table, **options):
        calls.append(rows.num_rows)
        return table if len(calls) == 1 else write(rows, table, **options)

    monkeypatch.setattr(lance, "write_dataset", lost_once)
    gallery.rename({"a.jpg": FileFacts("c.jpg", 1, 2, 3, "photos")})
    assert (calls, list(gallery.images()), len(gallery)) == ([3, 3], ["b.jpg", "c.jpg"], 3)


def test_a_deletion_lost_in_a_renaming_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lance

    monkeypatch.setattr(location, "FIRST_WAIT", 0.001)
    gallery = Gallery.create_or_open(f"file-object-store://{tmp_path / 'gallery'}", KEY)
    gallery.add([frame("a.jpg", 2), frame("b.jpg", 1)])
    delete, calls = lance.LanceDataset.delete, []

    def lost_once(table, predicate):
        calls.append(predicate)
        return None if len(calls) == 1 else delete(table, predicate)

    monkeypatch.setattr(lance.LanceDataset, "delete", lost_once)
    gallery.rename({"a.jpg": FileFacts("c.jpg", 1, 2, 3, "photos")})
    assert (len(calls), list(gallery.images()), len(gallery), len(gallery.people())) == (2, ["b.jpg", "c.jpg"], 3, 3)


def test_a_commit_of_files_that_was_lost_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that commits for a cluster's workers went on, and their pictures were missing."""
    import lance

    monkeypatch.setattr(location, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(location, "ATTEMPTS", 2)
    gallery = Gallery.create_or_open(f"file-object-store://{tmp_path / 'gallery'}", KEY)
    gallery.add([frame("a.jpg")])
    files = write_files(gallery, [frame("b.jpg", 2), frame("c.jpg")], indexed_ns=7)
    commit, calls = lance.LanceDataset.commit, []

    def behind_the_newest(uri, operation, **options):
        calls.append(uri)
        if len(calls) > 1:
            return commit(uri, operation, **options)
        elsewhere = tmp_path / "elsewhere"
        shutil.copytree(tmp_path / "gallery", elsewhere)
        return commit(str(elsewhere), operation, **options)

    monkeypatch.setattr(lance.LanceDataset, "commit", behind_the_newest)
    add_files(gallery, files)
    assert (len(calls), list(gallery.images()), len(gallery.people())) == (2, ["a.jpg", "b.jpg", "c.jpg"], 4)

    calls.clear()
    files = write_files(gallery, [frame("d.jpg", 2)], indexed_ns=8)
    shutil.rmtree(tmp_path / "elsewhere")
    monkeypatch.setattr(lance.LanceDataset, "commit", lambda *a, **k: (behind_the_newest(*a, **k), _delete_newest(tmp_path / "gallery"))[0])
    with pytest.raises(GalleryConflictError):  # files that another program deleted with the lost version are not committed again
        add_files(gallery, files)
    assert list(gallery.images()) == ["a.jpg", "b.jpg", "c.jpg"]


def _delete_newest(folder: Path) -> None:
    max((folder / "data").iterdir(), key=lambda path: path.stat().st_mtime_ns).unlink()
