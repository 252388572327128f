from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from personsearch.convert import convert_checkpoint
from personsearch.convert.alignps import MEMORY, convert
from personsearch.errors import WeightsError
from personsearch.models import open_folder
from personsearch.models.parts.deform import DeformConv
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors
from tests.helpers.alignps_golden import SOURCES, converted, shapes

ALIGNPS_LEFTOVERS = {  # starts of the authors' names that inference does not need, and how many tensors they have
    "bbox_head.labeled_matching_layer.": 1,
    "bbox_head.unlabeled_matching_layer.": 2,
    "bbox_head.scales.": 4,  # of P4 to P7
    "neck.fpn_convs.": 10,
}
ROI_LEFTOVERS = {
    "rpn_head.": 6,
    "mi_estimator.": 4,
    "loss_oim.": 2,
    "labeled_matching_layer.": 1,
    "unlabeled_matching_layer.": 2,
    "roi_head.bbox_head.loss_oim.": 2,
    "roi_head.bbox_head.fc_cls.": 2,
}


def empty(name: str, *, identities: int = 483) -> dict[str, Tensor]:
    """A checkpoint without storage, by the authors' names, as after training on this number of identities."""
    with torch.device("meta"):
        tensors = {key: torch.empty(shape) for key, shape in shapes(name).items()}
        return tensors | {MEMORY: torch.empty(identities, 256)}


@pytest.mark.parametrize(
    ("name", "identities", "expected"),
    [
        ("alignps", 5532, ("alignps-cuhk-sysu", "CUHK-SYSU", 0.2)),
        ("alignps", 483, ("alignps-prw", "PRW", 0.15)),
        ("alignps_plus", 5532, ("alignps-plus-cuhk-sysu", "CUHK-SYSU", 0.2)),
        ("roi_alignps", 483, ("roi-alignps-prw", "PRW", 0.15)),
        ("roi_alignps", 5474, ("roi-alignps", None, 0.2)),  # another data set
    ],
)
def test_network_and_data_set_are_recognised(name, identities, expected) -> None:
    config, _ = convert(empty(name, identities=identities), SOURCES[name])
    assert (config["name"], config["trained_on"], config["min_score"]) == expected
    assert config["architecture"] == SOURCES[name]
    assert config["backbone"]["style"] == "caffe"
    assert config["backbone"]["deformable"] == ([3, 4, 5] if name == "alignps_plus" else [])


def test_a_checkpoint_without_its_memory_is_converted() -> None:
    tensors = empty("alignps")
    del tensors[MEMORY]
    config, _ = convert(tensors, "alignps")
    assert (config["trained_on"], config["min_score"]) == (None, 0.2)


@pytest.mark.parametrize(("name", "leftovers"), [("alignps", ALIGNPS_LEFTOVERS), ("roi_alignps", ALIGNPS_LEFTOVERS | ROI_LEFTOVERS)])
def test_only_tensors_for_training_are_dropped(name, leftovers) -> None:
    tensors = {key: tensor for key, tensor in empty(name).items() if not key.endswith("num_batches_tracked")}
    _, ours = convert(tensors, SOURCES[name])
    converted = {id(tensor) for tensor in ours.values()}
    dropped = [key for key, tensor in tensors.items() if id(tensor) not in converted]
    assert {start: sum(key.startswith(start) for key in dropped) for start in leftovers} == leftovers
    assert len(dropped) == sum(leftovers.values())
    without = {key: tensor for key, tensor in tensors.items() if key not in dropped}
    assert convert(without, SOURCES[name])[1].keys() == ours.keys()


def test_values_arrive_under_our_names() -> None:
    tensors = empty("roi_alignps")
    _, ours = convert(tensors, "roi-alignps")
    for theirs, name in {
        "backbone.layer3.5.bn2.running_var": "backbone.layer3.5.bn2.running_var",
        "neck.lateral_convs.1.conv_offset.bias": "neck.lateral.c4.conv_offset.bias",
        "neck.fpn_convs.0.weight": "neck.output.p3.weight",
        "bbox_head.cls_convs.3.conv.conv_offset.weight": "head.class_tower.3.0.conv_offset.weight",
        "bbox_head.reg_convs.0.gn.bias": "head.box_tower.0.1.bias",
        "bbox_head.conv_centerness.weight": "head.centerness_logits.weight",
        "bbox_head.scales.0.scale": "head.scales.0",
        "roi_head.shared_head.layer4.0.downsample.0.weight": "roi.res5.layer4.0.downsample.0.weight",
        "roi_head.bbox_head.embedding_head.projectors.1.0.weight": "roi.embedding.projectors.1.0.weight",
        "roi_head.bbox_head.fc_reg.0.bias": "roi.boxes.0.bias",
    }.items():
        assert ours[name] is tensors[theirs]


def test_a_damaged_or_foreign_checkpoint_is_an_error() -> None:
    missing = empty("alignps")
    del missing["neck.lateral_convs.2.weight"]
    with pytest.raises(WeightsError, match=r"1 missing \(neck\.lateral\.c5\.weight\)"):
        convert(missing, "alignps")
    with pytest.raises(WeightsError, match=r"1 unexpected \(bbox_head\.conv_reid\.weight\)"):
        convert(empty("alignps") | {"bbox_head.conv_reid.weight": torch.zeros(1)}, "alignps")
    with pytest.raises(WeightsError, match=r"head\.class_logits\.bias \(2,\), not \(1,\)"):
        convert(empty("alignps") | {"bbox_head.conv_cls.bias": torch.zeros(2)}, "alignps")
    with pytest.raises(WeightsError, match=r"unexpected \(roi\."):
        convert(empty("roi_alignps"), "alignps")
    with pytest.raises(WeightsError, match=r"missing \(roi\."):
        convert(empty("alignps"), "roi-alignps")
    with pytest.raises(WeightsError, match="unexpected"):
        convert({"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)} | {"roi_heads.x": torch.zeros(1)}, "alignps")


def test_a_foreign_checkpoint_writes_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError):
        convert_checkpoint(tmp_path / "other.pth", tmp_path / "out", source="alignps")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_converted_folder_opens_with_its_threshold_and_fingerprint() -> None:
    folder = converted("alignps")
    opened: Any = open_folder(folder, "cpu")
    assert (opened.name, opened.min_score, opened.embedding_dim) == ("alignps-prw", 0.15, 256)
    assert len(opened.fingerprint) == 64
    assert not any(isinstance(module, DeformConv) for module in opened.network.modules())  # all in the form for a CPU
    assert read_config(folder)["trained_on"] == "PRW"
    assert read_tensors(folder / WEIGHTS_FILE)["head.scales.0"].shape == ()
