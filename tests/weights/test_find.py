"""Find models by name: in folders, the local store, the manifest and the Hub."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.convert import convert_named
from personsearch.errors import ConfigError, ModelNotFoundError, WeightsError
from personsearch.home import home
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import local, manifest, read_config, save_model, sha256
from personsearch.weights.find import find_model
from tests.helpers.fakes import RectangleModel
from tests.helpers.hub_server import Hub, serving
from tests.helpers.manifest_entries import BUNDLED_SOURCE, HUB_SOURCE, TOP, with_source
from tests.helpers.onnx_files import exported
from tests.helpers.seqnet_golden import hollow

TINY = {"backbone": {"name": "resnet18", "width": 0.25}, "short_side": 128, "long_side": 192, "proposals": {"after_nms": 20}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.delenv("PERSONSEARCH_HUB_ORG", raising=False)
        yield served


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The folder of a small SeqNet."""
    torch.manual_seed(0)
    config = SeqNetConfig(**TINY, name="tiny", trained_on="PRW")
    tensors = {name: tensor.numpy() for name, tensor in SeqNet(config).state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(tmp_path / "tiny", config.model_dump(mode="json"), tensors)
    return tmp_path / "tiny"


def use_source(monkeypatch: pytest.MonkeyPatch, source: dict) -> None:
    """Use a manifest with another source for seqnet-prw."""
    changed = manifest.parse(with_source(source), TOP)
    monkeypatch.setattr(manifest, "models", lambda: changed)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents(folder).items()}


def listed(name: str) -> dict:
    result = CliRunner().invoke(cli.app, ["models", "--json"])
    assert result.exit_code == 0, result.output
    (entry,) = [entry for entry in json.loads(result.stdout)["manifest"] if entry["name"] == name]
    return entry


def test_a_model_to_convert_says_in_two_lines_how_to_get_it(hub: Hub) -> None:
    with pytest.raises(ModelNotFoundError) as error:
        PersonSearcher.from_pretrained("roi-alignps-prw")
    assert str(error.value).splitlines()[1:] == [
        "download ROI-AlignPS of PRW in README's tables from https://github.com/daodaofr/AlignPS",
        "personsearch convert FILE --name roi-alignps-prw",
    ]
    assert hub.asked == []


def test_the_list_has_the_authors_numbers(hub: Hub) -> None:
    assert listed("gfn-prw")["published"] == [
        {"dataset": "PRW", "setting": "cosine times score", "map": 57.6, "top1": 89.5},
        {"dataset": "PRW", "setting": "cosine times score and GFN's scene score", "map": 58.3, "top1": 92.4},
    ]
    assert listed("nano")["published"] == []


def test_an_unknown_name_lists_the_known_names(hub: Hub) -> None:
    with pytest.raises(ModelNotFoundError, match=r"unknown model 'roi-alignps-pwr'.*\(none yet\).*roi-alignps-prw"):
        find_model("roi-alignps-pwr")
    assert hub.asked == []


def test_the_name_of_a_repository_suggests_its_hub_address(hub: Hub) -> None:
    with pytest.raises(ModelNotFoundError, match=r"For the Hugging Face Hub write 'hf:people/finder'"):
        find_model("people/finder")
    with pytest.raises(ModelNotFoundError, match=r"For the Hugging Face Hub write 'hf:org/name'"):
        find_model("deep/folder/name")
    assert hub.asked == []


