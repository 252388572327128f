"""The manifest of named models, and that the converters produce what it says."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from personsearch.convert import CONVERTERS, alignps, coat, gfn, nae, seqnet
from personsearch.convert.alignps import MEMORY
from personsearch.errors import ConfigError
from personsearch.models import ARCHITECTURES
from personsearch.weights import WEIGHTS_FILE, manifest, read_config
from personsearch.weights.find import DEFAULT, bundled_folder
from personsearch.weights.manifest import Bundled, Convert, Entry
from tests.helpers import gfn_golden
from tests.helpers.alignps_golden import SOURCES, shapes
from tests.helpers.manifest_entries import BUNDLED_SOURCE, HUB_SOURCE, TOP, values, with_source
from tests.helpers.seqnet_golden import hollow, hollow_nae


def aligned(name: str, identities: int) -> dict[str, Tensor]:
    """A checkpoint of the AlignPS family without storage."""
    with torch.device("meta"):
        return {key: torch.empty(shape) for key, shape in shapes(name).items()} | {MEMORY: torch.empty(identities, 256)}


def hollow_cuhk(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {"roi_heads.reid_loss.lut": torch.zeros(()).expand(5532, 256)}


def hollow_gfn_prw() -> dict[str, Tensor]:
    """GFN's checkpoint of PRW: the memory of identities has another size under each of its names."""
    tensors = gfn_golden.hollow("gfn_convnext_base")
    return tensors | {name: torch.zeros(()).expand(483, 2048) for name in tensors if name.endswith("reid_loss.lut")}


CONVERTED = {
    "seqnet-cuhk": lambda: seqnet.convert(hollow_cuhk(hollow()), "seqnet"),
    "seqnet-prw": lambda: seqnet.convert(hollow(), "seqnet"),
    "nae-cuhk": lambda: nae.convert(hollow_cuhk(hollow_nae()), "nae"),
    "alignps-cuhk": lambda: alignps.convert(aligned("alignps", 5532), "alignps"),
    "alignps-prw": lambda: alignps.convert(aligned("alignps", 483), "alignps"),
    "alignps-plus-cuhk": lambda: alignps.convert(aligned("alignps_plus", 5532), "alignps"),
    "alignps-plus-prw": lambda: alignps.convert(aligned("alignps_plus", 483), "alignps"),
    "roi-alignps-cuhk": lambda: alignps.convert(aligned("roi_alignps", 5532), "roi-alignps"),
    "roi-alignps-prw": lambda: alignps.convert(aligned("roi_alignps", 483), "roi-alignps"),
    "roi-alignps-hybrid-cuhk": lambda: alignps.convert(aligned("roi_alignps", 5532), "roi-alignps"),
    "roi-alignps-hybrid-prw": lambda: alignps.convert(aligned("roi_alignps", 483), "roi-alignps"),
    "roi-alignps-hybrid-posetrack21": lambda: alignps.convert(aligned("roi_alignps", 5474), "roi-alignps"),
}
CONVERTED |= {
    "gfn-cuhk": lambda: gfn.convert(gfn_golden.hollow("gfn_convnext_base"), "gfn"),
    "gfn-prw": lambda: gfn.convert(hollow_gfn_prw(), "gfn"),
    "coat-cuhk": lambda: coat.convert(gfn_golden.hollow("coat"), "coat"),
    "coat-prw": lambda: coat.convert(gfn_golden.hollow("coat") | {coat.MEMORY: torch.zeros(()).expand(482, 256)}, "coat"),
}
SAME_FILE_FITS = {  # same training data and config; only the names differ
    "roi-alignps-cuhk": {"roi-alignps-hybrid-cuhk"},
    "roi-alignps-prw": {"roi-alignps-hybrid-prw"},
}


def converted_models() -> dict[str, Entry]:
    """The entries of the authors' models."""
    return {name: entry for name, entry in manifest.models().items() if isinstance(entry.source, Convert)}


@pytest.mark.slow
def test_every_name_fits_exactly_its_own_checkpoint() -> None:
    models = converted_models()
    assert set(models) == set(CONVERTED)
    configs = {name: convert()[0] for name, convert in CONVERTED.items()}
    for name, entry in models.items():
        assert isinstance(entry.source, Convert)
        assert entry.source.converter in CONVERTERS
        assert entry.architecture in ARCHITECTURES
        fitting = {other for other, config in configs.items() if not manifest.differences(entry, config)}
        twins = {name} | SAME_FILE_FITS.get(name, set()) | {plain for plain, other in SAME_FILE_FITS.items() if name in other}
        assert fitting == twins, name
    assert set(SOURCES.values()) <= {entry.architecture for entry in models.values()}


