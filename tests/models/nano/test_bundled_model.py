"""The bundled model, as `from_pretrained()` without a name opens it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.bundled import numbers, public_networks
from benchmarks.real_pictures import mot17, pennfudan, pets
from personsearch import PersonSearcher, images
from personsearch.calibration import calibrate
from personsearch.cli import app as cli
from personsearch.cli import demo
from personsearch.errors import ConfigError, QueryError, WeightsError
from personsearch.models.nano.onnx import DETECTOR_FILE
from personsearch.results import Detections
from personsearch.searching import SearchOptions
from personsearch.weights import WEIGHTS_FILE, find, manifest

SCENES = demo.SCENES / "scenes"
QUERY = demo.SCENES / "query.jpg"
TRUTH = json.loads((demo.SCENES / demo.TRUTH).read_text())
LARGEST, BOTH = 12_000_000, 25_000_000  # bytes of a model's files, and of all bundled models'
SMALL = 1_000_000  # bytes of the demo


@pytest.fixture(scope="module")
def searcher() -> PersonSearcher:
    return PersonSearcher.from_pretrained(device="cpu")


def test_no_name_opens_the_bundled_model(searcher: PersonSearcher) -> None:
    entry = manifest.models()[find.DEFAULT]
    assert searcher.folder == find.find_model(find.DEFAULT)
    assert searcher.model.min_score == entry.threshold
    assert sum(file.stat().st_size for file in searcher.folder.iterdir()) <= LARGEST
    assert sum(file.stat().st_size for file in demo.SCENES.rglob("*") if file.is_file()) <= SMALL


def test_small_is_inside_the_package_too(searcher: PersonSearcher) -> None:
    small = PersonSearcher.from_pretrained("small", device="cpu")
    assert small.model.name == "small"
    assert small.calibration is not None
    assert small.model.fingerprint != searcher.model.fingerprint
    folders = [searcher.folder, small.folder]
    assert sum(file.stat().st_size for folder in folders if folder is not None for file in folder.iterdir()) <= BOTH
    scene = images.load(sorted(SCENES.iterdir())[0])
    assert len(small.detect(scene)) >= 1


def test_the_demo_finds_the_right_person_first(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["demo", "--out", str(tmp_path), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["rank_1_is_right"] is True
    assert "Rank 1 is the right person" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo_hits.html", "demo_hits.jpg"]


def test_the_demo_says_so_when_rank_1_is_wrong(searcher: PersonSearcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(demo.SCENES, tmp_path / "demo")
    (tmp_path / "demo" / demo.TRUTH).write_text(json.dumps({"scene_03.jpg": [0, 0, 5, 5]}))
    monkeypatch.setattr(demo, "SCENES", tmp_path / "demo")
    demo_result = demo.run_demo(searcher)
    assert not any(demo_result.right)
    assert "Rank 1 is another person" in demo_result.summary


@pytest.mark.slow
def test_automatic_threshold_tells_present_from_absent_people(searcher: PersonSearcher, tmp_path: Path) -> None:
    without = [path for path in sorted(SCENES.iterdir()) if path.name not in TRUTH]
    gallery = searcher.index([str(path) for path in without], gallery=tmp_path / "without", progress=False)
    assert len(gallery) > 10
    assert len(searcher.search(QUERY, gallery, min_similarity="auto")) == 0
    assert len(searcher.search(QUERY, gallery)) == 10
    everywhere = searcher.index(SCENES, gallery=tmp_path / "with", progress=False)
    hits = searcher.search(QUERY, everywhere, min_similarity="auto")
    assert len(hits) >= 2
    assert all(Path(hit.image).name in TRUTH for hit in hits)


def test_automatic_threshold_needs_a_calibrated_model(searcher: PersonSearcher) -> None:
    bare = PersonSearcher(searcher.model)
    with pytest.raises(QueryError, match="calibrate"):
        bare.search(QUERY, SCENES, min_similarity="auto")
    with pytest.raises(QueryError, match='"auto" or None'):
        searcher.search(QUERY, SCENES, min_similarity="atuo")  # type: ignore[call-overload]
    own = calibrate(np.array([0.99]), np.array([0.9]), false_match_rate=0, data="two pairs")
    assert (SearchOptions(min_similarity="auto").threshold(own) or 0) > 0.9


def largest_difference(first: Detections, second: Detections) -> float:
    """Largest difference of boxes in pixels and of embeddings times 250; infinite if the people differ."""
    if first.boxes.shape != second.boxes.shape:
        return np.inf
    return max(np.abs(first.boxes - second.boxes).max(), 250 * np.abs(first.embeddings - second.embeddings).max())


@pytest.mark.slow
def test_both_engines_find_the_same_people(searcher: PersonSearcher) -> None:
    """Rounding differs by less than 0.05 pixels and 2e-4 of an embedding; wrong weights by far more.

    A batch norm adds 1e-5 to its variance: each of 53 layers is smaller by 5e-6 in PyTorch than in the ONNX file,
    where the weights are float16.
    """
    torch_searcher = PersonSearcher.from_pretrained(device="cpu", backend="torch")
    assert torch_searcher.model.fingerprint != searcher.model.fingerprint
    for path in sorted(SCENES.iterdir())[:4]:
        assert largest_difference(searcher.detect(path), torch_searcher.detect(path)) < 0.05


def test_engines_of_different_weights_are_told_apart(searcher: PersonSearcher, tmp_path: Path) -> None:
    """The comparison above can fail."""
    other = PersonSearcher.from_pretrained(device="cpu", backend="torch")
    other.model.embedder.network.neck[0].weight.data[0] *= 1.05  # type: ignore[attr-defined]
    path = sorted(SCENES.iterdir())[0]
    assert largest_difference(searcher.detect(path), other.detect(path)) > 0.05


def test_an_empty_scene_has_no_detections(searcher: PersonSearcher) -> None:
    assert len(searcher.detect(np.full((300, 400, 3), 128, np.uint8)).scores) == 0


def test_detections_do_not_depend_on_the_batch(searcher: PersonSearcher) -> None:
    paths = sorted(SCENES.iterdir())[:3]
    together = searcher.detect([images.load(path) for path in paths])
    for path, detections in zip(paths, together, strict=True):
        assert largest_difference(searcher.detect(images.load(path)), detections) < 0.05


def test_damaged_files_in_the_package_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(manifest.PACKAGE / "data" / "nano", tmp_path / "data" / "nano")
    monkeypatch.setattr(manifest, "PACKAGE", tmp_path)
    for file in (WEIGHTS_FILE, DETECTOR_FILE):
        damaged = tmp_path / "data" / "nano" / file
        content = damaged.read_bytes()
        damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(WeightsError, match="sha256"):
            PersonSearcher.from_pretrained()
        damaged.write_bytes(content)


def test_onnx_is_refused_for_a_folder_without_onnx_files(tmp_path: Path, searcher: PersonSearcher) -> None:
    searcher.save_pretrained(tmp_path / "copy")
    (tmp_path / "copy" / DETECTOR_FILE).unlink()
    assert PersonSearcher.from_pretrained(tmp_path / "copy", device="cpu").model.fingerprint != searcher.model.fingerprint
    with pytest.raises(ConfigError, match="personsearch export"):
        PersonSearcher.from_pretrained(tmp_path / "copy", device="cpu", backend="onnx")


@pytest.mark.extra
def test_street_frames_reach_the_public_networks(shared: Path, searcher: PersonSearcher) -> None:
    """The floors are the public networks' own numbers on these frames; they have three digits."""
    result = numbers(list(mot17(shared / "data/mot17_mini")), searcher, cross_camera=False)
    assert round(result["mAP"], 3) >= 0.460
    assert round(result["top1"], 3) >= 0.557
    assert round(result["recall"], 3) >= 0.556


@pytest.mark.extra
def test_a_low_resolution_sequence_beats_the_public_networks(shared: Path, tmp_path: Path, searcher: PersonSearcher) -> None:
    sequence = list(pets(shared / "data/pets09_s2l1"))
    ours = numbers(sequence, searcher, cross_camera=False)
    theirs = numbers(sequence, public_networks(shared, tmp_path), cross_camera=False)
    assert ours["mAP"] > theirs["mAP"]
    assert ours["top1"] > theirs["top1"]


@pytest.mark.extra
def test_street_photographs_are_detected(shared: Path, searcher: PersonSearcher) -> None:
    result = numbers(list(pennfudan(shared / "data/pennfudan")), searcher, cross_camera=False)
    assert result["recall"] >= 0.90
    assert result["precision"] >= 0.79
