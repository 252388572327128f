"""Checkpoints of daodaofr/AlignPS: AlignPS, AlignPS+ and ROI-AlignPS.

The hybrid pre-training paper's files for PoseTrack21 and others have the same layout. Source: daodaofr/AlignPS@5d62dbc.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from personsearch.models.alignps import AlignPS, AlignPSConfig
from personsearch.models.config import BackboneConfig
from personsearch.models.folder import check_names
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig

# Used in training only: other levels, proposals, the memories of the losses, and unused copies of them.
TRAINING_ONLY = re.compile(
    r"""neck\.fpn_convs\.[1-4]\. | bbox_head\.scales\.[1-4]\.scale$ | rpn_head\. | mi_estimator\.T_func\.
    | (roi_head\.bbox_head\.)?loss_oim\.(lut|cq)$ | roi_head\.bbox_head\.fc_cls\.
    | (bbox_head\.)?(labeled_matching_layer\.lookup_table|unlabeled_matching_layer\.(queue|tail))$
    | .*\.num_batches_tracked$""",
    re.VERBOSE,
)
RENAMED = {
    r"neck\.lateral_convs\.0\.": "neck.lateral.c3.",
    r"neck\.lateral_convs\.1\.": "neck.lateral.c4.",
    r"neck\.lateral_convs\.2\.": "neck.lateral.c5.",
    r"neck\.fpn_convs\.0\.": "neck.output.p3.",
    r"bbox_head\.cls_convs\.([0-3])\.conv\.": r"head.class_tower.\1.0.",
    r"bbox_head\.cls_convs\.([0-3])\.gn\.": r"head.class_tower.\1.1.",
    r"bbox_head\.reg_convs\.([0-3])\.conv\.": r"head.box_tower.\1.0.",
    r"bbox_head\.reg_convs\.([0-3])\.gn\.": r"head.box_tower.\1.1.",
    r"bbox_head\.conv_cls\.": "head.class_logits.",
    r"bbox_head\.conv_reg\.": "head.distances.",
    r"bbox_head\.conv_centerness\.": "head.centerness_logits.",
    r"bbox_head\.scales\.0\.scale$": "head.scales.0",
    r"roi_head\.shared_head\.": "roi.res5.",
    r"roi_head\.bbox_head\.embedding_head\.": "roi.embedding.",
    r"roi_head\.bbox_head\.fc_reg\.": "roi.boxes.",
}
MEMORY = "bbox_head.labeled_matching_layer.lookup_table"  # one row for each training identity
DATASETS = {5532: ("CUHK-SYSU", 0.2), 483: ("PRW", 0.15)}  # identities -> name, threshold of the released evaluation
OTHER_MIN_SCORE = 0.2
LEVELS: tuple[Literal[3, 4, 5], ...] = (3, 4, 5)  # levels whose stages may be deformable in AlignPS+


def convert(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors, under our names, of an author's checkpoint.

    The keys tell AlignPS+, the size of the identity memory tells the data set. Checkpoints of other data sets, or
    without a memory, get CUHK-SYSU's threshold and no `trained_on`.

    Args:
        tensors: Tensors by the authors' names.
        source: Layout: "alignps" (AlignPS and AlignPS+) or "roi-alignps".

    Raises:
        WeightsError: a name or a shape does not fit that network; only tensors for training are dropped.
    """
    config = _config(tensors, source)
    with torch.device("meta"):
        network = ROIAlignPS(config) if isinstance(config, ROIAlignPSConfig) else AlignPS(config)
    renamed = {_rename(name): tensor for name, tensor in tensors.items() if not TRAINING_ONLY.match(name)}
    check_names(network, renamed, source="the checkpoint")
    return config.model_dump(mode="json"), renamed


def _config(tensors: Mapping[str, Tensor], source: str) -> AlignPSConfig:
    deformable = tuple(level for level in LEVELS if f"backbone.layer{level - 1}.0.conv2.conv_offset.weight" in tensors)
    identities = len(tensors[MEMORY]) if MEMORY in tensors else 0
    trained_on, min_score = DATASETS.get(identities, (None, OTHER_MIN_SCORE))
    name = f"{source}{'-plus' if deformable else ''}{f'-{trained_on.lower()}' if trained_on else ''}"
    schema = ROIAlignPSConfig if source == "roi-alignps" else AlignPSConfig
    backbone = BackboneConfig(style="caffe", deformable=deformable)
    return schema(name=name, trained_on=trained_on, backbone=backbone, min_score=min_score)


def _rename(name: str) -> str:
    for pattern, ours in RENAMED.items():
        renamed, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return renamed
    return name
