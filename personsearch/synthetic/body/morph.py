"""The naked body: the base mesh moved by weighted shape targets."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body.assets import Assets

AGES = ("child", "young", "old")
RACES = ("caucasian", "asian", "african")


@dataclass(frozen=True)
class Shape:
    """The body's build."""

    gender: float  # 0 woman .. 1 man
    ages: tuple[float, float, float]  # child, young, old; sum 1
    races: tuple[float, float, float]  # caucasian, asian, african; sum 1
    weight: float  # -1 thin .. 1 heavy
    scale: float


def target_weights(shape: Shape) -> dict[str, float]:
    """How much of each target a shape takes: products of gender, age and race or build. Less than a millimetre is left out."""
    weights: dict[str, float] = {}
    for gender, gender_share in (("female", 1.0 - shape.gender), ("male", shape.gender)):
        for age, age_share in zip(AGES, shape.ages, strict=True):
            for race, race_share in zip(RACES, shape.races, strict=True):
                weights[f"{race}-{gender}-{age}"] = gender_share * age_share * race_share
            build = "max" if shape.weight > 0 else "min"
            weights[f"universal-{gender}-{age}-averagemuscle-{build}weight"] = gender_share * age_share * abs(shape.weight)
    return {name: weight for name, weight in weights.items() if weight > 0.004}


def morph(assets: Assets, shape: Shape) -> Array:
    """(V, 3) float64 base vertices of a body, dm; helper vertices move along. Targets that the folder lacks count as empty."""
    vertices: Array = assets.base.vertices.copy()
    for name, weight in target_weights(shape).items():
        if name in assets.targets:
            rows, shift = assets.targets[name]
            vertices[rows] += weight * shift
    return np.asarray(vertices * shape.scale)
