"""A network for whole scenes as one ONNX file: pixels in; boxes, scores and embeddings out, with NMS inside."""

import json
import math
import os
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import nms, remove_small_boxes

from personsearch.errors import ConfigError, MissingExtraError
from personsearch.models.alignps import MIN_QUERY_IOU, AlignPS, AlignPSConfig, inclusive_iou
from personsearch.models.coat import COAT, COATConfig
from personsearch.models.config import SceneConfig
from personsearch.models.dkd import DKD, DKDConfig
from personsearch.models.exported import INPUTS, METADATA, OUTPUTS, SCENE
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.folder import load_strict
from personsearch.models.gfn import GalleryFilter
from personsearch.models.parts.fcos import LevelMaps
from personsearch.models.parts.fcos_select import REACH_IN_STRIDES
from personsearch.models.parts.heads import REGION_LEVEL, strongest
from personsearch.models.parts.rpn import MIN_SIDE, RegionProposals, cut
from personsearch.models.rcnn import RCNN, RCNNConfig, RegionNetwork
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.models.scene import SceneNetwork
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from personsearch.models.trident import Trident, TridentConfig
from personsearch.options import parse
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors

OPSET = 20  # the exporter writes DeformConv from 19 on
FAR_AWAY = -1e6  # coordinate of a box that overlaps no other
STRIDE, PADDED = 16, 32  # of the map that is pooled for the scene; sides of the padded input are multiples of `PADDED`

# architecture in config.json -> class of the config, class of the network
NETWORKS: dict[str, tuple[type[SceneConfig], Callable[[Any], SceneNetwork]]] = {
    "alignps": (AlignPSConfig, AlignPS),
    "roi-alignps": (ROIAlignPSConfig, ROIAlignPS),
    "seqnet": (SeqNetConfig, SeqNet),
    "seqnext": (SeqNeXtConfig, SeqNeXt),
    "coat": (COATConfig, COAT),
    "dkd": (DKDConfig, DKD),
    "trident": (TridentConfig, Trident),
    "oim": (RCNNConfig, RCNN),
    "nae": (RCNNConfig, RCNN),
}


def export_folder(folder: Path, out: Path) -> Path:
    """Write the model of a folder as one ONNX file, which opens without the folder; returns its path.

    Raises:
        ConfigError: the model is not one network for whole scenes, `out` does not end in .onnx, or the config is malformed.
        WeightsError: the weights are missing or damaged, or do not fit the network.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    values = read_config(folder)
    if values["architecture"] not in NETWORKS:
        raise ConfigError(f"{folder}: {values['architecture']!r} cannot be exported; these can: {', '.join(NETWORKS)}")
    schema, build = NETWORKS[values["architecture"]]
    config = parse(schema, values, folder)
    network = build(config)
    load_strict(network, read_tensors(folder / WEIGHTS_FILE), source=str(folder / WEIGHTS_FILE))
    return export_network(network, config, out)


def export_network(network: SceneNetwork, config: SceneConfig, out: Path) -> Path:
    """Write a network with its config inside the file; the network is changed: its batch norms are merged.

    Raises:
        ConfigError: `out` does not end in .onnx.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    if out.suffix != ".onnx":
        raise ConfigError(f"an exported file must end in .onnx, got {out}")
    require_exporter()
    optimize_for_inference(network.eval())
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, AnyGroupNorm(child))
    graph, scene_filter = graph_of(network, config.long_side).eval(), network.scene_filter
    with torch.no_grad():  # the same file in .6 of the time
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
            output_names=OUTPUTS if scene_filter is None else (*OUTPUTS, SCENE),
            dynamic_shapes=({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}, None, None, {0: torch.export.Dim.DYNAMIC}),
            verbose=False,
        )
    if program is None:  # the signature allows None for other modes of the exporter
        raise ConfigError("torch.onnx.export gave no program; install a torch version in the range of pyproject.toml")
    metadata: dict[str, Any] = {"config": config.model_dump(mode="json"), "embedding_dim": network.embedding_dim}
    if scene_filter is not None:
        metadata["scene_filter"] = {
            "scale": scene_filter.scale.tolist(),
            "shift": scene_filter.shift.tolist(),
            "temperature": scene_filter.temperature,
        }
    program.model.metadata_props[METADATA] = json.dumps(metadata)
    part = out.with_name(f"{out.name}.part")
    program.save(part, external_data=False)
    os.replace(part, out)
    return out


