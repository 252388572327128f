"""Checkpoints of dichen-cd/NAE4PS: NAE and NAE+."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from personsearch.convert.names import model_name, trained_on, translate
from personsearch.models.folder import check_names
from personsearch.models.rcnn import RCNN, RCNNConfig

RENAMED = {
    r"roi_heads\.box_head\.": "head.res5.",
    r"roi_heads\.box_predictor\.bbox_pred\.": "head.boxes.",
    r"roi_heads\.embedding_head\.projectors\.feat_res4\.": "head.embedding.projectors.0.",
    r"roi_heads\.embedding_head\.projectors\.feat_res5\.": "head.embedding.projectors.1.",
    r"roi_heads\.embedding_head\.rescaler\.": "head.embedding.rescaler.",
}
UNUSED = (
    "roi_heads.box_predictor.cls_score.weight",
    "roi_heads.box_predictor.cls_score.bias",
)  # the authors' code does not use them either
PROJECTOR = "roi_heads.embedding_head.projectors.feat_res5.0.weight"


def convert(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors, under our names, of an author's checkpoint.

    The projectors tell NAE+: they are convolutions.

    Args:
        tensors: Tensors by the authors' names.
        source: Layout: "nae" (NAE and NAE+).

    Raises:
        WeightsError: a name or a shape does not fit that network; only tensors for training are dropped.
    """
    pixelwise = PROJECTOR in tensors and tensors[PROJECTOR].dim() == 4
    dataset = trained_on(tensors)
    name = model_name(f"{source}-plus" if pixelwise else source, dataset)
    config = RCNNConfig(name=name, trained_on=dataset, pixelwise=pixelwise)
    with torch.device("meta"):
        network = RCNN(config)
    ours = translate({name: tensor for name, tensor in tensors.items() if name not in UNUSED}, RENAMED)
    check_names(network, ours, source="the checkpoint")
    return config.model_dump(mode="json"), ours
