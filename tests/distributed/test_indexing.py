"""Indexing by workers, without Ray: what they write, what is committed, and what happens when they end."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher
from personsearch.distributed import cluster, index
from personsearch.distributed.chunks import Chunk, split
from personsearch.distributed.worker import read_chunk
from personsearch.errors import ConfigError, DeviceError, GalleryModelError, GalleryOptionError, SourceError, WorkerError
from personsearch.gallery import add_files, write_files
from personsearch.indexing import IndexOptions
from personsearch.sources import open_source
from tests.helpers.fake_ray import FakeRay
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.gallery_frames import KEY, files_with, frame
from tests.helpers.many_machines import fake_cluster, same_people, write_photos

COUNT = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", COUNT)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return fake_cluster(monkeypatch)


def run(photos: Path, gallery: Path, **keywords: Any) -> Gallery:
    return index(photos, gallery=gallery, model=RectangleModel, workers=2, progress=False, **keywords)


def chunks_with(name: str, arguments: tuple[Any, ...], image: str) -> bool:
    return name == "read" and any(item.image.endswith(image) for item in arguments[0].items)


def test_rows_are_those_of_one_machine(photos: Path, tmp_path: Path, ray: FakeRay) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    alone = PersonSearcher(RectangleModel()).index(photos, gallery=tmp_path / "alone", progress=False)
    gallery = run(photos, tmp_path / "many")
    assert same_people(gallery, alone)
    assert (gallery.key, gallery.report) == (alone.key, alone.report)
    assert (gallery.images().keys(), gallery.every) == (alone.images().keys(), alone.every)
    assert ray.calls.count("read") == 3  # chunks of eight


def test_a_second_run_reads_what_changed(photos: Path, tmp_path: Path, ray: FakeRay) -> None:
    run(photos, tmp_path / "many")
    Image.fromarray(scene((BLUE, 10, 10, 90))).save(photos / "03.png")
    Image.fromarray(scene((BLUE, 30, 10, 90))).save(photos / "new.png")
    (photos / "04.png").unlink()
    ray.calls.clear()
    gallery = run(photos, tmp_path / "many")
    report = gallery.report
    assert report is not None
    assert [[Path(image).name for image in names] for names in (report.added, report.changed, report.removed)] == [
        ["new.png"], ["03.png"], ["04.png"]
    ]  # fmt: skip
    assert (len(report.unchanged), ray.calls.count("read")) == (COUNT - 2, 1)
    alone = PersonSearcher(RectangleModel()).index(photos, gallery=tmp_path / "alone", progress=False)
    assert same_people(gallery, alone)


@pytest.mark.usefixtures("ray")
def test_nothing_to_do_starts_no_cluster(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one broken picture every run started workers."""
    (photos / "broken.png").write_bytes(b"no picture")
    run(photos, tmp_path / "many")

    def refuse(workers: int) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(cluster, "joined", refuse)
    report = run(photos, tmp_path / "many").report
    assert report is not None
    assert (len(report.unchanged), [Path(image).name for image in report.unreadable]) == (COUNT, ["broken.png"])
    (photos / "05.png").unlink()
    report = run(photos, tmp_path / "many").report
    assert report is not None
    assert [Path(image).name for image in report.removed] == ["05.png"]


def test_a_worker_that_ends_costs_nothing_but_time(photos: Path, tmp_path: Path, ray: FakeRay) -> None:
    deaths = iter([True, True])
    ray.ends = lambda name, arguments: name == "read" and next(deaths, False)
    alone = PersonSearcher(RectangleModel()).index(photos, gallery=tmp_path / "alone", progress=False)
    gallery = run(photos, tmp_path / "many")
    assert same_people(gallery, alone)
    assert (gallery.report, ray.started) == (alone.report, 4)


def test_a_picture_that_ends_its_worker_is_reported(photos: Path, tmp_path: Path, ray: FakeRay) -> None:
    """Ray Data tried it again for ever."""
    ray.ends = lambda name, arguments: chunks_with(name, arguments, "07.png")
    gallery = run(photos, tmp_path / "many")
    assert gallery.report is not None
    assert {Path(image).name: reason for image, reason in gallery.report.unreadable.items()} == {"07.png": "it ended the worker 3 times"}
    assert gallery.image_count == COUNT - 1
    assert ray.started <= 2 + 2 + 3 + 3


def test_workers_that_end_at_once_are_an_error(photos: Path, tmp_path: Path, ray: FakeRay) -> None:
    ray.ends = lambda name, arguments: name == "describe"
    with pytest.raises(WorkerError, match="3 workers ended while they opened the model"):
        run(photos, tmp_path / "many")