def test_the_bundled_models_match_the_manifest() -> None:
    bundled = {name: entry for name, entry in manifest.models().items() if isinstance(entry.source, Bundled)}
    assert list(bundled) == [DEFAULT, "small"]
    for entry in bundled.values():
        folder = bundled_folder(entry.source)
        assert manifest.differences(entry, read_config(folder)) == []
        files = {path.name for path in folder.iterdir()} - {"README.md"}
        assert files == {WEIGHTS_FILE, *entry.source.others}
        assert entry.metrics.published == ()
        assert entry.metrics.measured


def test_published_numbers_name_their_table() -> None:
    for entry in converted_models().values():
        assert entry.metrics.measured == ()
        assert entry.metrics.published
        assert all(re.match(r"Table [0-9IVX]+\b|README of [\w/]+@[0-9a-f]{7}\b", one.table) for one in entry.metrics.published)


PAPERS = {"2103.10148": "seqnet_cbgm.txt", "2109.00211": "alignps_roi_alignps.txt", "2312.07970": "hybrid_pretraining.txt"}


@pytest.mark.extra
def test_published_numbers_are_in_their_tables(shared: Path) -> None:
    for name, entry in manifest.models().items():
        for one in entry.metrics.published:
            if one.table.startswith("README"):  # of the authors' repository, at a commit
                continue
            lines = (shared / "papers" / next(file for key, file in PAPERS.items() if key in one.paper)).read_text().splitlines()
            number = re.match(r"Table ([0-9IVX]+)", one.table)
            assert number
            (caption,) = [i for i, line in enumerate(lines) if re.match(rf"table {number[1]}:", line, re.IGNORECASE)]
            near = "\n".join(lines[max(0, caption - 40) : caption + 40])
            for value in (one.map, one.top1):
                assert re.search(rf"(?<![\d.]){re.escape(str(value))}(?!\d)", near), (name, one, value)


def test_differences_by_hand() -> None:
    entry = manifest.models()["alignps-plus-prw"]
    config = {
        "architecture": "alignps",
        "min_score": 0.15,
        "trained_on": None,
        "backbone": {"style": "caffe", "deformable": [3, 4, 5], "width": 1.0},
        "channels": 256,
    }
    assert manifest.differences(entry, config) == ["trained_on is None, not 'PRW'"]
    config = {**config, "trained_on": "PRW"}
    assert manifest.differences(entry, config) == []
    wrong = {**config, "architecture": "seqnet", "backbone": {"style": "caffe", "deformable": []}}
    assert manifest.differences(entry, wrong) == ["architecture is 'seqnet', not 'alignps'", "backbone.deformable is [], not [3, 4, 5]"]
    assert manifest.differences(entry, {})[:2] == ["architecture is None, not 'alignps'", "min_score is None, not 0.15"]


def renamed_second(file: str) -> dict:
    """The Hub's source with another name of its second file."""
    config, weights = HUB_SOURCE["files"]
    return {**HUB_SOURCE, "files": [config, {**weights, "file": file}]}


@pytest.mark.parametrize("source", [HUB_SOURCE, BUNDLED_SOURCE, renamed_second("embedder/reid.onnx.data")])
def test_all_sources_of_weights_are_read(source: dict) -> None:
    assert manifest.parse(with_source(source), TOP)["seqnet-prw"].source.kind == source["kind"]


def test_an_empty_manifest_has_no_models() -> None:
    assert manifest.parse('{"version": 1, "models": {}}', TOP) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ('{"version": 2, "models": {}}', "version"),
        ('{"version": 1, "models": {}, "extra": 1}', "extra: Extra inputs"),
        (with_source({**HUB_SOURCE, "revision": "main"}), r"seqnet-prw\.source\.hub\.revision"),
        (with_source({**HUB_SOURCE, "files": HUB_SOURCE["files"][:1]}), "files must be config.json and the networks that it names"),
        (with_source(renamed_second("config.json")), "each once"),
        (with_source(renamed_second("model.pt")), "model.pt is neither config.json nor safetensors, ONNX or OpenVINO"),
        (with_source(renamed_second("../model.safetensors")), "inside the model's folder"),
        (with_source({**BUNDLED_SOURCE, "folder": "../elsewhere"}), "folder"),
        (with_source({"kind": "magic"}), "source"),
        (with_source(values()["models"]["seqnet-cuhk"]["source"]), "seqnet-prw: command must be"),
    ],
)
def test_a_malformed_manifest_names_the_mistake(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        manifest.parse(text, TOP)
    assert str(TOP) in str(error.value)


def test_the_wheel_contains_the_manifest() -> None:
    """The build puts the file where the package looks for it."""
    assert manifest.PATHS[0].relative_to(TOP.parent).as_posix() in (TOP.parent / "pyproject.toml").read_text()
