"""Fill a GFN (SeqNeXt) or COAT state dict with values that depend only on each key and shape, to compare networks without a checkpoint.

The base rule is the one of deterministic_weights.py.
For key k with n = Generator(PCG64(crc32(canonical(k)))).standard_normal(shape) as float32:
  integer tensors                 -> 0
  ...layer_scale                  -> 0.5 + 0.05 * n                      (ConvNeXt)
  ndim >= 2                       -> n * sqrt(1 / fan_in), fan_in = prod(shape[1:])
                                     projectors.*.0.weight: then minus each row's mean (float32), so that embeddings differ between people
  ndim == 1, ...running_var       -> 1 + 0.1 * |n|
  ndim == 1, ...running_mean/bias -> 0.1 * n
  GFN projectors.*.1.weight       -> |n * n * n|, so that some dimensions are large enough to open or shut the gate of the gallery filter
  other 1-D (norm scales), 0-D    -> 1 + 0.1 * n
then the (multiply, add) of TUNE, matched by the end of the canonical key;
for ResNet-50 bodies every `.bn3.weight` is also multiplied by 0.4.

canonical(k): the authors register the same module under several names, so a checkpoint holds equal tensors under alias keys
(ALIASES); an alias gets the values of the name it refers to.
"""

import zlib

import numpy as np
import torch

ALIASES = {
    "gfn": (  # order matters: the first is applied, then the next ones to the result
        ("roi_heads.gfn.", "gfn."),
        ("gfn.query_reid_head.", "roi_heads.reid_head."),
        ("gfn.query_emb_head.", "roi_heads.embedding_head."),
        ("gfn.reid_loss.", "roi_heads.reid_loss."),
        ("roi_heads.box_head.", "roi_heads.reid_head."),
    ),
    "coat": (
        ("roi_heads.box_head_1st.", "roi_heads.box_head."),
        ("roi_heads.box_predictor_2nd.", "roi_heads.box_predictor."),
        (".transformer.0.", ".transblock."),
    ),
}
TUNE = {
    "gfn_resnet50": (
        ("gfn.fuser.norm.norm.running_mean", 0.01, 0.0),
        ("gfn.fuser.norm.norm.running_var", 1e-4, 0.0),
        ("rpn.head.cls_logits.weight", 2.0, 0.0),
        ("rpn.head.bbox_pred.weight", 0.2, 0.0),
        ("roi_heads.faster_rcnn_predictor.cls_score.weight", 10.0, 0.0),
        ("roi_heads.faster_rcnn_predictor.cls_score.bias", 1.0, (0.0, -11.4)),
        ("roi_heads.faster_rcnn_predictor.bbox_pred.weight", 0.3, 0.0),
        ("roi_heads.score_predictor.cls_score.weight", 10.0, 0.0),
        ("roi_heads.score_predictor.cls_score.bias", 1.0, 2.8),
        ("roi_heads.score_predictor.bbox_pred.weight", 0.3, 0.0),
        ("roi_heads.score_predictor.bbox_pred.bias", 1.0, (0.0, 0.0, 2.5, 2.5)),
    ),
    "gfn_convnext_base": (
        ("gfn.fuser.norm.norm.running_mean", 0.01, 0.0),
        ("gfn.fuser.norm.norm.running_var", 1e-4, 0.0),
        ("rpn.head.cls_logits.weight", 2.0, 0.0),
        ("rpn.head.bbox_pred.weight", 0.2, 0.0),
        ("roi_heads.faster_rcnn_predictor.cls_score.weight", 3.0, 0.0),
        ("roi_heads.faster_rcnn_predictor.cls_score.bias", 1.0, (0.0, 0.0)),
        ("roi_heads.faster_rcnn_predictor.bbox_pred.weight", 0.3, 0.0),
        ("roi_heads.score_predictor.cls_score.weight", 1.5, 0.0),
        ("roi_heads.score_predictor.cls_score.bias", 1.0, 3.4),
        ("roi_heads.score_predictor.bbox_pred.weight", 0.3, 0.0),
        ("roi_heads.score_predictor.bbox_pred.bias", 1.0, (0.0, 0.0, 2.5, 2.5)),
    ),
    "coat": (
        ("rpn.head.cls_logits.weight", 2.0, 0.0),
        ("rpn.head.bbox_pred.weight", 0.2, 0.0),
        ("roi_heads.box_predictor_1st.cls_score.weight", 2.0, 0.0),
        ("roi_heads.box_predictor_1st.cls_score.bias", 1.0, (0.0, -0.9)),
        ("roi_heads.box_predictor_1st.bbox_pred.weight", 0.3, 0.0),
        ("roi_heads.box_predictor.bbox_pred.0.weight", 0.5, 0.0),
        ("roi_heads.box_predictor.bbox_pred.1.bias", 1.0, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0)),
        ("roi_heads.box_predictor_3rd.bbox_pred.0.weight", 0.3, 0.0),
        ("roi_heads.box_predictor_3rd.bbox_pred.1.bias", 1.0, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0)),
    ),
}


def canonical(key: str, family: str) -> str:
    """The name whose values `key` gets: itself unless it is an alias."""
    for alias, name in ALIASES["coat" if family == "coat" else "gfn"]:
        key = key.replace(alias, name)
    return key


def value(key: str, shape: tuple[int, ...], family: str) -> np.ndarray:
    """The float32 array for one key of the authors' state dict."""
    key = canonical(key, family)
    n = np.asarray(np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)).astype(np.float32)
    if key.endswith("layer_scale"):
        v = np.float32(0.5) + np.float32(0.05) * n
    elif len(shape) >= 2:
        v = n * np.float32(np.sqrt(1.0 / float(np.prod(shape[1:]))))
        if ".projectors." in key:
            v = v - v.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    elif key.endswith("running_var"):
        v = np.float32(1) + np.float32(0.1) * np.abs(n)
    elif len(shape) == 1 and key.endswith(("running_mean", "bias")):
        v = np.float32(0.1) * n
    elif family != "coat" and ".projectors." in key:
        v = np.abs(n * n * n)
    else:
        v = np.float32(1) + np.float32(0.1) * n
    for suffix, multiply, add in TUNE[family]:
        if key == suffix or key.endswith("." + suffix):
            v = v * np.float32(multiply) + np.asarray(add, dtype=np.float32)
    if ".bn3.weight" in key:
        v = v * np.float32(0.4)
    return np.ascontiguousarray(v, dtype=np.float32)


def fill(state_dict: dict[str, torch.Tensor], family: str) -> dict[str, torch.Tensor]:
    """Fill in place and return the same dict. `family` is "gfn_resnet50", "gfn_convnext_base" or "coat"."""
    for key, tensor in state_dict.items():
        if torch.is_floating_point(tensor):
            tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape), family).copy()).reshape(tensor.shape))
        else:
            tensor.zero_()
    return state_dict
