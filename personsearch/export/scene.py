"""A network for whole scenes as one ONNX file: pixels in; boxes, scores and embeddings out, with NMS inside."""

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import nms, remove_small_boxes

from personsearch.errors import ConfigError, MissingExtraError
from personsearch.models.alignps import MIN_QUERY_IOU, AlignPS, AlignPSConfig, inclusive_iou
from personsearch.models.config import SceneConfig
from personsearch.models.dkd import DKD, DKDConfig
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.folder import load_strict
from personsearch.models.parts.fcos import LevelMaps
from personsearch.models.parts.fcos_select import REACH_IN_STRIDES
from personsearch.models.parts.heads import REGION_LEVEL
from personsearch.models.parts.rpn import SMALLEST, RegionProposals, cut
from personsearch.models.rcnn import RCNN, RCNNConfig, RegionNetwork
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.models.scene import SceneNetwork
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.models.trident import Trident, TridentConfig
from personsearch.options import parse
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors

OPSET = 20  # the first with a DeformConv that the exporter writes is 19
METADATA = "personsearch"  # the entry of the file's metadata that holds the config as JSON
INPUTS = ("pixels", "resized", "original", "wanted")
OUTPUTS = ("boxes", "scores", "embeddings", "wanted_embeddings")
NOWHERE = -1e6  # a box there overlaps no other

# architecture in config.json -> schema of the config, and the network of one
NETWORKS: dict[str, tuple[type[SceneConfig], Callable[[Any], SceneNetwork]]] = {
    "alignps": (AlignPSConfig, AlignPS),
    "roi-alignps": (ROIAlignPSConfig, ROIAlignPS),
    "seqnet": (SeqNetConfig, SeqNet),
    "dkd": (DKDConfig, DKD),
    "trident": (TridentConfig, Trident),
    "oim": (RCNNConfig, RCNN),
    "nae": (RCNNConfig, RCNN),
}


def export_folder(folder: Path, out: Path) -> Path:
    """Write the model of a folder as one ONNX file, which `backend="onnx"` opens without the folder; returns its path.

    Raises:
        ConfigError: the model is not one network for whole scenes, `out` has no .onnx at its end, or the config is malformed.
        WeightsError: the weights are missing, damaged, or another network's.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    values = read_config(folder)
    if values["architecture"] not in NETWORKS:
        raise ConfigError(f"{folder}: {values['architecture']!r} cannot be exported; only one-network models can: {', '.join(NETWORKS)}")
    schema, build = NETWORKS[values["architecture"]]
    config = parse(schema, values, folder)
    network = build(config)
    load_strict(network, read_tensors(folder / WEIGHTS_FILE), source=str(folder / WEIGHTS_FILE))
    return export_network(network, config, out)


def export_network(network: SceneNetwork, config: SceneConfig, out: Path) -> Path:
    """Write a network in its plain form, which is changed (its batch norms are merged), with its config inside the file.

    Raises:
        ConfigError: `out` has no .onnx at its end.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    if out.suffix != ".onnx":
        raise ConfigError(f"an exported file ends in .onnx, got {out}")
    require_exporter()
    optimize_for_inference(network.eval())
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, GroupNormOfAny(child))
    graph = graph_of(network).eval()
    program = torch.onnx.export(
        graph,
        (
            torch.zeros(1, 3, 320, 416),
            torch.tensor([300.0, 400.0]),
            torch.tensor([150.0, 200.0]),
            torch.tensor([[9.0, 9.0, 50.0, 90.0]] * 3),
        ),
        dynamo=True,
        opset_version=OPSET,
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_shapes=({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}, None, None, {0: torch.export.Dim.DYNAMIC}),
        verbose=False,
    )
    if program is None:  # what the signature allows for other modes of the exporter
        raise ConfigError("torch.onnx.export gave no program; install torch of pyproject.toml's range")
    told = {"config": config.model_dump(mode="json"), "embedding_dim": network.embedding_dim}
    program.model.metadata_props[METADATA] = json.dumps(told)
    part = out.with_name(f"{out.name}.part")
    program.save(part, external_data=False)
    os.replace(part, out)
    return out


def require_exporter() -> None:
    """Raise MissingExtraError unless torch's exporter has what it needs."""
    for module in ("onnx", "onnxscript"):
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{module} is not installed; run: pip install 'personsearch[export]'") from error


def graph_of(network: SceneNetwork) -> nn.Module:
    """The network as a graph without branches on data: takes `INPUTS`, gives `OUTPUTS`, of one image.

    `pixels` is (1, 3, H, W), `resized` and `original` are (height, width) as float32, `wanted` is (M, 4) boxes in
    original pixels to embed; M and the number of people may be 0.
    """
    return AlignPSGraph(network) if isinstance(network, AlignPS) else RegionGraph(network)


