"""GFN's gallery filter: how likely each scene of a gallery shows the query person."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.errors import ConfigError, PersonSearchError, ShapeError

SHORTEST = 1e-12  # a norm below it counts as this, so that nothing is divided by zero
SCENES_AT_ONCE = 2048  # 16 MB of scenes of 2,048 numbers


@dataclass(frozen=True)
class GFN:
    """Options of ranking with GFN's scene scores: each person's key is multiplied by the score of the person's scene.

    The authors' numbers multiply the cosine by the detection score too, as SeqNeXt's models do by default. They leave out no scene;
    `filter_cost` tells on labelled queries what leaving some out costs.

    Raises:
        ConfigError: min_scene_score is not a number of 0 to 1.
    """

    min_scene_score: float | None = None  # scenes below it are left out before ranking; scores are 0.2689..0.7311. None: all are ranked

    def __post_init__(self) -> None:
        if self.min_scene_score is not None and not 0 <= checks.number("GFN's min_scene_score", self.min_scene_score) <= 1:
            raise ConfigError(f"GFN's min_scene_score must be within 0..1, got {self.min_scene_score}")


SceneFiltering: TypeAlias = GFN | Literal["gfn"]  # "gfn" is short for GFN()


def scene_filter_options(value: object, error: type[PersonSearchError] = ConfigError) -> GFN | None:
    """The options that `scene_filter=` names, or None.

    Raises:
        PersonSearchError: of class `error`; the value is not a GFN, "gfn" or None.
    """
    if value is None or isinstance(value, GFN):
        return value
    if isinstance(value, str) and value == "gfn":
        return GFN()
    raise error(f'scene_filter must be None, "gfn" or GFN(min_scene_score), got {value!r:.80}')


@dataclass(frozen=True)
class FilterCost:
    """What leaving out scenes below a score costs and saves, over labelled (query, scene) pairs."""

    recall: float  # share of the scenes with the query person that are still ranked; nan without such scenes
    left_out: float  # share of the scenes without the person that are not ranked; nan without such scenes


def filter_cost(scores: Array, shows_person: Array, min_scene_score: float) -> FilterCost:
    """The recall that a threshold costs, and the work that it saves.

    Args:
        scores: (P,) scene scores of (query, scene) pairs.
        shows_person: (P,) bool, whether the scene shows the query person.
        min_scene_score: Threshold of `GFN`.

    Raises:
        ShapeError: the arrays have different lengths.
    """
    if scores.shape != shows_person.shape:
        raise ShapeError(f"each score needs a label, got {scores.shape} and {shows_person.shape}")
    ranked, shows = scores >= min_scene_score, shows_person.astype(bool)
    return FilterCost(_share(ranked[shows]), _share(~ranked[~shows]))


def threshold_at_recall(scores: Array, shows_person: Array, recall: float = 0.99) -> float:
    """The highest `min_scene_score` that still ranks this share of the scenes with the query person.

    Args:
        scores: (P,) scene scores of (query, scene) pairs.
        shows_person: (P,) bool, whether the scene shows the query person.
        recall: Share, above 0 and up to 1; the authors report 0.99.

    Raises:
        ConfigError: recall is out of range, or no scene shows its person.
    """
    positive = np.sort(scores[shows_person.astype(bool)])[::-1]
    if not 0 < recall <= 1 or len(positive) == 0:
        raise ConfigError(f"a threshold needs a recall of 0 to 1 and scenes with their person, got {recall} and {len(positive)} scenes")
    return float(positive[int(np.ceil(recall * len(positive) - 1e-9)) - 1])


@dataclass(frozen=True)
class SceneFilter:
    """What GFN learned to compare scenes with, for a query person.

    The person's embedding opens some numbers of a scene's embedding and shuts others; a batch norm follows. Two scenes are then
    compared by their cosine: the query's own scene and a gallery scene.

    Source: Jaffe and Zakhor, Gallery Filter Network for Person Search (arXiv 2210.12903), Sec. 3; LukeJaffe/GFN@72e8d9e.
    """

    scale: Array  # (D,) float32, the batch norm's factor
    shift: Array  # (D,) float32, what the batch norm adds
    temperature: float  # the person's unit row is divided by it before the sigmoid

    def fuse(self, person: Array, scenes: Array) -> Array:
        """(G, D) float32, the scenes as the person's embedding lets them through.

        Args:
            person: (D,) embedding of any length.
            scenes: (G, D) scene embeddings of any length.
        """
        gate = _sigmoid(_unit(person) / self.temperature)
        fused: Array = _unit(scenes) * (gate * self.scale) + self.shift
        return fused

    def scores(self, person: Array, person_scene: Array, scenes: Array) -> Array:
        """(G,) float32 in 0.2689..0.7311, how likely each scene shows the person; of the person's own scene it is 0.7311.

        Args:
            person: (D,) embedding of the query person, of any length.
            person_scene: (D,) embedding of the scene that the query person was taken from.
            scenes: (G, D) embeddings of the gallery's scenes.
        """
        own = _unit(self.fuse(person, person_scene[None]))[0]
        starts = range(0, len(scenes), SCENES_AT_ONCE)
        cosines = [_unit(self.fuse(person, scenes[start : start + SCENES_AT_ONCE])) @ own for start in starts]
        return _sigmoid(np.concatenate([np.zeros(0, np.float32), *cosines]))


def _share(flags: Array) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def _unit(rows: Array) -> Array:
    unit: Array = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), SHORTEST)
    return unit


def _sigmoid(values: Array) -> Array:
    squashed: Array = 1 / (1 + np.exp(-values))
    return squashed