def test_a_tilde_in_a_model_folder_is_the_users_home(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model("~/tiny") == find_model(Path("~/tiny")) == tiny


def test_a_folder_and_the_local_store_come_before_the_hub(hub: Hub, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HUB_ORG", "people")
    assert find_model(tiny) == tiny
    shutil.copytree(tiny, home() / "models" / "seqnet-prw")
    assert find_model("seqnet-prw") == home() / "models" / "seqnet-prw"
    assert listed("seqnet-prw")["folder"] == str(home() / "models" / "seqnet-prw")
    assert hub.asked == []


def test_a_model_hosted_by_the_organisation_is_fetched(hub: Hub, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HUB_ORG", "people")
    with pytest.raises(ModelNotFoundError, match=r"no repository people/seqnet-prw(.|\n)*personsearch convert FILE --name seqnet-prw"):
        find_model("seqnet-prw")
    entry = {"name": "seqnet-prw", "architecture": "seqnet", "source": "convert", "folder": None}
    assert listed("seqnet-prw").items() >= entry.items()
    commit = hub.commit("people/seqnet-prw", contents(tiny))
    searcher = PersonSearcher.from_pretrained("seqnet-prw", device="cpu")
    assert searcher.model.name == "tiny"
    assert searcher.folder is not None
    assert searcher.folder.name == commit
    assert listed("seqnet-prw")["folder"] == str(searcher.folder)


def test_a_model_that_the_manifest_has_on_the_hub_is_fetched(hub: Hub, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [{"file": name, "sha256": digest, "bytes": 1} for name, digest in digests(tiny).items()]
    commit = hub.commit("people/finder", contents(tiny))
    use_source(monkeypatch, {**HUB_SOURCE, "revision": commit, "files": files})
    entry = {"name": "seqnet-prw", "architecture": "seqnet", "source": "hub", "folder": None}
    assert listed("seqnet-prw").items() >= entry.items()
    assert digests(find_model("seqnet-prw")) == digests(tiny)
    assert listed("seqnet-prw")["folder"] == str(find_model("seqnet-prw"))
    use_source(monkeypatch, {**HUB_SOURCE, "revision": commit, "files": [files[0], {**files[1], "sha256": "0" * 64}]})
    with pytest.raises(WeightsError, match="not 000000000000 as recorded"):
        find_model("seqnet-prw")


def test_a_model_of_several_networks_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"config.json": b"{}", "a/net.onnx": b"a", "b/net.safetensors": b"b"}
    files = [{"file": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in content.items()]
    source = {**HUB_SOURCE, "revision": hub.commit("people/finder", content | {"a/other.onnx": b"not asked for"}), "files": files}
    use_source(monkeypatch, source)
    folder = find_model("seqnet-prw")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(content)
    (folder / "b/net.safetensors").unlink()
    assert listed("seqnet-prw")["folder"] is None  # part of a model is not a model


def test_a_model_inside_the_package_is_checked(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "PACKAGE", tmp_path)
    shutil.copytree(tiny, tmp_path / "data" / "small")
    use_source(monkeypatch, {**BUNDLED_SOURCE, "sha256": sha256(tiny / "model.safetensors")})
    assert find_model("seqnet-prw") == tmp_path / "data" / "small"
    assert listed("seqnet-prw")["folder"] == str(tmp_path / "data" / "small")
    use_source(monkeypatch, BUNDLED_SOURCE)
    with pytest.raises(WeightsError, match="the manifest says cccccccccccc; install personsearch again"):
        find_model("seqnet-prw")


def checkpoint(folder: Path) -> Path:
    """A SeqNet trained on PRW, of zeros, as its authors would have saved it."""
    folder.mkdir(exist_ok=True)
    torch.save({"model": hollow(), "epoch": 19}, folder / "epoch_19.pth")  # expanded zeros make a small file
    return folder / "epoch_19.pth"


@pytest.mark.slow
def test_a_converted_checkpoint_is_found_by_its_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["convert", str(checkpoint(tmp_path)), "--name", "seqnet-prw"])
    assert result.exit_code == 0, result.output
    folder = Path(json.loads(result.stdout)["folder"])
    assert find_model("seqnet-prw") == folder == home() / "models" / "seqnet-prw"
    assert read_config(folder)["name"] == "seqnet-prw"
    assert manifest.differences(manifest.models()["seqnet-prw"], read_config(folder)) == []
    assert list((home() / "unfinished").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seqnet-cuhk", "is not seqnet-cuhk: trained_on is 'PRW', not 'CUHK-SYSU'. Take the model of CUHK-SYSU in README"),
        ("nae-cuhk", "as nae: the checkpoint does not fit"),
        ("roi-alignps-prw", "as roi-alignps: the checkpoint does not fit"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        convert_named(checkpoint(tmp_path), name)
    assert local.local_models() == {}


def test_impossible_names_and_options_of_convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="unknown model 'seqnet'; the manifest has seqnet-cuhk"):
        convert_named(tmp_path / "x.pth", "seqnet")
    for more in ([], ["out"], ["--from", "seqnet"], ["out", "--name", "seqnet-prw"], ["--from", "seqnet", "--name", "seqnet-prw"]):
        result = CliRunner().invoke(cli.app, ["convert", "x.pth", *more])
        assert isinstance(result.exception, ConfigError)
    use_source(monkeypatch, BUNDLED_SOURCE)
    with pytest.raises(ConfigError, match="do not come from a checkpoint"):
        convert_named(tmp_path / "x.pth", "seqnet-prw")


def test_a_failed_conversion_keeps_the_older_model(tiny: Path) -> None:
    shutil.copytree(tiny, home() / "models" / "mine")

    def fill_the_disk() -> None:
        with local.new_model("mine") as folder:
            (folder / "config.json").write_text("{}")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_the_disk()
    assert digests(local.local_models()["mine"]) == digests(tiny)
    with local.new_model("mine") as folder:
        (folder / "config.json").write_text("{}")
    assert [path.name for path in local.local_models()["mine"].iterdir()] == ["config.json"]


def test_a_saved_model_is_the_same_and_has_a_card(tiny: Path, tmp_path: Path) -> None:
    searcher = PersonSearcher.from_pretrained(tiny, device="cpu")
    saved = searcher.save_pretrained(tmp_path / "saved")
    assert digests(saved) == digests(tiny)
    assert PersonSearcher.from_pretrained(saved, device="cpu").model.fingerprint == searcher.model.fingerprint
    card = (saved / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: personsearch\n")
    for line in ("# tiny", "* Architecture: seqnet", "* Training data: PRW", "## Use with care"):
        assert line in card.splitlines()
    assert "license" not in card  # its terms are not known
    (saved / "README.md").write_text("my own words")
    searcher.save_pretrained(saved)
    PersonSearcher.from_pretrained(saved, device="cpu").save_pretrained(saved)
    assert (saved / "README.md").read_text() == "my own words"


def test_the_card_of_a_named_model_separates_its_numbers(tiny: Path, tmp_path: Path) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "name": "seqnet-cuhk"}))
    card = (PersonSearcher.from_pretrained(tiny, device="cpu").save_pretrained(tmp_path / "saved") / "README.md").read_text()
    published, measured = card.split("## Published, percent")[1].split("## Measured with these files, percent")
    assert "| CUHK-SYSU | cosine times score | 93.8 | 94.6 | Table 6, NAE+SeqNet of Li and Miao" in published
    assert measured.strip().startswith("None yet.")
    assert "* Weights: not stated by the authors" in card


def test_a_model_object_has_no_files_to_save(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="passed as an object and has no files"):
        PersonSearcher(RectangleModel()).save_pretrained(tmp_path)


def test_a_model_of_one_file_says_so_when_saved(tmp_path: Path) -> None:
    """It said that the model was passed as an object, and to open it with from_pretrained, which had opened it."""
    searcher = PersonSearcher.from_pretrained(exported(tmp_path / "scene.onnx"))
    for save in (lambda: searcher.save_pretrained(tmp_path / "saved"), lambda: searcher.push_to_hub("org/name")):
        with pytest.raises(ConfigError, match=r"scene\.onnx is one file, which from_pretrained opens: copy it"):
            save()
    assert not (tmp_path / "saved").exists()


@pytest.mark.slow
def test_a_pushed_model_comes_back_the_same(hub: Hub, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the client's plain way for large files; the Xet way needs a storage service that is not ours to imitate."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # the client reads the variable when imported
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    (tiny / "notes.pth").write_bytes(b"not for others")
    searcher = PersonSearcher.from_pretrained(tiny, device="cpu")
    address = searcher.push_to_hub("people/mine")
    assert [one["visibility"] for one in hub.created] == ["private"]
    (files,) = hub.commits.values()
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    again = PersonSearcher.from_pretrained(address, device="cpu")
    assert again.model.fingerprint == searcher.model.fingerprint
    scene = np.random.default_rng(0).integers(0, 255, (100, 150, 3), np.uint8)
    box = [[20, 10, 70, 95]]
    np.testing.assert_array_equal(again.embed(scene, box), searcher.embed(scene, box))


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "x\0y"])
def test_a_name_that_cannot_be_a_file_is_an_unknown_model(name: str) -> None:
    """It was an OSError: file name too long."""
    with pytest.raises(ModelNotFoundError, match="unknown model") as raised:
        find_model(name)
    assert len(str(raised.value)) < 1500
