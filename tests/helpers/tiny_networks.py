"""A tiny network of every architecture for whole scenes, with fixed weights."""

from typing import Any

import torch

from personsearch.models.alignps import AlignPS, AlignPSConfig
from personsearch.models.coat import COAT, COATConfig
from personsearch.models.config import BackboneConfig, SceneConfig
from personsearch.models.dkd import DKD, DKDConfig
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.models.scene import SceneNetwork
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from personsearch.models.trident import Trident, TridentConfig
from personsearch.training.initialise import spread_offsets

SMALL = {"short_side": 288, "long_side": 480}
BACKBONE = BackboneConfig(name="resnet18", width=0.25)
CONVNEXT = BackboneConfig(name="convnext-tiny", width=0.125)
REGIONS: dict[str, Any] = {"backbone": BACKBONE, "embedding_dim": 16, "keep_score": 0.0, "short_side": 96, "long_side": 160}
# Without group norm in the backbone, that of the towers divides by next to nothing: rounding then moves scores by 1e-3
GROUPS = BACKBONE.model_copy(update={"norm": "group"})
DENSE: dict[str, Any] = {"backbone": GROUPS, "channels": 32, "short_side": 96, "long_side": 160, "max_people": 12, "min_class_score": 0.0}
FPN = {"backbone": BACKBONE, "channels": 16, "lateral_deform": False, "output_deform": False, "aggregation": "sum"}
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "oim": (RCNN, RCNNConfig, REGIONS | {"architecture": "oim"}),
    "nae+": (RCNN, RCNNConfig, REGIONS | {"pixelwise": True}),
    "seqnet": (SeqNet, SeqNetConfig, REGIONS | SMALL),  # large enough that black has cells of one value
    "seqnext": (SeqNeXt, SeqNeXtConfig, REGIONS | {"backbone": CONVNEXT, "gallery_filter": {"pool": 8}}),
    "coat": (COAT, COATConfig, REGIONS),
    "trident": (Trident, TridentConfig, REGIONS),
    "dkd": (DKD, DKDConfig, REGIONS),
    "alignps": (AlignPS, AlignPSConfig, DENSE),
    "alignps of three levels": (AlignPS, AlignPSConfig, DENSE | FPN | {"levels": (3, 4, 5)}),
    "roi-alignps": (ROIAlignPS, ROIAlignPSConfig, DENSE),
    "roi-alignps, its first branch": (ROIAlignPS, ROIAlignPSConfig, DENSE | {"branch": "alignps"}),
    "roi-alignps, its second branch": (ROIAlignPS, ROIAlignPSConfig, DENSE | {"branch": "roi"}),
}


def build(name: str, **changes: Any) -> tuple[SceneNetwork, SceneConfig]:
    """A tiny network with fixed weights; dense heads would start with one score and no offsets, so they get larger weights."""
    kind, schema, values = CASES[name]
    config = schema(**values | changes)
    torch.manual_seed(0)
    network = kind(config).eval()
    if isinstance(network, AlignPS):
        spread_offsets(network)
        with torch.no_grad():
            network.head.class_logits.weight.mul_(10)
    return network, config
