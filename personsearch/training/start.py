"""A learner at its start: built of a recipe, repeatable, on a backbone's weights if there are any."""

from pathlib import Path

import torch
from torch import nn

from personsearch.errors import WeightsError
from personsearch.models.alignps import AlignPSConfig
from personsearch.models.config import parse_config
from personsearch.models.dkd import DKDConfig
from personsearch.models.folder import UNUSED
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.reid import ReidConfig
from personsearch.models.resnet import LastStage
from personsearch.models.roi_alignps import ROIAlignPSConfig
from personsearch.models.seqnet import SeqNetConfig
from personsearch.models.trident import TridentConfig
from personsearch.training.dense_learner import DenseLearner
from personsearch.training.dkd_learner import DKDLearner
from personsearch.training.learner import Learner
from personsearch.training.optimize import OFFSETS, freeze
from personsearch.training.pretraining_learner import PretrainingLearner
from personsearch.training.recipes import DenseLosses, DKDLosses, Recipe, ReidLosses, TridentLosses, TwoBranchLosses
from personsearch.training.region_learner import RegionLearner
from personsearch.training.reid_learner import ReidLearner
from personsearch.training.roi_learner import ROILearner
from personsearch.training.trident_learner import TridentLearner
from personsearch.weights import read_tensors

CLASSIFIER = ("fc.", "conv5.")  # what a classifier has after its last stage


def build_learner(recipe: Recipe, identities: int) -> Learner:
    """The learner of a recipe, with the random weights of its seed, frozen parts frozen.

    Args:
        recipe: network, losses and seed.
        identities: L of the data set.

    Raises:
        ConfigError: the recipe's network is not as its architecture's config has it.
        WeightsError: the backbone's weights are missing or another backbone's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        learner = _build(recipe, identities)
    if recipe.backbone_weights is not None:
        load_backbone(learner.network, recipe.backbone_weights)
    freeze(learner.network, recipe.frozen)
    return learner


def _build(recipe: Recipe, identities: int) -> Learner:
    source, losses, values = Path(recipe.name), recipe.losses, recipe.network
    if isinstance(losses, TwoBranchLosses):
        return ROILearner(parse_config(ROIAlignPSConfig, values, source), losses, identities)
    if isinstance(losses, DenseLosses):
        return DenseLearner(parse_config(AlignPSConfig, values, source), losses, identities)
    if isinstance(losses, TridentLosses):
        return TridentLearner(parse_config(TridentConfig, values, source), losses, identities)
    if isinstance(losses, ReidLosses):
        return ReidLearner(parse_config(ReidConfig, values, source), losses, identities)
    if isinstance(losses, DKDLosses):
        return DKDLearner(parse_config(DKDConfig, values, source), losses, identities)
    config: RCNNConfig | SeqNetConfig
    config = parse_config(SeqNetConfig, values, source) if values["architecture"] == "seqnet" else parse_config(RCNNConfig, values, source)
    if recipe.pretraining is not None:
        return PretrainingLearner(config, losses, identities, recipe.pretraining)
    return RegionLearner(config, losses, identities)


def load_backbone(network: nn.Module, file: Path) -> None:
    """Copy a classifier's weights into the backbone, and its last stage into every last stage that regions go through.

    Args:
        network: one of the library's networks for scenes.
        file: safetensors under torchvision's names; the classifier's own layers are not needed. Offsets of deformable
            convolutions, which it does not have, stay as they are.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    tensors = {name: torch.from_numpy(array) for name, array in read_tensors(file).items() if not name.startswith(CLASSIFIER)}
    # a last stage of its own is called layer4, whatever the backbone
    tensors |= {name.replace("stage4.", "layer4.", 1): one for name, one in tensors.items() if name.startswith("stage4.")}
    parts = {"backbone": network.get_submodule("backbone")}
    parts |= {name: part for name, part in network.named_modules() if isinstance(part, LastStage)}
    for place, part in parts.items():
        for name, own in part.state_dict().items():
            if name.endswith(UNUSED) or OFFSETS in name:
                continue
            if name not in tensors or tensors[name].shape != own.shape:
                found = f"has shape {tuple(tensors[name].shape)}" if name in tensors else "is missing"
                raise WeightsError(f"{file}: {name} {found}, {place} needs {tuple(own.shape)}; take the weights of the recipe's backbone")
            own.copy_(tensors[name])
