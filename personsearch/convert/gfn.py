"""Checkpoints of LukeJaffe/GFN: SeqNeXt with ResNet-50 or ConvNeXt-Base, with the gallery filter or without."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from personsearch.convert.aliases import without_aliases
from personsearch.convert.names import MEMORY, model_name, translate
from personsearch.errors import WeightsError, excerpt
from personsearch.models.config import BackboneConfig, BackboneName
from personsearch.models.folder import check_names
from personsearch.models.gfn import GalleryFilterConfig
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from personsearch.options import parse

# The authors' `box_head` is the second head; in SeqNet and COAT it is the first
ALIASES = (
    ("roi_heads.gfn.", "gfn."),
    ("gfn.query_reid_head.", "roi_heads.reid_head."),
    ("gfn.query_emb_head.", "roi_heads.embedding_head."),
    ("gfn.reid_loss.", "roi_heads.reid_loss."),
    ("roi_heads.box_head.", "roi_heads.reid_head."),
)
RENAMED = {
    r"backbone\.body\.(\d)": r"backbone.features.\1",
    r"backbone\.body\.": "backbone.",
    r"roi_heads\.prop_head\.head\.": "first.res5.layer4.",
    r"roi_heads\.faster_rcnn_predictor\.cls_score\.": "first.classes.",
    r"roi_heads\.faster_rcnn_predictor\.bbox_pred\.": "first.boxes.",
    r"roi_heads\.reid_head\.head\.": "second.res5.layer4.",
    r"roi_heads\.score_predictor\.cls_score\.": "second.classes.",
    r"roi_heads\.score_predictor\.bbox_pred\.": "second.boxes.",
    r"roi_heads\.embedding_head\.projectors\.feat_res4\.": "second.embedding.projectors.0.",
    r"roi_heads\.embedding_head\.projectors\.feat_res5\.": "second.embedding.projectors.1.",
    r"gfn\.head\.image_reid_head\.head\.": "scenes.res5.layer4.",
    r"gfn\.head\.image_emb_head\.projectors\.feat_res4\.": "scenes.embedding.projectors.0.",
    r"gfn\.head\.image_emb_head\.projectors\.feat_res5\.": "scenes.embedding.projectors.1.",
    r"gfn\.fuser\.norm\.norm\.": "scenes.norm.",
}
RESNET = "backbone.body.conv1.weight"
FILTER = re.compile(r"gfn\.")
# What the authors' config can say that the network here always does, and the fields of ours that it sets
ALWAYS = {
    "box_head_mode": "rcnn",
    "det_score": "scs",
    "cws_score": "scs",
    "emb_norm_type": "batchnorm",
    "gfn_mode": "combined",
    "gfn_activation_mode": "se",
}
FIELDS = {"gfn_se_temp": "temperature", "gfn_scene_pool_size": "pool"}
DATASETS = {5532: "CUHK-SYSU", 482: "PRW", 483: "PRW"}  # identities; which of the two PRW's file has is not known


def convert(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors, under our names, of an authors' checkpoint.

    The backbone and the gallery filter are known by their keys.

    Args:
        tensors: by the authors' names.
        source: "gfn".

    Raises:
        WeightsError: a name or a shape is not of that network, or a tensor that the file holds twice differs; training's leftovers alone
            are left out.
    """
    once = without_aliases(tensors, ALIASES)
    dataset = DATASETS.get(len(once[MEMORY])) if MEMORY in once else None
    backbone: BackboneName = "resnet50" if RESNET in once else "convnext-base"
    filters = GalleryFilterConfig() if any(map(FILTER.match, once)) else None
    name = model_name("gfn" if filters else "seqnext", dataset)
    config = SeqNeXtConfig(
        name=name if backbone == "convnext-base" else f"{name}-resnet50",
        trained_on=dataset,
        backbone=BackboneConfig(name=backbone, norm="frozen"),
        gallery_filter=filters,
    )
    with torch.device("meta"):
        network = SeqNeXt(config)
    ours = translate(once, RENAMED)
    check_names(network, ours, source="the checkpoint")
    return config.model_dump(mode="json"), ours


def with_own_config(config: dict[str, Any], own: Mapping[Any, Any]) -> dict[str, Any]:
    """The config with what the checkpoint's own says: width of an embedding, temperature and pool of the gallery filter.

    Args:
        config: What `convert` gave.
        own: The authors' config; what it leaves out has the default of their code.

    Raises:
        WeightsError: it asks for arithmetic that the network does not have, or for another width than its tensors.
    """
    filters = config["gallery_filter"]
    always = {key: value for key, value in ALWAYS.items() if filters is not None or not key.startswith("gfn_")}
    expected = always | {"emb_dim": config["embedding_dim"]}
    others = [f"{key} is {excerpt(own[key], 40)}, not {value!r}" for key, value in expected.items() if own.get(key, value) != value]
    if others:
        raise WeightsError(f"its config asks for another network: {'; '.join(others)}")
    if filters is None:
        return config
    changes = {field: own[key] for key, field in FIELDS.items() if key in own}
    ours = parse(GalleryFilterConfig, filters | changes, "its config", error=WeightsError)
    return config | {"gallery_filter": ours.model_dump(mode="json")}
