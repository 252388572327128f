import json
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from personsearch.convert import CONVERTERS, convert_checkpoint, nae, read_checkpoint, seqnet
from personsearch.errors import ConfigError, WeightsError
from personsearch.models.config import BackboneConfig
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from tests.helpers.seqnet_golden import DATA, converted, hollow, hollow_nae


def saved(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "checkpoint.pth"
    torch.save(content, file)
    return file


def names(network: torch.nn.Module) -> set[str]:
    return {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}


def test_every_tensor_of_seqnet_is_converted() -> None:
    config, tensors = seqnet.convert(hollow(), "seqnet")
    with torch.device("meta"):
        assert tensors.keys() == names(SeqNet(SeqNetConfig()))
    assert config["name"] == "seqnet-prw"  # 482 identities
    assert config["trained_on"] == "PRW"
    assert tensors["first.boxes.weight"].shape == (4, 2048)


@pytest.mark.parametrize("pixelwise", [False, True])
def test_every_tensor_of_nae_is_converted(pixelwise) -> None:
    config, tensors = nae.convert(hollow_nae(pixelwise), "nae")
    with torch.device("meta"):
        assert tensors.keys() == names(RCNN(RCNNConfig(pixelwise=pixelwise)))
    assert config["pixelwise"] == pixelwise
    assert config["name"] == ("nae-plus-prw" if pixelwise else "nae-prw")


def test_the_released_numbers() -> None:
    """NAE's come from the authors' `get_norm_aware_model`; the default of its class would keep people from score 0."""
    both = {"keep_score": 0.5, "min_score": 0.5, "max_people": 300, "short_side": 900, "long_side": 1500}
    released = both | {"first_nms_iou": 0.4, "nms_iou": 0.5, "first_nms": True, "first_score": True}
    for config, expected in (
        (seqnet.convert(hollow(), "seqnet")[0], released),
        (nae.convert(hollow_nae(), "nae")[0], both | {"nms_iou": 0.4}),
    ):
        assert {name: config[name] for name in expected} == expected
        proposals = config["proposals"]
        assert (proposals["before_nms"], proposals["after_nms"], proposals["nms_iou"]) == (6000, 300, 0.7)


def test_a_checkpoint_of_another_data_set_keeps_its_weights() -> None:
    tensors = {key: value for key, value in hollow().items() if not key.startswith("roi_heads.reid_loss.")}
    config, without = seqnet.convert(tensors, "seqnet")
    assert config["trained_on"] is None
    assert len(without) == len(seqnet.convert(hollow(), "seqnet")[1])
    cuhk = hollow() | {"roi_heads.reid_loss.lut": torch.zeros(()).expand(5532, 256)}
    assert seqnet.convert(cuhk, "seqnet")[0]["name"] == "seqnet-cuhk-sysu"


def test_only_the_person_rows_of_the_regressor_remain() -> None:
    tensors = hollow() | {"roi_heads.faster_rcnn_predictor.bbox_pred.bias": torch.arange(8.0)}
    assert seqnet.convert(tensors, "seqnet")[1]["first.boxes.bias"].tolist() == [4, 5, 6, 7]


def test_the_name_before_torchvision_0_14_is_known() -> None:
    tensors = {key.replace("rpn.head.conv.0.0.", "rpn.head.conv."): value for key, value in hollow().items()}
    assert "rpn.head.conv.weight" in tensors
    assert seqnet.convert(tensors, "seqnet")[1].keys() == seqnet.convert(hollow(), "seqnet")[1].keys()


def test_missing_unexpected_and_misshapen_keys_are_named() -> None:
    tensors = hollow()
    del tensors["roi_heads.reid_head.layer4.0.conv1.weight"]
    tensors["roi_heads.mask_head.weight"] = torch.zeros(1)
    tensors["backbone.conv1.weight"] = torch.zeros(64, 3, 3, 3)
    with pytest.raises(WeightsError) as error:
        seqnet.convert(tensors, "seqnet")
    for part in (
        "1 missing (second.res5.layer4.0.conv1.weight)",
        "1 unexpected (roi_heads.mask_head.weight)",
        "(64, 3, 3, 3), not (64, 3, 7, 7)",
    ):
        assert part in str(error.value)


def test_a_file_of_another_network_writes_nothing(tmp_path) -> None:
    rows = [line.split("\t") for line in (DATA / "alignps_keys.txt").read_text().splitlines() if not line.startswith("#")]
    tensors = {key: torch.zeros(()).expand([] if size == "scalar" else [int(side) for side in size.split("x")]) for key, size, *_ in rows}
    file = saved(tmp_path, {"meta": {}, "state_dict": tensors})
    for source in ("seqnet", "nae"):
        with pytest.raises(WeightsError, match=rf"checkpoint.pth as {source}: .*missing.*unexpected \(.*bbox_head"):
            convert_checkpoint(file, tmp_path / "out", source=source)
    assert not (tmp_path / "out").exists()


def test_nae_and_seqnet_are_told_apart() -> None:
    with pytest.raises(WeightsError, match=r"missing \(first\."):
        seqnet.convert(hollow_nae(), "seqnet")
    with pytest.raises(WeightsError, match=r"unexpected .*roi_heads\.faster_rcnn_predictor"):
        nae.convert(hollow(), "nae")


@pytest.mark.slow
def test_a_converted_folder_holds_the_authors_numbers() -> None:
    config = json.loads((converted() / "config.json").read_text())
    assert SeqNetConfig(**config) == SeqNetConfig(name="seqnet-prw", trained_on="PRW")
    tensors = load_file(converted() / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert sum(tensor.numel() for tensor in tensors.values()) > 48_000_000


@pytest.mark.parametrize(
    "content", [{"model": {"a": torch.ones(2)}}, {"state_dict": {"module.a": torch.ones(2)}, "epoch": 1}, {"a": torch.ones(2)}]
)
def test_wrappers_are_removed(tmp_path, content) -> None:
    assert {key: value.tolist() for key, value in read_checkpoint(saved(tmp_path, content)).items()} == {"a": [1, 1]}


@pytest.mark.parametrize(
    ("content", "description"),
    [
        ({"model": {}}, "keys model"),
        ({"model": {0: torch.ones(1)}}, "keys model"),
        ({b"a": torch.ones(1)}, "keys b'a'"),
        ({"weights": 3}, "keys weights"),
        ([torch.ones(1)], "a list"),
        (torch.ones(1), "a Tensor"),
    ],
)
def test_the_error_describes_a_file_without_tensors(tmp_path, content, description) -> None:
    with pytest.raises(WeightsError, match=description):
        read_checkpoint(saved(tmp_path, content))


class Evil:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_not_run(tmp_path, legacy) -> None:
    file, witness = tmp_path / "evil.pth", tmp_path / "witness"
    torch.save({"model": {"a": torch.ones(1)}, "meta": Evil(witness)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"plain tensors \(it asks for \S+\); code in a checkpoint is never run\."):
        read_checkpoint(file)
    assert not witness.exists()


def test_a_bare_pickle_is_not_run(tmp_path) -> None:
    file, witness = tmp_path / "evil.pkl", tmp_path / "witness"
    file.write_bytes(pickle.dumps(Evil(witness), protocol=2))
    with pytest.raises(WeightsError):
        read_checkpoint(file)
    assert not witness.exists()


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1", b"<html>not found</html>", b"PK\x03\x04 cut short"]
)
def test_other_files_are_refused(tmp_path, content) -> None:
    file = tmp_path / "checkpoint.pth"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"checkpoint\.pth"):
        read_checkpoint(file)


def test_a_truncated_checkpoint_is_refused(tmp_path) -> None:
    file = saved(tmp_path, {"model": {"a": torch.rand(1000)}})
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(WeightsError, match="download it again"):
        read_checkpoint(file)


def test_a_missing_file_or_a_folder_is_refused(tmp_path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_checkpoint(path)


def test_a_checkpoint_written_by_python_2_is_read(tmp_path) -> None:
    """Its strings are byte strings; the test turns every text of the older file format into one."""
    file = tmp_path / "python2.pth"
    torch.save({"model": {"a.weight": torch.arange(3.0)}, "epoch": 3}, file, _use_new_zipfile_serialization=False)
    raw, written = file.read_bytes(), b""
    for _ in range(5):  # the pickles of the format: magic number, version, system, content, storages
        codes = [(code.name, argument, at) for code, argument, at in pickletools.genops(raw)]
        ends = [at for _, _, at in codes[1:]] + [codes[-1][2] + 1]
        for (name, argument, at), end in zip(codes, ends, strict=True):
            text = argument.encode() if name == "BINUNICODE" else None
            written += raw[at:end] if text is None else b"U" + bytes([len(text)]) + text
        raw = raw[ends[-1] :]
    file.write_bytes(written + raw)
    assert b"X\x08\x00\x00\x00a.weight" not in written
    assert read_checkpoint(file)["a.weight"].tolist() == [0, 1, 2]


def test_an_unknown_source_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match=", ".join(CONVERTERS)):
        convert_checkpoint(tmp_path / "x.pth", tmp_path / "out", source="yolo")


def test_names_do_not_show_the_position_of_the_stride() -> None:
    """So matching names are not enough; the golden numbers must be run."""
    with torch.device("meta"):
        assert names(SeqNet(SeqNetConfig(backbone=BackboneConfig(style="caffe")))) == names(SeqNet(SeqNetConfig()))


def test_numpy_values_in_a_checkpoint_are_named(tmp_path) -> None:
    file = saved(tmp_path, {"model": {"a": torch.ones(2)}, "best": np.float64(0.5)})
    with pytest.raises(WeightsError, match=r"it holds NumPy values \(numpy\S+\), .* keep its tensors alone: torch\.save"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", r"is a web page, .* download the file again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", r"is a Git LFS pointer.*git lfs pull"),
        (b"", "is empty; download it again"),
    ],
)
def test_pages_and_pointers_as_checkpoints_are_named(tmp_path, content, message) -> None:
    """public reports ConstantinSeibold/ChestXRayAnatomySegmentation#17 and pytorch#16203."""
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"a\.pth {message}"):
        read_checkpoint(tmp_path / "a.pth")
