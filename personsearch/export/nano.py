"""The bundled model's two networks as ONNX files beside its weights."""

import os
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from personsearch.errors import ConfigError
from personsearch.export.scene import OPSET, require_exporter
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.nano.detector import NanoNetwork
from personsearch.models.nano.model import read_networks
from personsearch.models.nano.onnx import DETECTOR_FILE, EMBEDDER_FILE
from personsearch.models.nano.onnx_forms import with_blocks, with_one_stem
from personsearch.models.reid import ReidNetwork
from personsearch.weights import CONFIG_FILE, WEIGHTS_FILE

FILES = (DETECTOR_FILE, EMBEDDER_FILE)
SMALLEST = 64  # values of a tensor that is worth a layer of its own
ROUNDING = 2e-5  # what merging a batch norm without statistics may change; float16's own steps are 5e-4


class DetectorGraph(nn.Module):
    """The detector from pixels to logits and boxes."""

    def __init__(self, network: NanoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, P) and boxes (B, P, 4) of (B, 3, H, W) pixels."""
        cells = self.network(pixels)
        return cells.logits, cells.boxes


class EmbedderGraph(nn.Module):
    """The embedder from crops, channels last as in memory, to unit rows."""

    def __init__(self, network: ReidNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """(N, D) unit rows of (N, height, width, 3) crops."""
        rows: Tensor = self.network(crops.permute(0, 3, 1, 2))
        return rows


def export_nano(folder: Path, out: Path) -> Path:
    """Write a model folder with the model's own files, detector.onnx and embedder.onnx, both float32.

    Args:
        folder: Folder of the model.
        out: Folder to write, created if missing; it may be `folder` itself.

    Returns:
        `out`.

    Raises:
        ConfigError: config.json is malformed, or `out` ends in .onnx: two networks make two files.
        WeightsError: the weights are missing or damaged, or do not fit the network.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    if out.suffix == ".onnx":
        raise ConfigError(f"this model has two networks and is written as two files; give a folder, not {out}")
    require_exporter()
    config, detector, embedder = read_networks(folder)
    with_one_stem(detector)
    with_blocks(optimize_for_inference(embedder.eval()))
    out.mkdir(parents=True, exist_ok=True)
    any_size = torch.export.Dim.DYNAMIC
    crops = torch.zeros(2, config.embedder.height, config.embedder.width, 3)
    # The exporter cannot infer that sizes are whole cells of the coarsest level
    height, width = (32 * torch.export.Dim(name, min=1, max=512) for name in ("rows", "columns"))
    pixels = torch.zeros(2, 3, 96, 128)
    _export(DetectorGraph(detector), pixels, {0: any_size, 2: height, 3: width}, ["logits", "boxes"], _part(out / DETECTOR_FILE))
    _export(EmbedderGraph(embedder), crops, {0: any_size}, ["rows"], _part(out / EMBEDDER_FILE))
    for name in FILES:
        (out / name).unlink(missing_ok=True)  # a killed export must not leave them beside another model's weights
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not ((out / name).exists() and (out / name).samefile(folder / name)):
            shutil.copyfile(folder / name, _part(out / name))
            os.replace(_part(out / name), out / name)
    for name in FILES:
        os.replace(_part(out / name), out / name)
    return out


def _part(file: Path) -> Path:
    """Where a file is until it is whole."""
    return file.with_name(f"{file.name}.part")


def _export(graph: nn.Module, example: Tensor, dynamic: dict[int, object], outputs: list[str], out: Path) -> None:
    program = torch.onnx.export(
        graph.eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["input"],
        output_names=outputs,
        dynamic_shapes=(dynamic,),
        verbose=False,
    )
    if program is None:  # the signature allows None for other modes of the exporter
        raise ConfigError("torch.onnx.export gave no program; install a torch version in the range of pyproject.toml")
    for node in program.model.graph:
        node.metadata_props.clear()  # source positions of the layers, a fifth of the file
    program.save(out, external_data=False)
    store_halves(out)


def store_halves(file: Path) -> None:
    """Store weights as float16 where that changes them by rounding only; the network still runs in float32.

    The weights of a trained model are float16, and most of them come through the export unchanged.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(file))
    casts = []
    for tensor in model.graph.initializer:
        name, array = tensor.name, numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):  # too large for float16: infinite, and kept as it is
            half = array.astype(np.float16)
        if array.dtype == np.float32 and array.size >= SMALLEST and np.allclose(half, array, rtol=ROUNDING, atol=0):
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(file))
