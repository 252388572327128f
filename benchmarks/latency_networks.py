"""The networks that latency.py measures: in their papers' size, with weights that find people, as folders that a user could open.

The authors' networks take their values from tests/data/deterministic_weights.py, which turns names and shapes into values, and are
converted as a downloaded checkpoint is. No weights of Trident, DKD's student or its crop network are published: ours have their papers'
size, SeqNet's tensors where those fit, and values by the same rule elsewhere. nano and small are the bundled models.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Weights = tuple[dict[str, Any], Mapping[str, Any]]  # config.json and tensors under our names


def seqnet() -> Weights:
    """The authors' SeqNet."""
    return _converted("seqnet", _seqnet_tensors())


def nae() -> Weights:
    """NAE: SeqNet's tensors without its first head."""
    return _converted("nae", _nae_tensors())


def nae_plus() -> Weights:
    """NAE+: its projectors are 1x1 convolutions."""
    tensors = _nae_tensors()
    for name in [name for name in tensors if "projectors" in name and name.endswith(".0.weight")]:
        tensors[name] = tensors[name][:, :, None, None]
    return _converted("nae", tensors)


def oim() -> Weights:
    """OIM: NAE with SeqNet's first classifier instead of the norm."""
    config, tensors = nae()
    classes = {f"head.{name.removeprefix('first.')}": value for name, value in seqnet()[1].items() if name.startswith("first.classes.")}
    kept = {name: value for name, value in tensors.items() if ".rescaler." not in name}
    return config | {"architecture": "oim", "name": "oim"}, kept | classes


def alignps(name: str) -> Callable[[], Weights]:
    """AlignPS, AlignPS+ or ROI-AlignPS of the authors."""
    return lambda: _converted(
        "roi-alignps" if name.startswith("roi") else "alignps", import_module("tests.helpers.alignps_golden").checkpoint(name)
    )


def gfn() -> Weights:
    """The authors' SeqNeXt of ConvNeXt-Base with the gallery filter."""
    return _converted("gfn", import_module("tests.helpers.gfn_golden").filled("gfn_convnext_base"))


def coat() -> Weights:
    """The authors' COAT."""
    return _converted("coat", import_module("tests.helpers.gfn_golden").filled("coat"))


def trident() -> Weights:
    """The paper's Trident; its classifiers have no shift, so that about half of the regions score as people before NMS."""
    import torch

    from personsearch.models.trident import Trident, TridentConfig

    config = TridentConfig()
    with torch.device("meta"):
        network = Trident(config)
    return config.model_dump(mode="json"), _with_seqnets(network, {"head.res5.": "first.res5.", "head.boxes.": "first.boxes."})


def dkd() -> Weights:
    """The paper's student: SeqNet's first head detects, a res5 of SeqNet's second head embeds."""
    import torch

    from personsearch.models.dkd import DKD, DKDConfig

    config = DKDConfig()
    with torch.device("meta"):
        network = DKD(config)
    return config.model_dump(mode="json"), _with_seqnets(network, {"detection.": "first.", "reid.res5.": "second.res5."})


def reid() -> Weights:
    """DKD's teacher, which embeds crops."""
    import torch

    from personsearch.models.reid import ReidConfig, ReidNetwork

    config = ReidConfig()
    with torch.device("meta"):
        network = ReidNetwork(config)
    return config.model_dump(mode="json"), _with_seqnets(network, {"backbone.layer4.": "second.res5.layer4."})


ONE_NETWORK: dict[str, Callable[[], Weights]] = {
    "oim": oim,
    "nae": nae,
    "nae-plus": nae_plus,
    "seqnet": seqnet,
    "trident": trident,
    "dkd": dkd,
    "alignps": alignps("alignps"),
    "alignps-plus": alignps("alignps_plus"),
    "roi-alignps": alignps("roi_alignps"),
    "gfn": gfn,
    "coat": coat,
}
NANO = "nano"
SMALL = "small"
BUNDLED = (NANO, SMALL)
TWO_STEP = "two-step"  # [D; R] in DKD's paper: OIM detects, the teacher embeds the crops
NETWORKS = (*ONE_NETWORK, NANO, TWO_STEP)


def write(name: str, folder: Path, short_side: int, long_side: int) -> None:
    """Write the model folder of a network for pictures of a size; the bundled models keep their own input size."""
    size = {"short_side": short_side, "long_side": long_side}
    if name in BUNDLED:
        from personsearch.weights.find import find_model

        shutil.copytree(find_model(name), folder, dirs_exist_ok=True)
    elif name == TWO_STEP:
        from personsearch.models.two_step.combined import DETECTOR, REIDENTIFIER, CombinedConfig

        _save(folder / DETECTOR, *oim(), size)
        _save(folder / REIDENTIFIER, *reid(), {})
        (folder / "config.json").write_text(json.dumps(CombinedConfig().model_dump()))
    else:
        _save(folder, *ONE_NETWORK[name](), size)


def picture(name: str, height: int, width: int) -> Any:
    """RGB uint8 (height, width, 3) in which the network finds people; for the bundled models, which are trained, a rendered scene."""
    if name not in BUNDLED:
        return import_module("tests.data.synth_image").synth(height, width, 1)[:, :, ::-1].copy()
    import cv2

    from personsearch import images
    from personsearch.weights import manifest

    scene = images.load(sorted((manifest.PACKAGE / "data" / "demo" / "scenes").iterdir())[0])
    return cv2.resize(scene, (width, height), interpolation=cv2.INTER_LINEAR)


def _save(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    from personsearch.weights import save_model

    arrays = {key: np.array(value, order="C") for key, value in tensors.items()}  # unlike ascontiguousarray, keeps 0 dimensions
    save_model(folder, {**config, **changes}, arrays)


def _with_seqnets(network: Any, renamed: Mapping[str, str]) -> dict[str, Any]:
    """Values of a network: SeqNet's tensor of the same (or `renamed`) name and shape, else values by rule."""
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


def _converted(source: str, tensors: Mapping[str, Any]) -> Weights:
    from personsearch.convert import CONVERTERS

    result: Weights = import_module(CONVERTERS[source]).convert(tensors, source)
    return result


def _seqnet_tensors() -> dict[str, Any]:
    import torch

    shapes = import_module("tests.helpers.seqnet_golden").shapes()
    fill = import_module("tests.data.deterministic_weights").fill
    filled: dict[str, Any] = fill({name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in shapes.items()}, "seqnet")
    return filled


def _nae_tensors() -> dict[str, Any]:
    return {name: value for name, value in _seqnet_tensors().items() if ".reid_head." not in name and ".faster_rcnn_predictor." not in name}
