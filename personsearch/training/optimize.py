"""The optimizer of a recipe, and its learning rate at every step."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from personsearch.errors import ConfigError
from personsearch.training.initialise import OFFSETS
from personsearch.training.recipes.schema import OptimizerRecipe

NORMS = (_BatchNorm, nn.GroupNorm)


def freeze(network: nn.Module, beginnings: tuple[str, ...]) -> None:
    """Parameters whose names begin so do not learn.

    Raises:
        ConfigError: a beginning fits no parameter.
    """
    for beginning in beginnings:
        found = [parameter for name, parameter in network.named_parameters() if name.startswith(beginning)]
        # frozen batch norms have no parameters
        if not found and not any(name.startswith(beginning) for name, _ in network.named_buffers()):
            raise ConfigError(f"frozen: no part of the network begins with {beginning!r}")
        for parameter in found:
            parameter.requires_grad_(False)


def build_optimizer(module: nn.Module, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """The optimizer of all that learns, with the recipe's rules for biases and for offsets."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, 1.0): []}
    for name, part in module.named_modules():
        for key, parameter in part.named_parameters(recurse=False):
            if parameter.requires_grad:
                groups.setdefault(_factors(name, part, key, recipe), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "lr": recipe.learning_rate * rate, "weight_decay": recipe.weight_decay * decay}
        for (rate, decay), parameters in groups.items()
        if parameters
    ]
    settings = [one | {"base_rate": one["lr"]} for one in settings]
    if recipe.name == "adamw":
        return torch.optim.AdamW(settings, betas=(recipe.momentum, 0.999))
    return torch.optim.SGD(settings, momentum=recipe.momentum)


def rate_factor(step: int, steps_per_epoch: int, epochs: int, recipe: OptimizerRecipe) -> float:
    """What the base learning rate is multiplied by at a step, counted from 0 over the whole training."""
    lengths = {"epoch": steps_per_epoch, "epoch_less_one": steps_per_epoch - 1}
    warmup = lengths[recipe.warmup_steps] if isinstance(recipe.warmup_steps, str) else recipe.warmup_steps
    factor = 1.0
    if step < warmup:
        factor = recipe.warmup_start + (1 - recipe.warmup_start) * step / warmup
    if recipe.schedule == "cosine":
        return factor * (1 + math.cos(math.pi * step / (steps_per_epoch * epochs))) / 2
    drops = sum(step >= drop * steps_per_epoch for drop in recipe.drops)
    return float(factor * recipe.drop_factor**drops)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Multiply every group's base learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor


def _factors(name: str, part: nn.Module, key: str, recipe: OptimizerRecipe) -> tuple[float, float]:
    """On the learning rate and on the weight decay of a parameter."""
    rate = recipe.offset_rate if name.endswith(OFFSETS) else 1.0
    if key == "bias" and _has_rule(name, part, recipe):
        return rate * recipe.bias_rate, recipe.bias_decay
    return rate, 1.0


def _has_rule(name: str, part: nn.Module, recipe: OptimizerRecipe) -> bool:
    if recipe.biases == "plain":
        return not isinstance(part, NORMS) and not name.endswith(OFFSETS)
    return recipe.biases == "all"
