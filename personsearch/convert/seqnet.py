"""Checkpoints of serend1p1ty/SeqNet, and others with the same layout."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from personsearch.convert.names import model_name, trained_on, translate
from personsearch.models.folder import check_names
from personsearch.models.seqnet import SeqNet, SeqNetConfig

RENAMED = {
    r"roi_heads\.box_head\.": "first.res5.",
    r"roi_heads\.faster_rcnn_predictor\.cls_score\.": "first.classes.",
    r"roi_heads\.faster_rcnn_predictor\.bbox_pred\.": "first.boxes.",
    r"roi_heads\.reid_head\.": "second.res5.",
    r"roi_heads\.box_predictor\.bbox_pred\.": "second.boxes.",
    r"roi_heads\.embedding_head\.projectors\.feat_res4\.": "second.embedding.projectors.0.",
    r"roi_heads\.embedding_head\.projectors\.feat_res5\.": "second.embedding.projectors.1.",
    r"roi_heads\.embedding_head\.rescaler\.": "second.embedding.rescaler.",
}


def convert(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors, under our names, of an author's checkpoint.

    Args:
        tensors: Tensors by the authors' names.
        source: Layout: "seqnet".

    Raises:
        WeightsError: a name or a shape does not fit that network; only tensors for training are dropped.
    """
    dataset = trained_on(tensors)
    config = SeqNetConfig(name=model_name(source, dataset), trained_on=dataset)
    with torch.device("meta"):
        network = SeqNet(config)
    ours = translate(tensors, RENAMED)
    check_names(network, ours, source="the checkpoint")
    return config.model_dump(mode="json"), ours
