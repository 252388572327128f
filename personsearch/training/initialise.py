"""Weights to start from: a classifier's, or another model's, whole or its backbone; and what was taken of them."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from personsearch.convert.checkpoint import read_checkpoint
from personsearch.errors import WeightsError
from personsearch.models.config import BackboneConfig
from personsearch.models.folder import UNUSED, check_names
from personsearch.models.parts.afa import AlignedFeatureAggregation
from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.resnet import LastStage
from personsearch.models.scene_input import RGB_STD
from personsearch.options import Settings, parse
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors

OFFSETS = "conv_offset"  # of deformable convolutions
CLASSIFIER = ("fc.", "conv5.", "classifier.")  # what a classifier has after its last stage
SAFETENSORS = ".safetensors"
TORCHVISION = re.compile(r"resnet50-[0-9a-f]{8}\.pth")  # its ResNet-50 by the name that it is downloaded with
# A last stage of its own is called layer4, whatever the backbone: the same stage in a ShuffleNet and a ConvNeXt, and the other way
LAST_STAGES = (("layer4.", "stage4."), ("layer4.0.", "features.6."), ("layer4.1.", "features.7."))
FIRST_CONVOLUTIONS = ("backbone.conv1.", "backbone.features.0.0.")  # of ConvNeXt the second
BACKBONE, RES5 = "backbone.", "res5.layer4."
REID_HEADS = ("head.", "second.", "reid.", "roi.")  # the heads that embed; their last stage is the same as the backbone's
LIVE_OR_FROZEN = ("batch", "frozen")  # norms that mean the same by the same tensors
BGR = ("alignps", "roi-alignps")  # networks that take BGR pixels less the mean; the others take RGB, over its spread too


NeckOffsets = Literal["zero", "spread"]


class InitialRecipe(Settings):
    """A model to start from, made by a pre-training, say."""

    folder: Path  # of the model
    take: Literal["whole", "backbone"] = "backbone"  # all of it, if it is the same network; or the backbone, for any network


@dataclass(frozen=True)
class Taken:
    """What a network started from."""

    taken: dict[str, str]  # the network's tensor -> the model's
    adapted: tuple[str, ...]  # of these, what was changed for another form of pixels; the rest are equal
    left: tuple[str, ...]  # the model's tensors that have no place
    kept: tuple[str, ...]  # the network's tensors that start as the recipe has it

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        parts = (("took", tuple(self.taken)), ("adapted", self.adapted), ("left", self.left), ("kept", self.kept))
        return "; ".join(f"{what} {len(names)}" + f" ({', '.join(names)})" * bool(names) for what, names in parts)


def initialise(network: nn.Module, config: Any, recipe: InitialRecipe) -> Taken:
    """Copy a model's tensors into a network, in place.

    Into the backbone go the model's backbone and, where that ends before its last stage, the last stage of the head that embeds; this
    goes into every last stage that regions go through, too. Where one of the two takes RGB and the other BGR pixels, the first
    convolution is adapted, so that it gives the same of the same picture.

    Args:
        network: network of a learner.
        config: config of the network, with `architecture` and `backbone`.
        recipe: model to start from, and the part of it to copy.

    Raises:
        ConfigError: the folder's config.json is missing or broken.
        WeightsError: its weights are missing or do not fit: another network (whole), or another backbone.
    """
    values, file = read_config(recipe.folder), recipe.folder / WEIGHTS_FILE
    tensors = {name: torch.from_numpy(array) for name, array in read_tensors(file).items()}
    if "backbone" not in values:
        raise WeightsError(f"{recipe.folder} is a {values['architecture']} without a backbone of ours; start from a model trained here")
    _check_backbones(parse(BackboneConfig, values["backbone"], recipe.folder), config.backbone, recipe.folder)
    if recipe.take == "whole":
        if values["architecture"] != config.architecture:
            wanted = config.architecture
            raise WeightsError(f'{recipe.folder} is a {values["architecture"]}, not a {wanted}; it can give its backbone: take "backbone"')
        sources = {name: name for name in check_names(network, tensors, source=str(file))}
    else:
        sources = _backbone_sources(network, tensors, file)
    first = next(name for name in sources if name.startswith(FIRST_CONVOLUTIONS))
    adapted = () if (values["architecture"] in BGR) == (config.architecture in BGR) else (first,)
    own = network.state_dict()
    for name, source in sources.items():
        tensor = tensors[source]
        own[name].copy_(_other_pixels(tensor, to_bgr=config.architecture in BGR) if name in adapted else tensor)
    used = set(sources.values())
    left = tuple(sorted(name for name in tensors if name not in used))
    kept = tuple(name for name in own if name not in sources and not name.endswith(UNUSED))
    return Taken(sources, adapted, left, kept)


def spread_offsets(network: nn.Module) -> None:
    """Start the offsets of AlignPS's neck away from zero, in place, as the authors' code does.

    Its initialiser reaches every plain convolution of the neck, those that read offsets too. The papers do not say so. How far from its
    cell a tap then samples grows with the backbone's features, and may be many cells.
    Source: daodaofr/AlignPS@5d62dbc (`FPNDcnLconv3Dcn.init_weights`).
    """
    for neck in [module for module in network.modules() if isinstance(module, AlignedFeatureAggregation)]:
        for conv in [module.conv_offset for module in neck.modules() if isinstance(module, DeformConv)]:
            bound = math.sqrt(6 / (conv.weight[0].numel() + conv.weight[:, 0].numel()))
            nn.init.uniform_(conv.weight, -bound, bound)


def load_backbone(network: nn.Module, config: Any, file: Path) -> None:
    """Copy a classifier's weights into the backbone, and its last stage into every last stage that regions go through.

    The file is torchvision's, for RGB pixels, or for a ResNet-50 with Caffe's stride one of Caffe's, for BGR pixels. Where the network
    takes the others, its first convolution is adapted, so that it gives the same of the same picture.

    Args:
        network: Network of a learner.
        config: Config of the network, with `architecture` and `backbone`.
        file: .safetensors, or a .pth of torch.save, under torchvision's names; no code in it is run. The classifier's own layers are
            dropped. Offsets of deformable convolutions stay as they are.

    Raises:
        WeightsError: the file is not one of weights, or of another network: a tensor is missing, too many, or of another shape.
    """
    caffe = config.backbone.style == "caffe"
    if caffe and TORCHVISION.fullmatch(file.name):
        raise WeightsError(
            f"{file} is torchvision's ResNet-50, and this recipe's has Caffe's stride and pixels; take a recipe that ends in -pretrained, "
            'or set network.backbone.style to "pytorch"'
        )
    tensors = {name: tensor for name, tensor in _read_classifier(file).items() if not name.startswith(CLASSIFIER)}
    matched = match_stages(network, tensors, file)
    unused = sorted(name for name in tensors.keys() - set(matched.values()) if not name.endswith(UNUSED))
    if unused:
        raise WeightsError(
            f"{file} has {len(unused)} tensors that a {config.backbone.name} lacks ({', '.join(unused[:3])}, ...); take its weights"
        )
    own, bgr = network.state_dict(), config.architecture in BGR
    first = next(iter(matched))
    for name, source in matched.items():
        tensor = tensors[source]
        own[name].copy_(_other_pixels(tensor, to_bgr=bgr) if name == first and caffe != bgr else tensor)


def _read_classifier(file: Path) -> dict[str, Tensor]:
    if file.suffix == SAFETENSORS:
        return {name: torch.from_numpy(array) for name, array in read_tensors(file).items()}
    if not file.is_file():
        raise WeightsError(f"{file} is missing; download the backbone's weights, for example from torchvision, and name the file")
    return read_checkpoint(file)


def match_stages(network: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> dict[str, str]:
    """Which of a classifier's tensors each tensor of the network's backbone and last stages takes (see `load_backbone`).

    Raises:
        WeightsError: one is missing or of another shape.
    """
    places = {"backbone": network.get_submodule("backbone")}
    places |= {name: part for name, part in network.named_modules() if isinstance(part, LastStage)}
    matched = {}
    for place, part in places.items():
        for name, own in part.state_dict().items():
            if name.endswith(UNUSED) or OFFSETS in name:
                continue
            source = next((other for other in _same_stage(name) if other in tensors), name)
            if source not in tensors or tensors[source].shape != own.shape:
                found = f"has shape {tuple(tensors[source].shape)}" if source in tensors else "is missing"
                raise WeightsError(f"{file}: {name} {found}, {place} needs {tuple(own.shape)}; take the weights of the recipe's backbone")
            matched[f"{place}.{name}"] = source
    return matched


def _same_stage(name: str) -> Iterator[str]:
    """The names that a tensor can have in another network with the same last stage."""
    yield name
    for one, other in LAST_STAGES:
        for here, there in ((one, other), (other, one)):
            if name.startswith(here):
                yield there + name.removeprefix(here)


def _backbone_sources(network: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> dict[str, str]:
    """The network's tensor -> the model's, by way of a classifier's names."""
    named = {name.removeprefix(BACKBONE): name for name in tensors if name.startswith(BACKBONE)}
    if not any(name.startswith(("layer4.", "stage4.")) for name in named):
        last = "stage4." if any(name.startswith("stage2.") for name in named) else "layer4."
        heads = [head for head in REID_HEADS if any(name.startswith(head + RES5) for name in tensors)]
        named |= {last + name.removeprefix(head + RES5): name for head in heads for name in tensors if name.startswith(head + RES5)}
    matched = match_stages(network, {name: tensors[source] for name, source in named.items()}, file)
    return {name: named[source] for name, source in matched.items()}


def _check_backbones(given: BackboneConfig, wanted: BackboneConfig, folder: Path) -> None:
    for field in ("name", "width", "style", "norm"):
        one, other = getattr(given, field), getattr(wanted, field)
        if one != other and not (field == "norm" and {one, other} <= set(LIVE_OR_FROZEN)):
            raise WeightsError(
                f"{folder}: its backbone's {field} is {one!r}, the recipe's {other!r}; set network.backbone.{field} to {one!r}"
            )


def _other_pixels(weight: Tensor, *, to_bgr: bool) -> Tensor:
    """A first convolution (C, 3, h, w) for RGB pixels as `region_input` makes them, for BGR as `dense_input` does, or the other way."""
    spread = 255 * torch.tensor(RGB_STD)[:, None, None]
    return (weight / spread).flip(1) if to_bgr else weight.flip(1) * spread
