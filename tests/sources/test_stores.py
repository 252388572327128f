"""Pictures, videos and galleries in object storage, on an S3 server of this machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch import Gallery, PersonSearcher
from personsearch.errors import ImageError, SourceError
from personsearch.sources import open_source, read_frame
from personsearch.sources.stores import StoredItem, is_store
from tests.gallery.test_concurrency import write_at_once
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.object_store import BUCKET, client, object_store, put_picture
from tests.helpers.pictures import write_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with object_store() as options:
        yield options


@pytest.fixture
def photos(server: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Two pictures, a text, something damaged and a video."""
    folder = request.node.name
    put_picture(server, f"{folder}/a b?#.png", scene((RED, 10, 10, 60), (GREEN, 60, 10, 80)))
    put_picture(server, f"{folder}/below/b.png", scene((BLUE, 10, 10, 70)))
    write_video(tmp_path / "film.avi", [scene((RED, 10, 10, 40 + n)) for n in range(4)])
    store = client(server)
    store.put_object(Bucket=BUCKET, Key=f"{folder}/broken.jpg", Body=b"no picture")
    store.put_object(Bucket=BUCKET, Key=f"{folder}/notes.txt", Body=b"text")
    store.upload_file(str(tmp_path / "film.avi"), BUCKET, f"{folder}/film.avi")
    return f"s3://{BUCKET}/{folder}"


def test_pictures_and_galleries_in_a_store(server: dict[str, str], photos: str) -> None:
    searcher, place = PersonSearcher(RectangleModel()), f"{photos}-gallery.lance"
    gallery = searcher.index(photos, gallery=place, storage_options=server, progress=False)
    report = gallery.report
    assert report is not None
    assert report.added == (f"{photos}/a b?#.png", f"{photos}/below/b.png", f"{photos}/film.avi")
    assert list(report.unreadable) == [f"{photos}/broken.jpg"]
    assert (len(gallery), gallery.images()[f"{photos}/film.avi"].frames) == (7, frozenset(range(4)))
    result = searcher.search(scene((BLUE, 0, 0, 100))[:100, :20], Gallery.open(place, storage_options=server), top_k=1)
    assert (result[0].image, result[0].similarity) == (f"{photos}/below/b.png", 1)

    put_picture(server, f"{photos.removeprefix(f's3://{BUCKET}/')}/below/b.png", scene((GREEN, 10, 10, 70), (RED, 90, 10, 90)))
    client(server).delete_object(Bucket=BUCKET, Key=f"{photos.removeprefix(f's3://{BUCKET}/')}/film.avi")
    report = searcher.index(photos, gallery=place, storage_options=server, progress=False).report
    assert report is not None
    assert (report.changed, report.removed) == ((f"{photos}/below/b.png",), (f"{photos}/film.avi",))
    assert len(gallery) == 4
    gallery.delete()
    assert not Gallery.exists(place, storage_options=server)


def test_the_environment_names_the_store_too(server: dict[str, str], photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.items():
        monkeypatch.setenv(name.upper() if name != "allow_http" else "AWS_ALLOW_HTTP", value)
    (item, *_) = open_source(photos).items
    assert (
        item.fingerprint()
        == hashlib.sha256(client(server).get_object(Bucket=BUCKET, Key=item.image.partition(f"{BUCKET}/")[2])["Body"].read()).hexdigest()
    )
    assert np.array_equal(read_frame(item.image, 0), scene((RED, 10, 10, 60), (GREEN, 60, 10, 80)))
    assert read_frame(f"{photos}/film.avi", 2).shape == (120, 200, 3)
    with pytest.raises(ImageError, match=r"nothing\.png: cannot be read"):
        read_frame(f"{photos}/nothing.png", 0)


def test_a_picture_is_fetched_once_for_digest_and_pixels(server: dict[str, str], photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched, usual = [], StoredItem._opened

    def opened(item: StoredItem) -> Any:
        fetched.append(item.image)
        return usual(item)

    (item,) = open_source(f"{photos}/below/b.png", server).items
    monkeypatch.setattr(StoredItem, "_opened", opened)
    digest, frame = item.still()
    assert fetched == [f"{photos}/below/b.png"]
    assert digest == item.fingerprint()
    assert (frame.image, frame.frame, frame.time) == (item.image, 0, None)
    assert np.array_equal(frame.pixels, scene((BLUE, 10, 10, 70)))


def test_an_address_without_pictures_is_an_error(server: dict[str, str], photos: str) -> None:
    with pytest.raises(SourceError, match="contains no pictures or videos"):
        open_source(f"{photos}/nothing", server)
    with pytest.raises(SourceError, match=r"s3://bucket-that-is-missing/photos contains no pictures"):
        open_source("s3://bucket-that-is-missing/photos", server)
    (only,) = open_source(f"{photos}/below/b.png", server).items
    assert only.image == f"{photos}/below/b.png"


@pytest.mark.extra
def test_writers_on_a_store_lose_nothing(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth change failed. Not in every run, because it takes minutes."""
    for name, value in server.items():
        monkeypatch.setenv(name.upper() if name != "allow_http" else "AWS_ALLOW_HTTP", value)
    write_at_once(f"s3://{BUCKET}/writers.lance", 100)


def test_addresses_of_stores_are_known() -> None:
    assert [is_store(text) for text in ("s3://b/k", "gs://b", "az://c/x", "https://a", "/s3", "s3:b", "")] == [True] * 3 + [False] * 4
