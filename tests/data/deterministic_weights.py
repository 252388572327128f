"""Fill a state dict with values that depend only on each key and shape, to compare networks without a checkpoint.

Rule per key, with n = Generator(PCG64(crc32(key))).standard_normal(shape) as float32:
  integer tensors                 -> 0
  ndim >= 2                       -> n * sqrt(1 / fan_in), fan_in = prod(shape[1:]); * 0.1 if the key ends with conv_offset.weight
  ndim == 1, ...running_var       -> 1 + 0.1 * |n|
  ndim == 1, ...running_mean/bias -> 0.1 * n
  other 1-D (norm scales), 0-D    -> 1 + 0.1 * n
then the (multiply, add) of TUNE, matched by the end of the key, so that outputs are not degenerate.
"""

import zlib

import numpy as np
import torch

TUNE = {
    "alignps": (  # AlignPS, AlignPS+, ROI-AlignPS
        ("bbox_head.conv_cls.weight", 4.0, 0.0),
        ("bbox_head.conv_cls.bias", 1.0, -11.56),
        ("bbox_head.conv_centerness.weight", 2.0, 0.0),
        ("bbox_head.conv_centerness.bias", 1.0, 0.4),
        ("bbox_head.conv_reg.bias", 1.0, (3.0, 7.0, 3.0, 7.0)),
        ("bbox_head.cls_convs.3.conv.conv_offset.weight", 10.0, 0.0),
        ("bbox_head.reg_convs.3.conv.conv_offset.weight", 10.0, 0.0),
    ),
    "seqnet": (
        ("roi_heads.faster_rcnn_predictor.cls_score.weight", 3.0, 0.0),
        ("roi_heads.faster_rcnn_predictor.cls_score.bias", 1.0, (0.0, -4.7)),
        ("roi_heads.faster_rcnn_predictor.bbox_pred.weight", 0.3, 0.0),
        ("rpn.head.cls_logits.weight", 2.0, 0.0),
        ("rpn.head.bbox_pred.weight", 0.2, 0.0),
    ),
}


def value(key: str, shape: tuple[int, ...], family: str) -> np.ndarray:
    """The float32 array for one key; for SeqNet every `.bn3.weight` is also multiplied by 0.4."""
    n = np.asarray(np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)).astype(np.float32)
    if len(shape) >= 2:
        v = n * np.float32(np.sqrt(1.0 / float(np.prod(shape[1:]))))
        if key.endswith("conv_offset.weight"):
            v = v * np.float32(0.1)
    elif key.endswith("running_var"):
        v = np.float32(1) + np.float32(0.1) * np.abs(n)
    elif len(shape) == 1 and (key.endswith(("running_mean", "bias"))):
        v = np.float32(0.1) * n
    else:
        v = np.float32(1) + np.float32(0.1) * n
    for suffix, multiply, add in TUNE[family]:
        if key == suffix or key.endswith("." + suffix):
            v = v * np.float32(multiply) + np.asarray(add, dtype=np.float32)
    if family == "seqnet" and ".bn3.weight" in key:
        v = v * np.float32(0.4)
    return np.ascontiguousarray(v, dtype=np.float32)


def fill(state_dict: dict[str, torch.Tensor], family: str) -> dict[str, torch.Tensor]:
    """Fill in place and return the same dict. `family` is "alignps" or "seqnet"."""
    for key, tensor in state_dict.items():
        if torch.is_floating_point(tensor):
            tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape), family).copy()).reshape(tensor.shape))
        else:
            tensor.zero_()
    return state_dict
