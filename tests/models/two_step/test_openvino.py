"""OpenVINO IR files as a two-step model: both output forms, tiles, errors, and the Open Model Zoo's own files."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import PersonSearcher
from personsearch.errors import DeviceError, MissingExtraError, WeightsError
from personsearch.models.two_step import save_two_step
from personsearch.models.two_step.openvino_detector import OpenVinoDetector, OpenVinoDetectorOptions
from personsearch.models.two_step.openvino_session import OpenVinoSession
from personsearch.models.two_step.reid_onnx import ReidEmbedder
from personsearch.weights.contents import in_folder, model_files
from tests.helpers.gallery_frames import environment
from tests.helpers.openvino_files import detector, reid, ssd

WHITE = np.full((64, 64, 3), 255, np.uint8)
# input of 32 x 64: a person, a person below the threshold, a car
BOXES = np.array([[16, 8, 32, 24, 0.9], [0, 0, 8, 8, 0.05], [40, 8, 60, 24, 0.8]])
LABELS = np.array([1, 1, 0])
SSD_ROWS = np.array([[0, 1, 0.4, 0.25, 0.25, 0.5, 0.75], [0, 1, 0.9, 0.5, 0.5, 0.75, 1], [0, 2, 0.8, 0, 0, 1, 1], [-1, 1, 1, 0, 0, 1, 1]])


def test_boxes_and_labels_by_hand(tmp_path: Path) -> None:
    network = OpenVinoDetector(detector(tmp_path / "d.xml", BOXES, LABELS))
    ((boxes, scores),) = network.detect([network.prepare(WHITE)])
    assert boxes.tolist() == [[16, 16, 32, 48]]  # the picture of 64 x 64 is stretched into 32 x 64
    np.testing.assert_allclose(scores, [0.9], rtol=1e-6)


def test_ssd_rows_by_hand(tmp_path: Path) -> None:
    network = OpenVinoDetector(ssd(tmp_path / "d.xml", SSD_ROWS))
    ((boxes, scores),) = network.detect([network.prepare(WHITE)])
    assert boxes.tolist() == [[32, 32, 48, 64], [16, 16, 32, 48]]
    np.testing.assert_allclose(scores, [0.9, 0.4], rtol=1e-6)


def test_colours_are_bgr_by_default(tmp_path: Path) -> None:
    crop = np.full((20, 6, 3), (51, 102, 204), np.uint8)
    assert ReidEmbedder(reid(tmp_path / "r.xml")).embed([crop, crop]).tolist() == [[204, 102, 51]] * 2
    dark = OpenVinoDetector(detector(tmp_path / "d.xml", BOXES, LABELS), OpenVinoDetectorOptions(score_threshold=0.3))
    ((_, scores),) = dark.detect([dark.prepare(np.full((64, 64, 3), 128, np.uint8))])
    np.testing.assert_allclose(scores, [0.9 * 128 / 255], rtol=1e-5)


def test_tiles_find_each_person_once(tmp_path: Path) -> None:
    whole = np.array([[0, 0, 64, 32, 0.9]])
    tiled = OpenVinoDetector(detector(tmp_path / "d.xml", whole, np.array([1])), OpenVinoDetectorOptions(tiles=(1, 2)))
    ((boxes, _),) = tiled.detect([tiled.prepare(WHITE)])
    assert boxes.tolist() == [[0, 0, 64, 64]]  # in each tile the box is cut by an inner border, so only the whole view counts


def test_from_two_files_to_a_search(tmp_path: Path) -> None:
    files = {"detector_file": detector(tmp_path / "d.xml", BOXES, LABELS), "embedder_file": reid(tmp_path / "r.xml")}
    folder = save_two_step(tmp_path / "model", **files)
    assert model_files(in_folder(folder)) == ["config.json", "detector/d.xml", "detector/d.bin", "embedder/r.xml", "embedder/r.bin"]
    searcher = PersonSearcher.from_pretrained(folder, device="cpu")
    image = WHITE.copy()
    image[16:48, 16:32] = (200, 100, 50)
    Image.fromarray(image).save(tmp_path / "scene.png")
    (hit,) = searcher.search(image[16:48, 16:32], [tmp_path / "scene.png"])
    assert hit.box == (16, 16, 32, 48)
    assert hit.similarity == pytest.approx(1, abs=1e-6)


def test_missing_and_wrong_files_are_named(tmp_path: Path) -> None:
    files = {"detector_file": detector(tmp_path / "d.xml", BOXES, LABELS), "embedder_file": reid(tmp_path / "r.xml")}
    with pytest.raises(WeightsError, match="not a detector"):
        save_two_step(tmp_path / "model", detector_file=files["embedder_file"], embedder_file=files["embedder_file"])
    with pytest.raises(WeightsError, match="not a re-identification network"):
        save_two_step(tmp_path / "model", detector_file=files["detector_file"], embedder_file=files["detector_file"])
    with pytest.raises(DeviceError, match="no device 'cuda'"):
        OpenVinoSession(tmp_path / "r.xml", device="cuda")
    (tmp_path / "r.bin").unlink()
    with pytest.raises(WeightsError, match=r"r\.bin is missing"):
        ReidEmbedder(tmp_path / "r.xml")
    (tmp_path / "d.xml").write_text("<net")
    with pytest.raises(WeightsError, match="not a network that OpenVINO can run"):
        OpenVinoDetector(tmp_path / "d.xml")


def test_without_openvino_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = reid(tmp_path / "r.xml")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"personsearch\[openvino\]"):
        ReidEmbedder(file)


def test_threads_get_their_own_answers(tmp_path: Path) -> None:
    embedder = ReidEmbedder(reid(tmp_path / "r.xml"))
    results: dict[int, list[float]] = {}

    def embed(level: int) -> None:
        for _ in range(50):
            results[level] = embedder.embed([np.full((8, 4, 3), level, np.uint8)])[0].tolist()
            assert results[level] == [level] * 3

    threads = [threading.Thread(target=embed, args=(level,)) for level in (10, 20, 30, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {level: [level] * 3 for level in (10, 20, 30, 40)}


SIGNALS = """
import faulthandler, signal, subprocess, sys, threading
from pathlib import Path
from personsearch.models.two_step.openvino_session import OpenVinoSession
faulthandler.enable()
sessions = [OpenVinoSession(Path(sys.argv[1])) for _ in range(3)]
del sessions[0]
worker = threading.Thread(target=sessions.clear)
worker.start()
worker.join()
signal.signal(signal.SIGCHLD, lambda *_: print("signal"))
subprocess.run(["true"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGCHLD")
def test_a_signal_after_a_network_was_closed_is_harmless(tmp_path: Path) -> None:
    """OpenVINO left the main thread a stack for signals that it had freed: the next child process to end killed ours."""
    command = [sys.executable, "-c", SIGNALS, str(reid(tmp_path / "r.xml"))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert (done.returncode, done.stdout) == (0, "signal\n"), done.stderr


@pytest.mark.extra
def test_the_open_model_zoo_pair_finds_people(tmp_path: Path, shared: Path) -> None:
    teachers = shared / "teachers"
    folder = save_two_step(
        tmp_path / "model",
        detector_file=teachers / "person-vehicle-bike-detection-2003.xml",
        embedder_file=teachers / "person-reidentification-retail-0286.xml",
        min_score=0.15,
    )
    searcher = PersonSearcher.from_pretrained(folder, device="cpu")
    picture = shared / "data" / "street_photos" / "peds_0.jpg"
    detections = searcher.detect(picture)
    assert (detections.scores >= 0.5).sum() == 4  # four pedestrians in the foreground
    assert searcher.model.embedding_dim == 256
    result = searcher.search(Image.open(picture).crop(tuple(detections.boxes[0].tolist())), [picture])
    assert result[0].similarity > 0.95
