"""What a run could not look at stays with the gallery, so that a later search does not take it for "not here"."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, IndexReport, PersonSearcher
from personsearch.errors import GalleryPermissionError, SourceError
from personsearch.gallery import FileFacts
from personsearch.indexing import store_unseen, unseen
from tests.helpers.fakes import RED, RectangleModel, scene
from tests.helpers.gallery_frames import KEY, files_with, frame

CROP = np.full((60, 20, 3), RED, np.uint8)


@pytest.fixture
def searcher() -> PersonSearcher:
    return PersonSearcher(RectangleModel())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A picture of one person, and a damaged file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(scene((RED, 10, 10, 60))).save(folder / "a.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    gallery.add([frame("/videos/a.mp4"), frame("/videos/b.mp4")])
    return gallery


def report(**fields: object) -> IndexReport:
    return IndexReport(**{"added": (), "changed": (), "removed": (), "unchanged": (), "unreadable": {}, **fields})


def test_a_gallery_opened_later_says_what_was_not_looked_at(searcher: PersonSearcher, photos: Path) -> None:
    """Only the run itself said it: a search in the opened gallery looked as if all pictures had been seen."""
    location = searcher.index(photos).location
    opened = Gallery.open(location)
    assert list(opened.not_looked) == [str(photos / "broken.png")]
    assert opened.report is None
    assert searcher.search(CROP, opened).not_looked == opened.not_looked


def test_a_repaired_picture_is_forgotten(searcher: PersonSearcher, photos: Path) -> None:
    searcher.index(photos)
    Image.fromarray(scene((RED, 30, 10, 60))).save(photos / "broken.png")
    assert searcher.index(photos).not_looked == {}


def test_a_deleted_picture_is_forgotten(searcher: PersonSearcher, photos: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    searcher.index(photos, gallery=gallery)
    (photos / "broken.png").unlink()
    assert searcher.index(photos / "*.png", gallery=gallery).not_looked != {}  # another source; its folder may have been read otherwise
    assert searcher.index(photos, gallery=gallery).not_looked == {}


def test_another_source_leaves_what_is_stored(searcher: PersonSearcher, photos: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    Image.fromarray(scene()).save(others / "c.png")
    gallery = tmp_path / "gallery"
    searcher.index(photos, gallery=gallery)
    assert list(searcher.index(others, gallery=gallery).not_looked) == [str(photos / "broken.png")]


def test_a_source_of_which_nothing_could_be_read_is_remembered(searcher: PersonSearcher, photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").unlink()
    with pytest.raises(SourceError, match="nothing could be read"):
        searcher.index(photos, gallery=tmp_path / "gallery")
    assert list(Gallery.open(tmp_path / "gallery").not_looked) == [str(photos / "broken.png")]


def test_a_run_that_saw_everything_writes_nothing(searcher: PersonSearcher, photos: Path) -> None:
    version = searcher.index(photos).version
    assert searcher.index(photos).version == version


def test_a_partly_read_video_stays_so_while_it_is_unchanged(gallery: Gallery) -> None:
    """The second run reads only changed files, and said nothing of the part that the first could not read."""
    store_unseen(gallery, report(added=("/videos/a.mp4",), partial={"/videos/a.mp4": "ends early"}), ["/videos"], owned=True)
    store_unseen(gallery, report(unchanged=("/videos/a.mp4",)), ["/videos"], owned=True)
    assert gallery.not_looked == {"/videos/a.mp4": "ends early"}
    store_unseen(gallery, report(changed=("/videos/a.mp4",)), ["/videos"], owned=True)
    assert gallery.not_looked == {}


def test_the_name_of_a_removed_video_leaves_the_disk(gallery: Gallery) -> None:
    store_unseen(gallery, report(partial={"/videos/a.mp4": "ends early"}), ["/videos"], owned=True)
    gallery.remove("/videos/a.mp4")
    assert gallery.not_looked == {}
    assert files_with(Path(gallery.location), b"/videos/a.mp4") == []


def test_a_renamed_video_is_still_partly_read(gallery: Gallery) -> None:
    """And its old name leaves the disk."""
    store_unseen(gallery, report(partial={"/videos/a.mp4": "ends early"}), ["/videos"], owned=True)
    gallery.rename({"/videos/a.mp4": FileFacts("/videos/c.mp4", 1, 2, 3, "/videos")})
    store_unseen(gallery, report(renamed={"/videos/a.mp4": "/videos/c.mp4"}), ["/videos"], owned=True)
    assert gallery.not_looked == {"/videos/c.mp4": "ends early"}
    assert files_with(Path(gallery.location), b'"/videos/a.mp4"') == []


def test_very_many_names_are_counted(gallery: Gallery) -> None:
    store_unseen(gallery, report(unreadable={f"/photos/{n}.jpg": "broken" for n in range(700)}), ["/photos"], owned=False)
    assert (len(gallery.not_looked), list(gallery.not_looked)[-1]) == (500, "201 others")
    store_unseen(gallery, report(), ["/photos"], owned=False)
    assert gallery.not_looked == {}


def test_a_gallery_that_may_not_be_written_is_still_searched(
    searcher: PersonSearcher, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise GalleryPermissionError("no permission")

    monkeypatch.setattr(unseen, "change_unseen", refuse)
    assert list(searcher.search(CROP, photos).not_looked) == [str(photos / "broken.png")]
