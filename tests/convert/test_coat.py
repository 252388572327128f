"""Checkpoints of COAT: every tensor has a place, copies are checked and dropped, other files are refused."""

import re

import pytest
import torch

from personsearch.convert import coat, seqnet
from personsearch.convert.aliases import without_aliases
from personsearch.errors import WeightsError
from personsearch.models.coat import COAT, COATConfig
from tests.helpers.gfn_golden import hollow, shapes
from tests.helpers.seqnet_golden import hollow as hollow_seqnet


def test_every_tensor_of_coat_has_a_place() -> None:
    config, tensors = coat.convert(hollow("coat"), "coat")
    with torch.device("meta"):
        names = {name for name in COAT(COATConfig()).state_dict() if not name.endswith("num_batches_tracked")}
    assert tensors.keys() == names
    assert (config["name"], config["trained_on"], config["embedding_dim"]) == ("coat-cuhk-sysu", "CUHK-SYSU", 512)
    for regressor in ("first.boxes.weight", "later.second.boxes.0.weight", "later.third.boxes.0.weight"):
        assert tensors[regressor].shape == (4, 2048)


def test_copies_are_counted_as_the_facts_say() -> None:
    assert len(shapes("coat")) == 639
    assert len(without_aliases(hollow("coat"), coat.ALIASES)) == 639 - 180


@pytest.mark.parametrize(
    "copy",
    [
        "roi_heads.box_head_1st.conv1.weight",
        "roi_heads.box_predictor_2nd.bbox_pred.0.bias",
        "roi_heads.box_head_3rd.transformer_encoder.blocks.scale2.0.transformer.0.norm1.weight",
    ],
)
def test_a_copy_that_differs_is_refused(copy) -> None:
    tensors = hollow("coat")
    tensors[copy] = tensors[copy] + 1e-7
    with pytest.raises(WeightsError, match=rf"differ from the ones they repeat: {re.escape(copy)} is not"):
        coat.convert(tensors, "coat")


def test_the_name_before_torchvision_0_14_is_known() -> None:
    tensors = {key.replace("rpn.head.conv.", "rpn.head.conv.0.0."): value for key, value in hollow("coat").items()}
    assert "rpn.head.conv.0.0.weight" in tensors
    assert coat.convert(tensors, "coat")[1].keys() == coat.convert(hollow("coat"), "coat")[1].keys()


def test_the_first_heads_unused_convolution_is_left_out_and_the_others_are_not() -> None:
    tensors = hollow("coat")
    without_first = {key: value for key, value in tensors.items() if not re.match(r"roi_heads\.box_head(_1st)?\.conv0\.", key)}
    assert len(without_first) == len(tensors) - 2
    assert coat.convert(without_first, "coat")[1].keys() == coat.convert(tensors, "coat")[1].keys()
    without_second = {key: value for key, value in tensors.items() if not key.startswith("roi_heads.box_head_2nd.conv0.")}
    with pytest.raises(WeightsError, match=r"1 missing \(later\.second\.head\.skip\.weight\)"):
        coat.convert(without_second, "coat")


def test_prw_is_known_by_its_identities() -> None:
    tensors = hollow("coat") | {"roi_heads.reid_loss_2nd.lut": torch.zeros(()).expand(482, 256)}
    assert coat.convert(tensors, "coat")[0]["name"] == "coat-prw"


def test_seqnet_is_not_coat_nor_coat_seqnet() -> None:
    with pytest.raises(WeightsError, match=r"missing .*unexpected"):
        coat.convert(hollow_seqnet(), "coat")
    with pytest.raises(WeightsError, match=r"missing .*unexpected"):
        seqnet.convert(hollow("coat"), "seqnet")
