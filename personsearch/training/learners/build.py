"""A learner at its start: built of a recipe, repeatable, on a backbone's weights if there are any."""

import logging
from pathlib import Path

import torch

from personsearch.models.alignps import AlignPSConfig
from personsearch.models.dkd import DKDConfig
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.reid import ReidConfig
from personsearch.models.roi_alignps import ROIAlignPSConfig
from personsearch.models.seqnet import SeqNetConfig
from personsearch.models.seqnext import SeqNeXtConfig
from personsearch.models.trident import TridentConfig
from personsearch.options import parse
from personsearch.training.initialise import initialise, load_backbone, spread_offsets
from personsearch.training.learners.base import Learner
from personsearch.training.learners.dense import DenseLearner
from personsearch.training.learners.dkd import DKDLearner
from personsearch.training.learners.pretraining import PretrainingLearner
from personsearch.training.learners.region import RegionLearner
from personsearch.training.learners.reid import ReidLearner
from personsearch.training.learners.roi import ROILearner
from personsearch.training.learners.seqnext import SeqNeXtLearner
from personsearch.training.learners.trident import TridentLearner
from personsearch.training.optimize import freeze
from personsearch.training.recipes.schema import (
    DenseLosses,
    DKDLosses,
    Recipe,
    ReidLosses,
    SeqNeXtLosses,
    TridentLosses,
    TwoBranchLosses,
)

log = logging.getLogger(__name__)


def build_learner(recipe: Recipe, identities: int) -> Learner:
    """The learner of a recipe, with the random weights of its seed, frozen parts frozen.

    Args:
        recipe: network, losses and seed.
        identities: L of the data set.

    Raises:
        ConfigError: the recipe's network is not as its architecture's config has it.
        WeightsError: the weights to start from are missing or another network's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        learner = _build(recipe, identities)
        if recipe.neck_offsets == "spread":
            spread_offsets(learner.network)
    if recipe.backbone_weights is not None:
        load_backbone(learner.network, learner.config, recipe.backbone_weights)
    if recipe.initial is not None:
        learner.taken = initialise(learner.network, learner.config, recipe.initial)
        log.info("%s: %s", recipe.initial.folder, learner.taken)
    freeze(learner.network, recipe.frozen)
    return learner


def _build(recipe: Recipe, identities: int) -> Learner:
    source, losses, values = Path(recipe.name), recipe.losses, recipe.network
    if isinstance(losses, TwoBranchLosses):
        return ROILearner(parse(ROIAlignPSConfig, values, source), losses, identities)
    if isinstance(losses, DenseLosses):
        return DenseLearner(parse(AlignPSConfig, values, source), losses, identities)
    if isinstance(losses, TridentLosses):
        return TridentLearner(parse(TridentConfig, values, source), losses, identities)
    if isinstance(losses, ReidLosses):
        return ReidLearner(parse(ReidConfig, values, source), losses, identities)
    if isinstance(losses, DKDLosses):
        return DKDLearner(parse(DKDConfig, values, source), losses, identities)
    if isinstance(losses, SeqNeXtLosses):
        return SeqNeXtLearner(parse(SeqNeXtConfig, values, source), losses, identities)
    config: RCNNConfig | SeqNetConfig
    config = parse(SeqNetConfig, values, source) if values["architecture"] == "seqnet" else parse(RCNNConfig, values, source)
    if recipe.pretraining is not None:
        return PretrainingLearner(config, losses, identities, recipe.pretraining)
    return RegionLearner(config, losses, identities)
