"""Checkpoints of GFN: every tensor has a place, copies are checked and dropped, other files are refused."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from personsearch.convert import checkpoint, gfn, seqnet
from personsearch.convert.aliases import without_aliases
from personsearch.errors import WeightsError
from personsearch.models.config import BackboneConfig
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from tests.helpers.gfn_golden import BACKBONES, hollow, shapes
from tests.helpers.seqnet_golden import hollow as hollow_seqnet


def names(network: torch.nn.Module) -> set[str]:
    return {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}


def without_filter(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if "gfn." not in name}


@pytest.mark.parametrize("family", BACKBONES)
def test_every_tensor_of_gfn_has_a_place(family) -> None:
    config, tensors = gfn.convert(hollow(family), "gfn")
    with torch.device("meta"):
        network = SeqNeXt(SeqNeXtConfig(backbone=BackboneConfig(name=BACKBONES[family], norm="frozen")))
    assert tensors.keys() == names(network)
    assert config["name"] == {"gfn_convnext_base": "gfn-cuhk-sysu", "gfn_resnet50": "gfn-prw-resnet50"}[family]
    assert config["backbone"]["name"] == BACKBONES[family]
    assert tensors["first.boxes.weight"].shape[0] == tensors["second.boxes.weight"].shape[0] == 4


def test_the_released_numbers() -> None:
    config = gfn.convert(hollow("gfn_convnext_base"), "gfn")[0]
    numbers = {"keep_score": 0.5, "min_score": 0.5, "max_people": 300, "first_nms_iou": 0.4, "nms_iou": 0.5, "first_score": False}
    assert {name: config[name] for name in numbers} == numbers
    assert (config["short_side"], config["long_side"], config["embedding_dim"]) == (900, 1500, 2048)
    assert config["gallery_filter"] == {"pool": 56, "temperature": 0.2}


def test_a_checkpoint_without_the_filter_is_seqnext() -> None:
    config, tensors = gfn.convert(without_filter(hollow("gfn_convnext_base")), "gfn")
    assert (config["gallery_filter"], config["name"]) == (None, "seqnext-cuhk-sysu")
    assert not [name for name in tensors if name.startswith("scenes.")]


def test_copies_are_counted_as_the_facts_say() -> None:
    """175 and 251 of the authors' keys repeat another."""
    for family, keys, copies in (("gfn_convnext_base", 626, 175), ("gfn_resnet50", 665, 251)):
        assert len(shapes(family)) == keys
        assert len(without_aliases(hollow(family), gfn.ALIASES)) == keys - copies


@pytest.mark.parametrize(
    "copy",
    ["roi_heads.box_head.head.1.0.block.3.bias", "gfn.query_emb_head.projectors.feat_res5.0.bias", "roi_heads.gfn.fuser.norm.norm.bias"],
)
def test_a_copy_that_differs_is_refused(copy) -> None:
    tensors = hollow("gfn_convnext_base")
    tensors[copy] = tensors[copy] + 1e-7
    with pytest.raises(WeightsError, match=rf"1 tensors differ from the ones they repeat: {re.escape(copy)} is not"):
        gfn.convert(tensors, "gfn")


def test_a_file_with_one_name_only_for_a_tensor_is_read() -> None:
    tensors = hollow("gfn_convnext_base")
    kept = {
        name: tensor for name, tensor in tensors.items() if not name.startswith(("roi_heads.gfn.", "gfn.query_", "roi_heads.reid_head."))
    }
    assert gfn.convert(kept, "gfn")[1].keys() == gfn.convert(tensors, "gfn")[1].keys()


def test_prw_is_known_by_its_identities() -> None:
    for rows, name in ((482, "PRW"), (483, "PRW"), (5532, "CUHK-SYSU"), (77, None)):
        tensors = without_filter(hollow("gfn_convnext_base")) | {"roi_heads.reid_loss.lut": torch.zeros(()).expand(rows, 2048)}
        assert gfn.convert(tensors, "gfn")[0]["trained_on"] == name


def test_seqnet_is_not_gfn_nor_gfn_seqnet() -> None:
    with pytest.raises(WeightsError, match=r"missing .*unexpected"):
        gfn.convert(hollow_seqnet(), "gfn")
    with pytest.raises(WeightsError, match=r"missing .*unexpected"):
        seqnet.convert(hollow("gfn_resnet50"), "seqnet")


def test_the_files_own_config_decides(tmp_path: Path) -> None:
    own = {"gfn_se_temp": 0.5, "gfn_scene_pool_size": 28, "gfn_mode": "combined", "emb_dim": 2048, "dataset": "cuhk", "lr": 1e-4}
    torch.save({"model": hollow("gfn_convnext_base"), "epoch": 30, "config": own}, tmp_path / "final.pt")
    config, tensors = checkpoint._converted(tmp_path / "final.pt", "gfn")
    assert config["gallery_filter"] == {"pool": 28, "temperature": 0.5}
    assert config["name"] == "gfn-cuhk-sysu"
    assert "scenes.norm.weight" in tensors


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"gfn_mode": "image"}, "gfn_mode is 'image', not 'combined'"),
        ({"emb_dim": 512}, "emb_dim is 512, not 2048"),
        ({"det_score": "fcs", "box_head_mode": "nae"}, "box_head_mode is 'nae', not 'rcnn'; det_score is 'fcs', not 'scs'"),
        ({"gfn_se_temp": 0}, "temperature"),
        ({"gfn_scene_pool_size": 1}, "pool"),
    ],
)
def test_a_config_of_another_network_is_refused(own: dict, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        gfn.with_own_config(SeqNeXtConfig().model_dump(mode="json"), own)


def test_a_config_of_gfn_says_nothing_of_a_network_without_it() -> None:
    config = SeqNeXtConfig(gallery_filter=None).model_dump(mode="json")
    assert gfn.with_own_config(config, {"gfn_mode": "image", "gfn_se_temp": 0}) == config
