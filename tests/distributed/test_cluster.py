"""Indexing and searching by a Ray cluster of this machine: equal rows, killed workers, a killed run, a picture that kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher
from personsearch.distributed import Shards, build_index, cluster, compact, index
from personsearch.errors import QueryError
from personsearch.gallery import ModelKey, file_count, vector_index
from personsearch.searching import SearchOptions
from tests.helpers.fakes import BLUE, RED, RectangleModel, scene
from tests.helpers.gallery_frames import KEY, environment, frame
from tests.helpers.many_machines import same_people, write_photos

pytestmark = pytest.mark.slow
COUNT = 40


class Recording(RectangleModel):
    """Writes the number of its process, and takes its time, so that the process can be killed while it works."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        super().__init__()
        self.folder, self.seconds = folder, seconds

    def prepare(self, image: np.ndarray) -> np.ndarray:
        (self.folder / f"{os.getpid()}.pid").touch()
        time.sleep(self.seconds)
        if image[0, 0].tolist() == [255, 255, 255]:  # the poisonous picture
            os.kill(os.getpid(), signal.SIGKILL)
        return image


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray = cluster.ray()
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(
        num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment()}
    )
    yield
    ray.shutdown()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", COUNT)


def test_rows_are_equal_though_a_worker_is_killed(photos: Path, tmp_path: Path) -> None:
    alone = PersonSearcher(RectangleModel()).index(photos, gallery=tmp_path / "alone", progress=False)
    pids = tmp_path / "pids"
    pids.mkdir()
    killer = subprocess.Popen([sys.executable, "-c", KILLER, str(pids)])
    gallery = index(photos, gallery=tmp_path / "many", model=lambda: Recording(pids, 0.05), workers=2, progress=False)
    assert killer.wait(60) == 0
    assert len(list(pids.iterdir())) >= 2
    assert same_people(gallery, alone)
    assert gallery.report == alone.report


KILLER = """
import os, signal, sys, time
from pathlib import Path
until = time.monotonic() + 300
while not (pids := sorted(Path(sys.argv[1]).glob("*.pid"))):
    time.sleep(0.01)
    assert time.monotonic() < until
os.kill(int(pids[0].stem), signal.SIGKILL)
"""


def test_a_poisonous_picture_is_reported(photos: Path, tmp_path: Path) -> None:
    pixels = scene((RED, 10, 10, 60))
    pixels[0, 0] = 255
    Image.fromarray(pixels).save(photos / "07.png")
    pids = tmp_path / "pids"
    pids.mkdir()
    gallery = index(photos, gallery=tmp_path / "many", model=lambda: Recording(pids), workers=2, progress=False)
    assert gallery.report is not None
    assert {Path(image).name: reason for image, reason in gallery.report.unreadable.items()} == {"07.png": "it ended the worker 3 times"}
    assert gallery.image_count == COUNT - 1


DRIVER = """
import sys
from pathlib import Path
from personsearch.distributed import index, pool
from tests.distributed.test_cluster import Recording
pool.COMMIT_SECONDS = 0.0
folder = Path(sys.argv[1])
index(folder / "photos", gallery=folder / "many", model=lambda: Recording(folder / "pids", 0.1), workers=1, progress=False)
"""


def test_a_killed_run_goes_on_where_it_had_committed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], env=environment())
    until = time.monotonic() + 300
    while not (Gallery.exists(tmp_path / "many") and Gallery.open(tmp_path / "many").image_count):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = Gallery.open(tmp_path / "many").image_count
    assert 0 < committed < COUNT
    gallery = index(photos, gallery=tmp_path / "many", model=RectangleModel, workers=2, progress=False)
    assert gallery.report is not None
    assert (len(gallery.report.unchanged), len(gallery.report.added)) == (committed, COUNT - committed)
    assert same_people(gallery, PersonSearcher(RectangleModel()).index(photos, gallery=tmp_path / "alone", progress=False))


def test_workers_find_what_one_process_finds(photos: Path, tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    gallery = Gallery.create_or_open(tmp_path / "g", searcher.index(photos).key)
    for part in ("0", "1", "2", "3"):  # a file each
        searcher.index(str(photos / f"{part}*.png"), gallery=tmp_path / "g", progress=False)
    query = scene((BLUE, 0, 0, 100))[:100, :20]
    with Shards(gallery, workers=2) as shards:
        for options in (SearchOptions(30), SearchOptions(5, confidence_weighted=True), SearchOptions(50, min_similarity=0.5)):
            assert shards.search(searcher, query, options).hits == searcher.search(query, gallery, options).hits
        with pytest.raises(QueryError, match="leave rerank"):
            shards.search(searcher, query, SearchOptions(5, rerank="cbgm"))


def test_workers_build_the_vector_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "LEAST_ROWS", 100)
    gallery = Gallery.create_or_open(tmp_path / "g", ModelKey("m", "f", 16))
    gallery.add([frame(f"{n}.jpg", 10, dim=16) for n in range(100)])
    build_index(gallery, workers=2)
    gallery.memory_limit = 0
    row = frame("7.jpg", 10, dim=16).detections.embeddings[3:4]
    assert vector_index.is_current(gallery._refresh().table)
    assert (gallery.nearest(row, 5)[0].embeddings == row).all(axis=1).any()


def test_workers_merge_files(tmp_path: Path) -> None:
    gallery = Gallery.create_or_open(tmp_path / "g", KEY)
    for number in range(9):
        gallery.add([frame(f"{number}.jpg", 3)])
    before = gallery.people()
    compact(gallery, workers=2)
    assert file_count(gallery) == 1
    assert np.array_equal(gallery.people().embeddings, before.embeddings)
    assert len(list((tmp_path / "g" / "data").iterdir())) == 1