def require_exporter() -> None:
    """Raise MissingExtraError unless the packages that torch's exporter needs are installed."""
    for module in ("onnx", "onnxscript"):
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{module} is not installed; run: pip install 'personsearch[export]'") from error


def graph_of(network: SceneNetwork, long_side: int) -> nn.Module:
    """The network as a graph from `INPUTS` to `OUTPUTS` of one image, without branches on data; with GFN, `SCENE` follows.

    `pixels` is (1, 3, H, W), `resized` and `original` are (height, width) as float32, `wanted` is (M, 4) boxes to
    embed in original pixels; M and the number of people may be 0. `long_side` is the longest side of a resized image.
    """
    return AlignPSGraph(network) if isinstance(network, AlignPS) else RegionGraph(network, long_side)


class AnyGroupNorm(nn.Module):
    """Group norm of N >= 0 maps; ONNX Runtime cannot infer a size in the exporter's own form when N is 0."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        """Normalised maps (N, C, H, W)."""
        norm, (count, channels, height, width) = self.norm, maps.shape
        grouped = maps.reshape(count, norm.num_groups, channels // norm.num_groups, height, width)
        variance, mean = torch.var_mean(grouped, dim=(2, 3, 4), correction=0, keepdim=True)
        even = ((grouped - mean) * torch.rsqrt(variance + norm.eps)).reshape(count, channels, height, width)
        return even * norm.weight[:, None, None] + norm.bias[:, None, None]


class RegionGraph(nn.Module):
    """Graph of SeqNet, SeqNeXt, COAT, OIM, NAE, NAE+, Trident or DKD."""

    def __init__(self, network: Any, long_side: int) -> None:
        super().__init__()
        self.network: RegionNetwork = network
        self.scenes: GalleryFilter | None = getattr(network, "scenes", None)
        self.longest = math.ceil(long_side / PADDED) * PADDED // STRIDE  # side of a map

    def forward(self, pixels: Tensor, resized: Tensor, original: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        """`OUTPUTS` of `INPUTS`, see `graph_of`."""
        frame, scale = resized[[1, 0, 1, 0]], (resized / original)[[1, 0, 1, 0]]
        c4 = self.network(pixels)
        people = self.network.find(c4, proposals(self.network.rpn, c4, frame), frame)
        rows = self.network.reid_head(self.network.pool(c4, [wanted * scale])).embeddings
        scene = () if self.scenes is None else (scene_row(self.scenes, c4, self.longest),)
        return people.boxes / scale, people.scores, people.embeddings, rows, *scene


def scene_row(filters: GalleryFilter, c4: Tensor, longest: int) -> Tensor:
    """`GalleryFilter.forward` for one image, whose map has sides of at most `longest` cells."""
    count = filters.config.pool
    cells = pooled(pooled(c4, 2, count, longest), 3, count, longest)
    row: Tensor = filters.embedding([strongest(cells), strongest(filters.res5(cells))])
    return row


def pooled(maps: Tensor, dim: int, count: int, longest: int) -> Tensor:
    """`adaptive_max_pool2d` to `count` cells along one axis: ONNX has none whose windows depend on the size of the map.

    A window holds at most ceil(longest / count) + 1 cells, so a constant number of gathers finds its largest.
    """
    size = torch.arange(maps.shape[dim])[-1:] + 1  # a tensor, because the exporter cannot divide by or clamp to a size
    steps = torch.arange(count)
    start, last = steps * size // count, ((steps + 1) * size + count - 1) // count - 1
    width = math.ceil(longest / count) + 1
    return reduce(torch.maximum, [maps.index_select(dim, torch.minimum(start + step, last)) for step in range(width)])


def proposals(rpn: RegionProposals, c4: Tensor, frame: Tensor) -> Tensor:
    """`RegionProposals.forward` for one image."""
    (logits,), (deltas,) = rpn.predict(c4)
    config = rpn.config
    # Padded, so that the number of proposals is a constant for every map size
    scores, best = F.pad(logits, (0, config.before_nms), value=-torch.inf).topk(config.before_nms)
    best = torch.where(scores > -torch.inf, best, 0)
    boxes = cut(rpn.coder.decode_single(deltas[best], rpn.anchors(c4)[best]), frame)
    boxes = torch.where(scores[:, None] > -torch.inf, boxes, 0)
    big = remove_small_boxes(boxes, MIN_SIDE)
    boxes = boxes[big]
    return boxes[nms(boxes, scores[big], config.nms_iou)[: config.after_nms]]


class AlignPSGraph(nn.Module):
    """Graph of AlignPS, AlignPS+ or ROI-AlignPS."""

    def __init__(self, network: AlignPS) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, resized: Tensor, original: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`OUTPUTS` of `INPUTS`, see `graph_of`."""
        frame, scale = resized[[1, 0, 1, 0]], (resized / original)[[1, 0, 1, 0]]
        backbone, levels = self.network(pixels)
        boxes, scores, features = self._people(levels, frame, scale)
        wanted_features, wanted_boxes = self._match(levels, wanted, scale, boxes, features)
        c4 = backbone[REGION_LEVEL]
        rows = self._rows(c4, boxes * scale, features)
        return boxes, scores, rows, self._rows(c4, wanted_boxes * scale, wanted_features)

    def _people(self, levels: list[LevelMaps], frame: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes in original pixels, scores and raw features, as `fcos_select.select` gives them."""
        rules = self.network.rules
        candidates = [_candidates(maps, frame, rules.before_nms) for maps in levels]
        boxes, classes, scores, features = (torch.cat(tensors) for tensors in zip(*candidates, strict=True))
        order = scores.topk(rules.before_nms * len(levels)).indices
        order = order[torch.where(classes[order] > rules.min_class_score)[0]]
        boxes, scores, features = boxes[order] / scale, scores[order], features[order]
        best = nms(boxes, scores, rules.nms_iou)[: rules.max_people]
        return boxes[best], scores[best], features[best]

    @staticmethod
    def _match(levels: list[LevelMaps], wanted: Tensor, scale: Tensor, boxes: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Raw features for the wanted boxes, and the boxes that these features belong to, as in `AlignPS.embed`."""
        # One more detection that overlaps nothing, so that an empty scene has a greatest overlap too
        boxes, features = torch.cat([boxes, boxes.new_full((1, 4), FAR_AWAY)]), F.pad(features, (0, 0, 0, 1))
        overlap, best = inclusive_iou(wanted, boxes).max(dim=1)
        near = (overlap >= MIN_QUERY_IOU)[:, None]
        return torch.where(near, features[best], _features_at(levels, wanted * scale)), torch.where(near, boxes[best], wanted)

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
    # Padded like the proposals; the class score 0 drops the padding later
    scores, cells = F.pad(scores, (0, limit), value=-1.0).topk(limit)
    real = scores >= 0
    cells = torch.where(real, cells, 0)
    row, column = (grid.flatten()[cells] for grid in torch.meshgrid(*_axes(maps), indexing="ij"))
    distances = maps.distances[0].flatten(1).T[cells] * maps.stride
    centre = torch.stack([column, row], dim=1) * maps.stride + maps.stride // 2
    boxes = cut(torch.cat([centre - distances[:, :2], centre + distances[:, 2:]], dim=1), frame)
    return boxes, torch.where(real, classes[cells], 0.0), scores, maps.features[0].flatten(1).T[cells]


def _features_at(levels: list[LevelMaps], boxes: Tensor) -> Tensor:
    """Re-id features at the centres of boxes, as `fcos_select.features_at` gives them."""
    reach = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    features = torch.zeros_like(boxes[:, :1])
    min_reach = -1  # reach above which a box belongs to the level; every box belongs to the first
    for maps in levels:
        rows, columns = _axes(maps)
        column, row = (centres / maps.stride).long().clamp(min=0).unbind(dim=1)
        here = maps.features[0][:, row.minimum(rows[-1]), column.minimum(columns[-1])].T
        features = torch.where((reach > min_reach)[:, None], here, features)
        min_reach = maps.stride * REACH_IN_STRIDES
    return features


def _axes(maps: LevelMaps) -> tuple[Tensor, Tensor]:
    """Row and column numbers as tensors, because the exporter cannot divide by or clamp to a size."""
    height, width = maps.features.shape[2:]
    return torch.arange(height), torch.arange(width)