class GroupNormOfAny(nn.Module):
    """Group norm of any number of maps; the exporter's own form leaves a size open, which ONNX Runtime cannot find where nobody is."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) of (N, C, H, W)."""
        norm, (count, channels, height, width) = self.norm, maps.shape
        grouped = maps.reshape(count, norm.num_groups, channels // norm.num_groups, height, width)
        variance, mean = torch.var_mean(grouped, dim=(2, 3, 4), correction=0, keepdim=True)
        even = ((grouped - mean) * torch.rsqrt(variance + norm.eps)).reshape(count, channels, height, width)
        return even * norm.weight[:, None, None] + norm.bias[:, None, None]


class RegionGraph(nn.Module):
    """SeqNet, OIM, NAE, NAE+, Trident or DKD."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network: RegionNetwork = network

    def forward(self, pixels: Tensor, resized: Tensor, original: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `graph_of`."""
        frame, scale = resized[[1, 0, 1, 0]], (resized / original)[[1, 0, 1, 0]]
        c4 = self.network(pixels)
        people = self.network.find(c4, proposals(self.network.rpn, c4, frame), frame)
        rows = self.network.reid_head(self.network.pool(c4, [wanted * scale])).embeddings
        return people.boxes / scale, people.scores, people.embeddings, rows


def proposals(rpn: RegionProposals, c4: Tensor, frame: Tensor) -> Tensor:
    """What `RegionProposals.forward` gives of one image."""
    (logits,), (deltas,) = rpn.predict(c4)
    config = rpn.config
    # Filled up, so that the number to keep is a constant whatever the size of the map
    scores, index = F.pad(logits, (0, config.before_nms), value=-torch.inf).topk(config.before_nms)
    index = torch.where(scores > -torch.inf, index, 0)
    boxes = cut(rpn.coder.decode_single(deltas[index], rpn.anchors(c4)[index]), frame)
    boxes = torch.where(scores[:, None] > -torch.inf, boxes, 0)
    big = remove_small_boxes(boxes, SMALLEST)
    boxes = boxes[big]
    return boxes[nms(boxes, scores[big], config.nms_iou)[: config.after_nms]]


class AlignPSGraph(nn.Module):
    """AlignPS, AlignPS+ or ROI-AlignPS."""

    def __init__(self, network: AlignPS) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, resized: Tensor, original: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `graph_of`."""
        frame, scale = resized[[1, 0, 1, 0]], (resized / original)[[1, 0, 1, 0]]
        backbone, levels = self.network(pixels)
        boxes, scores, features = self._people(levels, frame, scale)
        wanted_features, wanted_boxes = self._choose(levels, wanted, scale, boxes, features)
        c4 = backbone[REGION_LEVEL]
        rows = self._rows(c4, boxes * scale, features)
        return boxes, scores, rows, self._rows(c4, wanted_boxes * scale, wanted_features)

    def _people(self, levels: list[LevelMaps], frame: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `fcos_select.select`: boxes in original pixels, scores, raw features."""
        rules = self.network.rules
        found = [_candidates(maps, frame, rules.before_nms) for maps in levels]
        boxes, classes, scores, features = (torch.cat(parts) for parts in zip(*found, strict=True))
        order = scores.topk(rules.before_nms * len(levels)).indices
        order = order[torch.where(classes[order] > rules.min_class_score)[0]]
        boxes, scores, features = boxes[order] / scale, scores[order], features[order]
        kept = nms(boxes, scores, rules.nms_iou)[: rules.max_people]
        return boxes[kept], scores[kept], features[kept]

    @staticmethod
    def _choose(levels: list[LevelMaps], wanted: Tensor, scale: Tensor, boxes: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """As `AlignPS.embed` chooses: raw features, and the boxes they stand for."""
        # One more detection that overlaps nothing, so that there is a greatest overlap in an empty scene too
        boxes, features = torch.cat([boxes, boxes.new_full((1, 4), NOWHERE)]), F.pad(features, (0, 0, 0, 1))
        overlap, best = inclusive_iou(wanted, boxes).max(dim=1)
        found = (overlap >= MIN_QUERY_IOU)[:, None]
        return torch.where(found, features[best], _features_at(levels, wanted * scale)), torch.where(found, boxes[best], wanted)

    def _rows(self, c4: Tensor, boxes: Tensor, features: Tensor) -> Tensor:
        implicit = F.normalize(features)
        network = self.network
        if not isinstance(network, ROIAlignPS) or network.branch == "alignps":
            return implicit
        explicit: Tensor = network.roi(network.regions(c4, [boxes])).embeddings
        return explicit if network.branch == "roi" else F.normalize(torch.cat([implicit, explicit], dim=1))


def _candidates(maps: LevelMaps, frame: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The `limit` best cells of a level: boxes in resized pixels, class scores, scores, raw features."""
    classes = maps.class_logits[0].sigmoid().flatten()
    scores = classes * maps.centerness_logits[0].sigmoid().flatten()
    # Filled up as the proposals are; the class score 0 of what fills drops it later
    scores, cells = F.pad(scores, (0, limit), value=-1.0).topk(limit)
    real = scores >= 0
    cells = torch.where(real, cells, 0)
    row, column = (grid.flatten()[cells] for grid in torch.meshgrid(*_axes(maps), indexing="ij"))
    distances = maps.distances[0].flatten(1).T[cells] * maps.stride
    centre = torch.stack([column, row], dim=1) * maps.stride + maps.stride // 2
    boxes = cut(torch.cat([centre - distances[:, :2], centre + distances[:, 2:]], dim=1), frame)
    return boxes, torch.where(real, classes[cells], 0.0), scores, maps.features[0].flatten(1).T[cells]


def _features_at(levels: list[LevelMaps], boxes: Tensor) -> Tensor:
    """As `fcos_select.features_at`."""
    reach = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    features = torch.zeros_like(boxes[:, :1])
    least = -1  # reach from which a box belongs to the level: all do to the first
    for maps in levels:
        rows, columns = _axes(maps)
        column, row = (centres / maps.stride).long().clamp(min=0).unbind(dim=1)
        here = maps.features[0][:, row.minimum(rows[-1]), column.minimum(columns[-1])].T
        features = torch.where((reach > least)[:, None], here, features)
        least = maps.stride * REACH_IN_STRIDES
    return features


def _axes(maps: LevelMaps) -> tuple[Tensor, Tensor]:
    """Numbers of the rows and of the columns, as tensors: the exporter cannot divide by or clamp to a size of its own."""
    height, width = maps.features.shape[2:]
    return torch.arange(height), torch.arange(width)
