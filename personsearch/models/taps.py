"""Where the taps of a model's deformable convolutions sample (AlignPS, Fig. 7)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.models.base import PersonModel
from personsearch.models.parts.deform_taps import TAPS, split_offsets
from personsearch.models.scene import SceneModel

OFFSETS = "conv_offset"  # name of the layer that computes the offsets


@dataclass(frozen=True)
class Taps:
    """The taps of one deformable convolution at one cell."""

    layer: str
    points: Array  # (9, 2) x, y in pixels of the original image


def taps_at(model: PersonModel, image: Array, box: Array) -> list[Taps]:
    """The taps of every deformable convolution of the model's neck and backbone at the centre of a box.

    Args:
        model: Model; one without deformable convolutions gives an empty list.
        image: RGB uint8 (H, W, 3).
        box: (4,) xyxy pixels.
    """
    if not isinstance(model, SceneModel):
        return []
    outputs: dict[str, tuple[Tensor, int]] = {}
    handles = []
    for name, module in model.network.named_modules():
        if name.endswith(f".{OFFSETS}") and not name.startswith("head."):

            def keep(layer: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
                stride = int(getattr(layer, "stride", (1,))[0])
                outputs[name.removesuffix(f".{OFFSETS}")] = output.detach().float().cpu(), stride

            handles.append(module.register_forward_hook(keep))
    try:
        prepared = model.prepare(image)
        model.embed([prepared], [box[None].astype(np.float32)])
    finally:
        for handle in handles:
            handle.remove()
    padded = prepared.pixels.shape[2]
    scale = np.array([prepared.resized[1] / prepared.original[1], prepared.resized[0] / prepared.original[0]])
    centre = (box[:2] + box[2:]) / 2 * scale  # pixels of the resized image
    return [Taps(name, _points(output, stride, padded, centre) / scale) for name, (output, stride) in outputs.items()]


def _points(output: Tensor, stride: int, padded_width: int, centre: Array) -> Array:
    """(9, 2) x, y of the taps in pixels of the resized image, of the layer's cell that holds `centre`."""
    offsets, _ = split_offsets(output)
    height, width = offsets.shape[2:]
    pixels = padded_width / width  # of one output cell
    column = int(np.clip(centre[0] // pixels, 0, width - 1))
    row = int(np.clip(centre[1] // pixels, 0, height - 1))
    moved = offsets[0, :, row, column].reshape(TAPS, 2).numpy()  # (y, x) in cells of the input
    grid = np.stack([np.arange(TAPS) // 3 - 1, np.arange(TAPS) % 3 - 1], axis=1)
    cells = np.array([row, column]) * stride + grid + moved
    points: Array = (cells[:, ::-1] + 0.5) * (pixels / stride)
    return points
