"""Strict loading of tensors into a network, and a model folder opened as a `SceneModel`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from personsearch.boxes import Array
from personsearch.errors import WeightsError
from personsearch.models.config import SceneConfig
from personsearch.models.fast.deform_cpu import use_cpu_form
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.fast.region_stage import use_cpu_stages
from personsearch.models.fast.transformer_cpu import use_cpu_heads
from personsearch.models.fast.winograd import use_winograd
from personsearch.models.parts.region_pool import use_cpu_pooling
from personsearch.models.scene import SceneModel, SceneNetwork
from personsearch.options import parse
from personsearch.weights import WEIGHTS_FILE, fingerprint, read_config, read_tensors

NAMES_SHOWN = 8
UNUSED = "num_batches_tracked"  # batch norm's count of training batches; never read


Config = TypeVar("Config", bound=SceneConfig)


def open_scene_folder(folder: Path, device: str, schema: type[Config], build: Callable[[Config], SceneNetwork]) -> SceneModel:
    """The model of a folder: weights loaded strictly, layers merged for speed.

    Args:
        folder: Folder with config.json and model.safetensors.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
        schema: Fields of config.json.
        build: Function from a config to a network with random weights.

    Raises:
        ConfigError: config.json is missing or does not fit `schema`.
        WeightsError: the weights are missing or damaged, or do not fit the network.
    """
    values = read_config(folder)
    config = parse(schema, values, folder)
    network = build(config)
    weights = folder / WEIGHTS_FILE
    load_strict(network, read_tensors(weights), source=str(weights))
    return scene_model(network.eval(), config, fingerprint(values, [weights]), device)


def scene_model(network: SceneNetwork, config: SceneConfig, digest: str, device: str) -> SceneModel:
    """A network in eval mode, optimized in place, as a model with the config's name, threshold and ranking."""
    make_fast(network, device)
    return SceneModel(
        network,
        name=config.name,
        fingerprint=digest,
        min_score=config.min_score,
        confidence_weighted=config.confidence_weighted,
        device=device,
    )


def make_fast(network: nn.Module, device: str) -> None:
    """Replace layers by their fastest forms for the device, in place; the network cannot be trained or saved after this."""
    optimize_for_inference(network)
    if torch.device(device).type == "cpu":
        use_cpu_form(network)
        use_cpu_pooling(network)
        use_cpu_stages(network)
        use_cpu_heads(network)
        use_winograd(network)


def load_strict(network: nn.Module, tensors: Mapping[str, Tensor | Array], *, source: str) -> None:
    """Copy `tensors` into the network's parameters and buffers of the same names.

    Args:
        network: Network with real parameters, not on the meta device.
        tensors: Tensors by name, NumPy or torch, without batch norm's counters.
        source: File of the tensors, named in the error.

    Raises:
        WeightsError: a name is missing or unexpected, or a shape differs.
    """
    own_tensors = check_names(network, tensors, source=source)
    with torch.no_grad():
        for name, tensor in own_tensors.items():
            tensor.copy_(torch.as_tensor(tensors[name]))


def check_names(network: nn.Module, tensors: Mapping[str, Tensor | Array], *, source: str) -> dict[str, Tensor]:
    """The network's own tensors by name, if `tensors` has exactly these names and shapes.

    Raises:
        WeightsError: names or shapes differ; the message names at most 8 of each kind.
    """
    own_tensors = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(UNUSED)}
    problems = [
        _some("missing", own_tensors.keys() - tensors.keys()),
        _some("unexpected", tensors.keys() - own_tensors.keys()),
        _some(
            "of another shape",
            {
                f"{name} {tuple(tensors[name].shape)}, not {tuple(own_tensors[name].shape)}"
                for name in own_tensors.keys() & tensors.keys()
                if tuple(tensors[name].shape) != tuple(own_tensors[name].shape)
            },
        ),
    ]
    message = "; ".join(problem for problem in problems if problem)
    if message:
        raise WeightsError(f"{source} does not fit a {type(network).__name__}: {message}. Take the weights of this network")
    return own_tensors


def _some(kind: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    shown = ordered[:: -(-len(ordered) // NAMES_SHOWN) or 1]  # from every part of the network
    more = f" and {len(ordered) - len(shown)} more" if len(shown) < len(ordered) else ""
    return f"{len(ordered)} {kind} ({', '.join(shown)}{more})" if ordered else ""
