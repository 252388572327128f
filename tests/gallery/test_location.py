"""Where a gallery may be, and several processes that use it at once."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import GalleryError, GalleryModelError, GalleryPermissionError
from personsearch.gallery import Gallery, ModelKey, default_location
from tests.helpers.gallery_frames import KEY, embeddings_of, environment, files_with, frame, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    return Gallery.create_or_open(folder, KEY)


# Where a gallery may be


def test_embeddings_of_another_model_are_refused(gallery: Gallery) -> None:
    with pytest.raises(GalleryModelError, match=r"tiny \(a1a1a1a1a1a1, 3 numbers.*not of other \(b2b2.*index again"):
        Gallery.create_or_open(gallery.location, ModelKey("other", "b2" * 32, embedding_dim=3))
    assert Gallery.create_or_open(gallery.location, KEY).key == KEY
    assert Gallery.open(gallery.location).key == KEY


def test_a_replaced_gallery_is_detected(gallery: Gallery) -> None:
    gallery.add([frame("a.jpg")])
    assert gallery.people().images.tolist() == ["a.jpg"]
    Gallery.open(gallery.location).delete()
    assert not Path(gallery.location).exists()
    with pytest.raises(GalleryError, match="was deleted"):
        gallery.people()
    with pytest.raises(GalleryError, match="was deleted"):
        gallery.add([frame("a.jpg")])
    again = Gallery.create_or_open(gallery.location, KEY)
    again.add([frame("b.jpg")])  # the same version number as before
    assert gallery.people().images.tolist() == ["b.jpg"]
    again.delete()
    Gallery.create_or_open(gallery.location, ModelKey("other", "b2" * 32, embedding_dim=3))
    with pytest.raises(GalleryModelError):
        gallery.add([frame("a.jpg")])


def test_locations_without_a_gallery(tmp_path: Path) -> None:
    import lance
    import pyarrow as pa

    assert not Gallery.exists(tmp_path / "nothing")
    with pytest.raises(GalleryError, match=r"no gallery at .*nothing; index some"):
        Gallery.open(tmp_path / "nothing")

    (tmp_path / "file.jpg").write_bytes(b"no gallery")
    assert not Gallery.exists(tmp_path / "file.jpg")
    with pytest.raises(GalleryError, match="is a file"):
        Gallery.create_or_open(tmp_path / "file.jpg", KEY)

    assert not Gallery.exists(tmp_path)
    with pytest.raises(GalleryError, match=r"contains other files \(file\.jpg\)"):
        Gallery.create_or_open(tmp_path, KEY)

    lance.write_dataset(pa.table({"a": [1]}), tmp_path / "other")
    for use in (Gallery.exists, Gallery.open):
        with pytest.raises(GalleryError, match="not a personsearch gallery"):
            use(tmp_path / "other")


def test_a_gallery_with_another_format_is_refused(gallery: Gallery) -> None:
    import lance

    table = lance.dataset(gallery.location)
    facts = json.loads(table.schema.metadata[b"personsearch.gallery"])
    table.update_schema_metadata({"personsearch.gallery": json.dumps({**facts, "format": 99})})
    with pytest.raises(GalleryError, match="has format 99"):
        Gallery.open(gallery.location)


def test_a_damaged_gallery_is_an_error(gallery: Gallery, folder: Path) -> None:
    gallery.add([frame("a.jpg")])
    for path in (folder / "data").iterdir():
        path.write_bytes(b"damage")
    with pytest.raises(GalleryError, match="delete it and index again"):
        Gallery.open(folder).people()
    for path in (folder / "_versions").glob("*.manifest"):
        path.write_bytes(b"damage")
    with pytest.raises(GalleryError, match="delete it and index again"):
        Gallery.open(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_gallery_without_write_permission_can_be_read(open_folder: Path) -> None:
    folder = open_folder / "gallery"
    Gallery.create_or_open(folder, KEY).add([frame("a.jpg", 2)])
    folders = [open_folder, folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    # Root may write everywhere, so the process becomes another user first; the imports come before, as that user may not see them.
    script = """
import os, sys, lance, pyarrow, personsearch.gallery
from tests.helpers import gallery_frames
from personsearch.errors import GalleryPermissionError
from personsearch.gallery import Gallery
if os.geteuid() == 0:
    os.setuid(65534)
gallery = Gallery.open(sys.argv[1])
assert gallery.people().images.tolist() == ["a.jpg", "a.jpg"]
for change in (
    lambda: gallery.add([gallery_frames.frame("b.jpg")]),
    lambda: gallery.remove("a.jpg"),
    lambda: gallery.delete(),
    lambda: Gallery.create_or_open(sys.argv[1] + "-new", gallery_frames.KEY),
):
    try:
        change()
    except GalleryPermissionError as error:
        assert sys.argv[1] in str(error) and "right to write" in str(error)
        print("refused")
