"""GFN's gallery filter: how likely each scene of a gallery shows the query person."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array

SHORTEST = 1e-12  # a norm below it counts as this, so that nothing is divided by zero
SCENES_AT_ONCE = 2048  # 16 MB of scenes of 2,048 numbers


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


def _unit(rows: Array) -> Array:
    unit: Array = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), SHORTEST)
    return unit


def _sigmoid(values: Array) -> Array:
    squashed: Array = 1 / (1 + np.exp(-values))
    return squashed
