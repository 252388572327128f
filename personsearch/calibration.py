"""Choose the similarity threshold for a match from labelled pairs of people."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from personsearch.boxes import Array
from personsearch.errors import ConfigError
from personsearch.options import Settings, parse

ROUNDING = 1e-9  # error of a rate times a number of pairs


class Calibration(Settings):
    """A similarity threshold and its two error rates."""

    min_similarity: float = Field(ge=-1, le=1)  # cosine
    false_match_rate: float = Field(ge=0, le=1)  # share of pairs of different people at or above it
    miss_rate: float = Field(ge=0, le=1)  # share of pairs of the same person below it
    data: str  # description of the pairs that the rates were measured on


def calibrate(same: Array, different: Array, *, false_match_rate: float, data: str) -> Calibration:
    """The lowest threshold that keeps a false-match rate on pairs of different people.

    Args:
        same: Cosines of pairs of the same person, (S,).
        different: Cosines of pairs of different people, (D,).
        false_match_rate: Largest allowed share of different pairs at or above the threshold, 0..1.
        data: Description of the pairs, for people to read.

    Raises:
        ConfigError: One kind of pairs is missing, or the rate is outside 0..1.
    """
    if not len(same) or not len(different):
        raise ConfigError(
            f"a threshold needs pairs of both kinds; got {len(same)} of the same person and {len(different)} of different people"
        )
    if not 0 <= false_match_rate <= 1:
        raise ConfigError(f"false_match_rate must be 0..1, got {false_match_rate}")
    ordered = np.sort(different)[::-1]
    allowed = math.floor(false_match_rate * len(ordered) + ROUNDING)
    threshold = -1.0 if allowed >= len(ordered) else float(np.nextafter(np.float32(ordered[allowed]), np.float32(2)))
    threshold = min(1.0, threshold)
    return Calibration(min_similarity=threshold, data=data, **rates(same, different, threshold))


def rates(same: Array, different: Array, min_similarity: float) -> dict[str, float]:
    """The fields `false_match_rate` and `miss_rate` of a threshold, measured on pairs (see `calibrate`)."""
    return {"false_match_rate": float((different >= min_similarity).mean()), "miss_rate": float((same < min_similarity).mean())}


def stored(config: Mapping[str, Any]) -> Calibration | None:
    """The calibration in a model's config.json; None if it has none.

    Raises:
        ConfigError: The calibration is malformed.
    """
    return None if config.get("calibration") is None else parse(Calibration, config["calibration"], "calibration")