"""
    done = run(script, str(folder))
    for path in folders:
        path.chmod(0o755)
    assert (done.stdout.split(), done.stderr) == (["refused"] * 4, "")
    assert issubclass(GalleryPermissionError, PermissionError)
    assert len(Gallery.open(folder)) == 2


def test_locations_with_special_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my gallery #1 100%20 é'?"
    Gallery.create_or_open(folder, KEY).add([frame("a.jpg")])
    monkeypatch.chdir(tmp_path)
    relative = Gallery.open(folder.name)
    assert (relative.location, len(relative), len(Gallery.open(folder.as_uri()))) == (str(folder), 1, 1)
    relative.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_name_that_lance_refuses_is_not_a_gallery(tmp_path: Path) -> None:
    """Its pictures were indexed, and then neither searched nor deleted by the folder's name: Lance refused to look for a table there."""
    folder = tmp_path / "new\nline \x1b[2J"
    folder.mkdir()
    assert not Gallery.exists(folder)
    assert not Gallery.exists(folder / "file in a file that is not there")
    with pytest.raises(GalleryError, match="cannot be used"):
        Gallery.create_or_open(folder, KEY)


def test_a_tilde_in_a_location_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Gallery.create_or_open("~/people.lance", KEY).location == str(tmp_path / "people.lance")
    assert Gallery.exists("~/people.lance")
    assert Gallery.open(Path("~/people.lance")).location == str(tmp_path / "people.lance")


def test_the_default_location_is_in_the_home_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digests are of galleries made before, so that they are still found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PERSONSEARCH_HOME", "~/kept")
    assert default_location("/photos/My holiday", "f1") == tmp_path / "kept" / "galleries" / "My-holiday-8544a17ebd0f73c5.lance"
    assert default_location("/photos/My holiday", "f2") != default_location("/photos/My holiday", "f1")
    assert default_location("写真", "f1").name.startswith("pictures-")


def test_a_location_without_locks(tmp_path: Path) -> None:
    uri = f"file-object-store://{tmp_path}/gallery"  # Lance's way to treat a folder as an object store
    gallery = Gallery.create_or_open(uri, KEY)
    gallery.add([frame("secret.jpg"), frame("b.jpg")])
    assert (gallery.location, gallery.remove("secret.jpg"), files_with(tmp_path, b"secret.jpg")) == (uri, 1, [])
    assert gallery.people().images.tolist() == ["b.jpg"]
    gallery.delete()
    assert not Gallery.exists(uri)


# Several processes, and their end

WRITER = """
import sys
from tests.helpers import gallery_frames
from personsearch.gallery import Gallery
gallery = Gallery.create_or_open(sys.argv[1], gallery_frames.KEY)
for n in range(int(sys.argv[3])):
    gallery.add([gallery_frames.frame(f"{sys.argv[2]}-{n}-{i}.jpg", 2) for i in range(3)])
    print(n, flush=True)
"""


def writer(folder: Path, name: str, batches: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder), name, str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())


def test_a_killed_writer_loses_no_committed_batch(folder: Path) -> None:
    process = writer(folder, "w", 100_000)
    assert process.stdout is not None
    with process, process.stdout:
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        printed = 20 + len(process.stdout.read().split())
    gallery = Gallery.open(folder)
    images = set(gallery.images())
    batches = len(images) // 3
    assert batches in (printed, printed + 1)  # it may have been killed between committing and printing
    assert images == {f"w-{n}-{i}.jpg" for n in range(batches) for i in range(3)}  # whole batches, all of them
    assert len(gallery) == 6 * batches
    gallery.add([frame("next.jpg")])
    gallery.compact()
    assert (len(gallery), len(list((folder / "data").iterdir()))) == (6 * batches + 1, 1)


@pytest.mark.slow
def test_two_writers_and_a_remover_lose_nothing(gallery: Gallery, folder: Path) -> None:
    gallery.add([frame(f"old-{n}.jpg") for n in range(10)])
    processes = [writer(folder, name, 30) for name in "xy"]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # it has committed once
    for n in range(10):
        gallery.remove(f"old-{n}.jpg")  # cleaning up must not take what the writers are just writing
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert set(gallery.images()) == {f"{name}-{n}-{i}.jpg" for name in "xy" for n in range(30) for i in range(3)}
    assert np.array_equal(embeddings_of(gallery, "y-29-2.jpg"), frame("y-29-2.jpg", 2).detections.embeddings)
    assert len(gallery.people()) == 360


def test_a_creation_that_was_killed_can_be_repeated(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "_versions").mkdir()
    assert not Gallery.exists(folder)
    assert len(Gallery.create_or_open(folder, KEY)) == 0
