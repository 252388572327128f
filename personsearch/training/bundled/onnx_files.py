"""The two networks of a model folder as ONNX files beside its weights."""

from pathlib import Path

import torch
from torch import Tensor, nn

from personsearch.errors import ConfigError
from personsearch.models.config import parse_config
from personsearch.models.folder import load_strict
from personsearch.models.fuse import optimize_for_inference
from personsearch.models.nano import DETECTOR, EMBEDDER, NanoConfig, build
from personsearch.models.nano_detector import NanoNetwork
from personsearch.models.nano_onnx import DETECTOR_FILE, EMBEDDER_FILE
from personsearch.models.reid import ReidNetwork
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors

OPSET = 20


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


def write_onnx(folder: Path) -> None:
    """Write detector.onnx and embedder.onnx, float32, of the folder's own weights."""
    config = parse_config(NanoConfig, read_config(folder), folder)
    tensors = read_tensors(folder / WEIGHTS_FILE)
    detector, embedder = build(config)
    for prefix, network in ((DETECTOR, detector), (EMBEDDER, embedder)):
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        load_strict(network, own, source=str(folder / WEIGHTS_FILE))
        optimize_for_inference(network.eval())
    any_size = torch.export.Dim.DYNAMIC
    crops = torch.zeros(2, config.embedder.height, config.embedder.width, 3)
    # sizes are whole cells of the coarsest level: the exporter cannot know, so it is told
    height, width = (32 * torch.export.Dim(name, min=1, max=512) for name in ("rows", "columns"))
    _export(
        DetectorGraph(detector), torch.zeros(2, 3, 96, 128), {0: any_size, 2: height, 3: width}, ["logits", "boxes"], folder / DETECTOR_FILE
    )
    _export(EmbedderGraph(embedder), crops, {0: any_size}, ["rows"], folder / EMBEDDER_FILE)


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
