"""Checkpoints of LukeJaffe/GFN: SeqNeXt with ResNet-50 or ConvNeXt-Base, with the gallery filter or without."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from personsearch.convert.aliases import without_aliases
from personsearch.convert.names import MEMORY, model_name, translate
from personsearch.models.config import BackboneConfig, BackboneName
from personsearch.models.folder import check_names
from personsearch.models.gfn import GalleryFilterConfig
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig

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
