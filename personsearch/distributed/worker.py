"""What a worker does: open the model, read chunks, and write their people to files that no version of the gallery names yet."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from personsearch.distributed.chunks import Chunk
from personsearch.errors import GalleryModelError
from personsearch.gallery import FramePeople, Gallery, ModelKey, write_files
from personsearch.indexing import IndexOptions, Plan, Run
from personsearch.models.base import PersonModel, scene_filter_of
from personsearch.options import Precision

Opening: TypeAlias = Callable[[], PersonModel]  # opens the model in the worker


@dataclass(frozen=True)
class Description:
    """The model as one worker opened it."""

    name: str
    fingerprint: str
    embedding_dim: int
    min_score: float
    scenes: bool  # whether it embeds whole scenes too
    node: str  # machine of the worker

    def key(self, min_score: float) -> ModelKey:
        """The key of a gallery of this model, as `personsearch.indexing.model_key`."""
        name, fingerprint = f"{self.name} from score {min_score:g}", f"{self.fingerprint}@{min_score:g}"
        return ModelKey(name, fingerprint, self.embedding_dim, scenes=self.scenes)

    def check_same(self, other: "Description") -> None:
        """Check that two workers have the same model.

        Raises:
            GalleryModelError: They have not.
        """
        if (self.fingerprint, self.embedding_dim) != (other.fingerprint, other.embedding_dim):
            raise GalleryModelError(
                f"the worker on {self.node} has model {self.name} ({self.fingerprint[:12]}), {other.node} has {other.name} "
                f"({other.fingerprint[:12]}); their embeddings cannot be compared: give all workers the same backend and device, for "
                "example by gpus_per_worker, or by device='cpu'"
            )


@dataclass
class Written:
    """What one chunk gave."""

    fragments: list[str] = field(default_factory=list)  # files for `changes.add_files`
    unreadable: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    people: int = 0


class Worker:
    """One worker; Ray makes an actor of it.

    Args:
        opening: Opens the model.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._model: PersonModel | None = None

    @property
    def model(self) -> PersonModel:
        """The model, opened when it is first needed, so that an error of opening is one of a call and not of the actor."""
        if self._model is None:
            self._model = self._opening()
        return self._model

    def describe(self) -> Description:
        """What the model is on this machine; a backend that the machine lacks would give other embeddings."""
        model = self.model
        scenes = scene_filter_of(model) is not None
        return Description(model.name, model.fingerprint, model.embedding_dim, model.min_score, scenes, socket.gethostname())

    def read(self, chunk: Chunk, gallery: Gallery, options: IndexOptions, indexed_ns: int) -> Written:
        """Detect the people of a chunk, and write them to files."""
        return read_chunk(self.model, chunk, gallery, options, indexed_ns)


def read_chunk(model: PersonModel, chunk: Chunk, gallery: Gallery, options: IndexOptions, indexed_ns: int) -> Written:
    """Detect the people of a chunk, and write them to files that no version of the gallery names yet.

    Args:
        model: Model of the gallery.
        chunk: Items to read.
        gallery: Gallery that the files are for.
        options: How to index.
        indexed_ns: Time of writing, the same for the whole run.
    """
    plan = Plan(todo=list(chunk.items), done=dict(chunk.done))
    people: list[FramePeople] = []
    run = Run(model, people.extend, options)
    run.read(plan)
    run.finish()
    if chunk.is_open:  # further frames of the video are in other chunks
        people = [replace(frame, last=False) for frame in people]
    fragments = write_files(gallery, people, indexed_ns + chunk.later) if people else []
    count = sum(len(frame.detections) for frame in people)
    return Written(fragments, plan.unreadable, plan.partial, len(people), count)


def opening_of(model: Any, device: str, precision: Precision) -> Opening:
    """How a worker opens a model: by name or folder, or by a function of the caller."""
    if callable(model):
        return _Called(model)
    return _Named(model, device, precision)


@dataclass(frozen=True)
class _Called:
    function: Callable[[], Any]

    def __call__(self) -> PersonModel:
        made = self.function()
        model: PersonModel = getattr(made, "model", made)  # of a searcher its model
        return model


@dataclass(frozen=True)
class _Named:
    name: Any
    device: str
    precision: Precision

    def __call__(self) -> PersonModel:
        from personsearch.searcher import PersonSearcher

        return PersonSearcher.from_pretrained(self.name, device=self.device, precision=self.precision).model
