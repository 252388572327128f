"""The networks that latency.py measures: each in its paper's size, filled so that it finds people, as a folder that a user could open.

The authors' networks are filled by the rule of tests/data, which turns names and shapes into values, and converted as a downloaded
checkpoint is. Nobody published a Trident, a DKD student or its crop network: ours are built in their papers' size, take SeqNet's
tensors where those fit, and the rule's values under our own names elsewhere. The small model is the package's own.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Filled = tuple[dict[str, Any], Mapping[str, Any]]  # config.json and tensors under our names


def seqnet() -> Filled:
    """The authors' SeqNet."""
    return _converted("seqnet", _seqnet_tensors())


def nae() -> Filled:
    """NAE: SeqNet's tensors without its first head."""
    return _converted("nae", _nae_tensors())


def nae_plus() -> Filled:
    """NAE+: its projectors are 1x1 convolutions."""
    tensors = _nae_tensors()
    for name in [name for name in tensors if "projectors" in name and name.endswith(".0.weight")]:
        tensors[name] = tensors[name][:, :, None, None]
    return _converted("nae", tensors)


def oim() -> Filled:
    """OIM: NAE with SeqNet's first classifier instead of the norm."""
    config, tensors = nae()
    classes = {f"head.{name.removeprefix('first.')}": value for name, value in seqnet()[1].items() if name.startswith("first.classes.")}
    kept = {name: value for name, value in tensors.items() if ".rescaler." not in name}
    return config | {"architecture": "oim", "name": "oim"}, kept | classes


def alignps(name: str) -> Callable[[], Filled]:
    """AlignPS, AlignPS+ or ROI-AlignPS of the authors."""
    return lambda: _converted(
        "roi-alignps" if name.startswith("roi") else "alignps", import_module("tests.helpers.alignps_golden").checkpoint(name)
    )


def trident() -> Filled:
    """The paper's Trident; its classifiers have no shift, so that about half of the regions are called people before NMS."""
    import torch

    from personsearch.models.trident import Trident, TridentConfig

    config = TridentConfig()
    with torch.device("meta"):
        network = Trident(config)
    return config.model_dump(mode="json"), _with_seqnets(network, {"head.res5.": "first.res5.", "head.boxes.": "first.boxes."})


def dkd() -> Filled:
    """The paper's student: SeqNet's first head finds, a res5 of SeqNet's second head embeds."""
    import torch

    from personsearch.models.dkd import DKD, DKDConfig

    config = DKDConfig()
    with torch.device("meta"):
        network = DKD(config)
    return config.model_dump(mode="json"), _with_seqnets(network, {"detection.": "first.", "reid.res5.": "second.res5."})


def reid() -> Filled:
    """DKD's teacher, which embeds crops."""
    import torch

    from personsearch.models.reid import ReidConfig, ReidNetwork

    config = ReidConfig()
    with torch.device("meta"):
        network = ReidNetwork(config)
    return config.model_dump(mode="json"), _with_seqnets(network, {"backbone.layer4.": "second.res5.layer4."})


ONE_NETWORK: dict[str, Callable[[], Filled]] = {
    "oim": oim,
    "nae": nae,
    "nae-plus": nae_plus,
    "seqnet": seqnet,
    "trident": trident,
    "dkd": dkd,
    "alignps": alignps("alignps"),
    "alignps-plus": alignps("alignps_plus"),
    "roi-alignps": alignps("roi_alignps"),
}
NANO = "nano"
TWO_STEP = "two-step"  # the [D; R] of DKD's paper: OIM finds, the teacher embeds the crops
NETWORKS = (*ONE_NETWORK, NANO, TWO_STEP)


def write(name: str, folder: Path, short_side: int, long_side: int) -> None:
    """The model folder of a network for pictures of a size; the small model keeps its own input size."""
    size = {"short_side": short_side, "long_side": long_side}
    if name == NANO:
        from personsearch.weights.find import find_model

        shutil.copytree(find_model(NANO), folder, dirs_exist_ok=True)
    elif name == TWO_STEP:
        from personsearch.models.two_step.combined import DETECTOR, REIDENTIFIER, CombinedConfig

        _save(folder / DETECTOR, *oim(), size)
        _save(folder / REIDENTIFIER, *reid(), {})
        (folder / "config.json").write_text(json.dumps(CombinedConfig().model_dump()))
    else:
        _save(folder, *ONE_NETWORK[name](), size)


def picture(name: str, height: int, width: int) -> Any:
    """RGB uint8 (height, width, 3) in which the network finds people; for the small model, which has learnt, a rendered scene."""
    if name != NANO:
        return import_module("tests.data.synth_image").synth(height, width, 1)[:, :, ::-1].copy()
    import cv2

    from personsearch import images
    from personsearch.weights import manifest

    scene = images.load(sorted((manifest.PACKAGE / "data" / "demo" / "scenes").iterdir())[0])
    return cv2.resize(scene, (width, height), interpolation=cv2.INTER_LINEAR)


def _save(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    from personsearch.weights import save_model

    arrays = {key: np.array(value, order="C") for key, value in tensors.items()}  # keeps a scalar one
    save_model(folder, {**config, **changes}, arrays)


def _with_seqnets(network: Any, renamed: Mapping[str, str]) -> dict[str, Any]:
    """Values for a network of our own: SeqNet's where it has such a tensor, by the same name or as `renamed`, else the rule's."""
    from personsearch.models.folder import UNUSED

    value = import_module("tests.data.deterministic_weights").value
    _, theirs = seqnet()
    tensors = {}
    for key, tensor in network.state_dict().items():
        name = next((new + key.removeprefix(old) for old, new in renamed.items() if key.startswith(old)), key)
        if name in theirs and theirs[name].shape == tensor.shape:
            tensors[key] = theirs[name]
        elif not key.endswith(UNUSED):
            tensors[key] = value(key, tuple(tensor.shape), "seqnet")
    return tensors


def _converted(source: str, tensors: Mapping[str, Any]) -> Filled:
    from personsearch.convert import CONVERTERS

    result: Filled = import_module(CONVERTERS[source]).convert(tensors, source)
    return result


def _seqnet_tensors() -> dict[str, Any]:
    import torch

    shapes = import_module("tests.helpers.seqnet_golden").shapes()
    fill = import_module("tests.data.deterministic_weights").fill
    filled: dict[str, Any] = fill({name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in shapes.items()}, "seqnet")
    return filled


def _nae_tensors() -> dict[str, Any]:
    return {name: value for name, value in _seqnet_tensors().items() if ".reid_head." not in name and ".faster_rcnn_predictor." not in name}
