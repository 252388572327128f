"""From a training of the crop network and a detector to a model folder: float16 weights and config.

`python -m examples.nano.assemble --crops DIR --detector DIR --out DIR`; then `personsearch export DIR DIR` adds the ONNX files,
and `examples.nano.calibrate` the calibration.
"""

from copy import deepcopy
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn

from examples.nano.command import run
from examples.nano.crops import Backbone, config, trained_network
from examples.nano.detector import OPTIONS
from examples.nano.imitation import student, without_norms
from personsearch.boxes import Array
from personsearch.models.config import CROP
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.nano.model import DETECTOR, EMBEDDER
from personsearch.models.nano.options import NanoConfig, NanoOptions, NanoReidOptions
from personsearch.models.reid import ReidNetwork
from personsearch.options import parse
from personsearch.training.checkpoint import STATE_FILE, load_state
from personsearch.training.learners.base import tensors_of
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors, save_model

TRAINED_ON = "rendered people; free photographs and videos; see the card"


def detector_of(folder: Path) -> tuple[NanoOptions, dict[str, Array]]:
    """The detector's options and tensors: of a training's folder, or of a finished model's."""
    if not (folder / STATE_FILE).exists():
        tensors = {name: array for name, array in read_tensors(folder / WEIGHTS_FILE).items() if name.startswith(DETECTOR)}
        return parse(NanoOptions, read_config(folder)["detector"], folder), tensors
    network = student(OPTIONS)
    network.load_state_dict(load_state(folder)["mean"])
    return OPTIONS, {DETECTOR + name: array for name, array in tensors_of(without_norms(network, OPTIONS).state_dict()).items()}


def merged(network: ReidNetwork) -> dict[str, Tensor]:
    """The network's state with every batch norm merged into the layer before it, so that the ONNX file holds the same rounded weights."""
    state = network.state_dict()
    for name, layer in optimize_for_inference(deepcopy(network).eval()).named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None and f"{name}.bias" not in state:
            place, number = name.rsplit(".", 1)
            norm = f"{place}.{int(number) + 1}"
            state[f"{name}.weight"], state[f"{norm}.bias"] = layer.weight.detach(), layer.bias.detach()
            for value, part in ((1.0, "weight"), (0.0, "running_mean"), (1.0, "running_var")):
                state[f"{norm}.{part}"] = torch.full_like(state[f"{norm}.{part}"], value)
    return state


def assemble(
    crops: Path,
    detector: Path,
    out: Path,
    *,
    size: tuple[int, int],
    min_score: float,
    name: str = "nano",
    tiles: tuple[int, int] | None = None,
    mirrored: bool = False,
    backbone: str = CROP,
) -> Path:
    """The model of two folders; of a training the running mean of the weights.

    Raises:
        WeightsError: `crops` is a training of another network, or of crops of another size.
    """
    crop_config = config(*size, backbone)
    network = trained_network(crops, *size, backbone)
    options, tensors = detector_of(detector)
    tensors |= {EMBEDDER + key: array for key, array in tensors_of(merged(network)).items()}
    reid = NanoReidOptions(**crop_config.model_dump(include=set(NanoReidOptions.model_fields)), mirrored=mirrored)
    tiled = options.model_copy(update={"tiles": tiles})
    values = NanoConfig(name=name, trained_on=TRAINED_ON, min_score=min_score, detector=tiled, embedder=reid)
    save_model(out, values.model_dump(mode="json"), {key: array.astype(np.float16) for key, array in tensors.items()})
    return out


def main(
    crops: Annotated[Path, typer.Option(help="Folder of the crop network's training.")],
    detector: Annotated[Path, typer.Option(help="Folder of the detector's training, or of a model whose detector is taken.")],
    out: Annotated[Path, typer.Option(help="The model folder to make.")],
    height: Annotated[int, typer.Option(help="Height of the crop network's input, pixels.")] = 160,
    width: int = 80,
    min_score: float = 0.4,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "nano",
    tiles: Annotated[tuple[int, int] | None, typer.Option(help="Rows and columns of tiles that the detector searches too.")] = None,
    mirrored: Annotated[bool, typer.Option(help="Embed each crop's mirror image too.")] = False,
    backbone: Annotated[Backbone, typer.Option(help="Backbone of the crop network.")] = Backbone.CROP,
) -> None:
    """Make the model folder."""
    assemble(crops, detector, out, size=(height, width), min_score=min_score, name=name, tiles=tiles, mirrored=mirrored, backbone=backbone)


if __name__ == "__main__":
    run(main)
