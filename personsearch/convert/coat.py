"""Checkpoints of Kitware/COAT."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from personsearch.convert.aliases import without_aliases
from personsearch.convert.names import DATASETS, model_name, translate
from personsearch.models.coat import COAT, COATConfig
from personsearch.models.folder import check_names

ALIASES = (
    ("roi_heads.box_head_1st.", "roi_heads.box_head."),
    ("roi_heads.box_predictor_2nd.", "roi_heads.box_predictor."),
    (".transformer.0.", ".transblock."),
)
# What the authors' inference does not use: the first head's conv0 among it
UNUSED = re.compile(
    r"""roi_heads\.box_head\.conv0\. | roi_heads\.box_head(_2nd|_3rd)?\.transformer_encoder\.output_linear\.
    | roi_heads\.embedding_head_\w+\.rescaler\. | roi_heads\.reid_loss_\w+\.(lut|cq)$""",
    re.VERBOSE,
)
MEMORY = "roi_heads.reid_loss_2nd.lut"
STAGES = {
    r"roi_heads\.box_head\.": "first.head.",
    r"roi_heads\.box_head_2nd\.": "later.second.head.",
    r"roi_heads\.box_head_3rd\.": "later.third.head.",
    r"roi_heads\.box_predictor_1st\.cls_score\.": "first.classes.",
    r"roi_heads\.box_predictor_1st\.bbox_pred\.": "first.boxes.",
    r"roi_heads\.box_predictor\.bbox_pred\.": "later.second.boxes.",
    r"roi_heads\.box_predictor_3rd\.bbox_pred\.": "later.third.boxes.",
    r"roi_heads\.embedding_head_2nd\.projectors\.before_trans\.": "later.second.embedding.projectors.0.",
    r"roi_heads\.embedding_head_2nd\.projectors\.after_trans\.": "later.second.embedding.projectors.1.",
    r"roi_heads\.embedding_head_3rd\.projectors\.before_trans\.": "later.third.embedding.projectors.0.",
    r"roi_heads\.embedding_head_3rd\.projectors\.after_trans\.": "later.third.embedding.projectors.1.",
}
PARTS = {
    r"\.head\.conv0\.": ".head.skip.",
    r"\.head\.conv1\.": ".head.shrink.",
    r"\.head\.conv2\.": ".head.widen.",
    r"\.transformer_encoder\.blocks\.scale1\.0\.": ".scales.0.",
    r"\.transformer_encoder\.blocks\.scale2\.0\.": ".scales.1.",
    r"\.patch2vec\.": ".tokens.",
    r"\.vec2patch\.embedding\.": ".cells.",
    r"\.transblock\.": ".block.",
    r"\.ffn\.conv\.0\.": ".wide.0.",
    r"\.ffn\.conv\.3\.": ".wide.2.",
    r"\.attention\.(query|key|value)_embedding\.": r".attention.\1.",
    r"\.attention\.output_linear\.": ".attention.output.",
}


def convert(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors, under our names, of an authors' checkpoint.

    Args:
        tensors: by the authors' names.
        source: "coat".

    Raises:
        WeightsError: a name or a shape is not of that network, or a tensor that the file holds twice differs; what inference does not use
            is left out.
    """
    once = without_aliases(tensors, ALIASES)
    dataset = DATASETS.get(len(once[MEMORY])) if MEMORY in once else None
    config = COATConfig(name=model_name(source, dataset), trained_on=dataset)
    with torch.device("meta"):
        network = COAT(config)
    used = {name: tensor for name, tensor in once.items() if not UNUSED.match(name)}
    ours = {_part(name): tensor for name, tensor in translate(used, STAGES).items()}
    check_names(network, ours, source="the checkpoint")
    return config.model_dump(mode="json"), ours


def _part(name: str) -> str:
    for pattern, part in PARTS.items():
        name = re.sub(pattern, part, name)
    return name