def test_an_error_of_a_worker_is_raised_and_keeps_what_was_read(photos: Path, tmp_path: Path, ray: FakeRay) -> None:
    class Failing(RectangleModel):
        def prepare(self, image: Any) -> Any:
            if image[10:55, 10:30].any(axis=2).all() and (image[20, 70] == GREEN).all() and self.detected > 15:
                raise ConfigError("this model has no memory left")
            return image

    model = Failing()
    with pytest.raises(ConfigError, match="no memory left"):
        index(photos, gallery=tmp_path / "many", model=lambda: model, workers=2, progress=False)
    kept = Gallery.open(tmp_path / "many").image_count
    assert 0 < kept < COUNT
    assert len(run(photos, tmp_path / "many").report.unchanged) == kept  # type: ignore[union-attr]


@pytest.mark.usefixtures("ray")
def test_another_model_is_refused(photos: Path, tmp_path: Path) -> None:
    class Other(RectangleModel):
        fingerprint = "e" * 64

    run(photos, tmp_path / "many")
    Image.fromarray(scene((BLUE, 30, 10, 90))).save(photos / "new.png")
    with pytest.raises(GalleryModelError):
        index(photos, gallery=tmp_path / "many", model=Other, workers=2)
    models = iter([RectangleModel(), Other()])
    with pytest.raises(GalleryModelError, match="give all workers the same backend and device"):
        index(photos, gallery=tmp_path / "new", model=lambda: next(models), workers=2)
    with pytest.raises(GalleryOptionError):
        run(photos, tmp_path / "many", min_score=0.9)


@pytest.mark.parametrize(
    ("option", "error"), [({"precision": "int8"}, ConfigError), ({"device": "gpu"}, DeviceError), ({"device": 0}, DeviceError)]
)
def test_wrong_options_start_no_cluster(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: dict[str, Any], error: type
) -> None:
    """Each worker opened the model before one of them said so."""
    monkeypatch.setattr(cluster, "joined", lambda workers: pytest.fail("a cluster was started"))
    with pytest.raises(error, match=next(iter(option))):
        index(photos, gallery=tmp_path / "new", **option)


@pytest.mark.usefixtures("ray")
def test_pictures_in_memory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="workers read files and objects that they see too"):
        index([scene((RED, 10, 10, 60))], gallery=tmp_path / "many", model=RectangleModel)
    with pytest.raises(ConfigError, match="workers"):
        index(tmp_path, gallery=tmp_path / "many", model=RectangleModel, workers=0)


def test_files_that_were_not_committed_are_not_in_the_gallery(photos: Path, tmp_path: Path) -> None:
    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    gallery.add([frame("a.jpg"), frame("b.jpg")])
    written = write_files(gallery, [frame("c.jpg", 3), frame("d.jpg", 0)], 10**18)
    lost = write_files(gallery, [frame("lost.jpg", 1)], 10**18)
    assert (len(gallery), [json.loads(text)["id"] for text in lost]) == (2, [0])
    gallery_now = Gallery.open(gallery.location)
    add_files(gallery_now, written)
    assert gallery.people().images.tolist() == ["a.jpg", "b.jpg", "c.jpg", "c.jpg", "c.jpg"]
    gallery.remove("b.jpg")
    assert files_with(tmp_path / "gallery", b"lost.jpg") == []  # and the remains go with the next cleaning
    assert sorted(gallery.images()) == ["a.jpg", "c.jpg", "d.jpg"]


def test_a_chunk_gives_the_same_rows_each_time(photos: Path, tmp_path: Path) -> None:
    gallery = Gallery.create_or_open(tmp_path / "gallery", PersonSearcher(RectangleModel()).index(photos).key)
    chunk = Chunk(list(open_source(photos).items))
    options = IndexOptions(min_score=0.3, progress=False)
    first, again = (read_chunk(RectangleModel(), chunk, gallery, options, indexed_ns) for indexed_ns in (99, 100))
    assert (first.frames, first.people) == (again.frames, again.people) == (COUNT, 39)
    add_files(gallery, first.fragments)
    people = gallery.people()
    add_files(gallery, again.fragments)
    assert np.array_equal(gallery.people().embeddings, people.embeddings)


def test_chunks_have_a_number_of_items(photos: Path) -> None:
    items = list(open_source(photos).items)
    assert [len(chunk.items) for chunk in split(items, {}, 2, 1)] == [8, 8, 4]
    assert [len(chunk.items) for chunk in split(items * 300, {}, 1, 1)] == [512] * 11 + [368]
    halves = Chunk(items).halves()
    assert [len(half.items) for half in halves] == [10, 10]
    assert [item for half in halves for item in half.items] == items
