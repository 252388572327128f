"""The small model's two networks as ONNX files beside its weights."""

import shutil
from pathlib import Path

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


class DetectorGraph(nn.Module):
    """Pixels to logits and boxes."""

    def __init__(self, network: NanoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P) and (B, P, 4) of (B, 3, H, W)."""
        cells = self.network(pixels)
        return cells.logits, cells.boxes


class EmbedderGraph(nn.Module):
    """Crops with channels last, as they lie in memory, to unit rows."""

    def __init__(self, network: ReidNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """(N, D) of (N, height, width, 3)."""
        rows: Tensor = self.network(crops.permute(0, 3, 1, 2))
        return rows


def export_nano(folder: Path, out: Path) -> Path:
    """Write a model folder with ONNX files: the model's own files, detector.onnx and embedder.onnx, float32; returns it.

    Args:
        folder: of the model.
        out: the folder to make, or `folder` itself.

    Raises:
        ConfigError: config.json is malformed, or `out` ends in .onnx: two networks make two files.
        WeightsError: the weights are missing, damaged, or another network's.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    if out.suffix == ".onnx":
        raise ConfigError(f"this model is two networks, which make two files; give a folder for them, not {out}")
    require_exporter()
    config, detector, embedder = read_networks(folder)
    with_one_stem(detector)
    with_blocks(optimize_for_inference(embedder.eval()))
    out.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not ((out / name).exists() and (out / name).samefile(folder / name)):
            shutil.copyfile(folder / name, out / name)
    any_size = torch.export.Dim.DYNAMIC
    crops = torch.zeros(2, config.embedder.height, config.embedder.width, 3)
    # sizes are whole cells of the coarsest level: the exporter cannot know, so it is told
    height, width = (32 * torch.export.Dim(name, min=1, max=512) for name in ("rows", "columns"))
    _export(
        DetectorGraph(detector), torch.zeros(2, 3, 96, 128), {0: any_size, 2: height, 3: width}, ["logits", "boxes"], out / DETECTOR_FILE
    )
    _export(EmbedderGraph(embedder), crops, {0: any_size}, ["rows"], out / EMBEDDER_FILE)
    return out


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
    if program is None:  # what the signature allows for other modes of the exporter
        raise ConfigError("torch.onnx.export gave no program; install torch of pyproject.toml's range")
    for node in program.model.graph:
        node.metadata_props.clear()  # where in the source each layer stands: a fifth of the file
    program.save(out, external_data=False)
