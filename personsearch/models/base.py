"""The interface of every model: detect people in scenes, embed boxes and crops."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from personsearch.boxes import Array
from personsearch.errors import ConfigError
from personsearch.ranking import SceneFilter
from personsearch.results import Detections


@runtime_checkable
class PersonModel(Protocol):
    """Detects and embeds people; every `PersonSearcher` has one.

    `prepare` is called from decoding threads while the network runs, so it must not touch shared state;
    the other methods are called from one thread, unless the model has `batches_at_once`, the number of threads that may call `detect`
    at the same time. A model whose paper ranks by cosine x score also has `confidence_weighted = True`.
    """

    @property
    def name(self) -> str:
        """Short name shown to users."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides a feature: weights, preprocessing, thresholds. A gallery belongs to one fingerprint."""

    @property
    def embedding_dim(self) -> int:
        """D, the length of an embedding."""

    @property
    def min_score(self) -> float:
        """Score from which a detection enters a gallery (the threshold of the paper's protocol)."""

    def prepare(self, image: Array) -> Any:
        """The network's input for one RGB uint8 image (H, W, 3)."""

    def detect(self, prepared: Sequence[Any], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each prepared image from `min_score` on, best first, boxes in original pixels.

        0 gives every detection that the network keeps; with a higher score a model may skip embedding the others.
        """

    def embed(self, prepared: Sequence[Any], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) float32 unit rows for each image's (N, 4) boxes (xyxy original pixels, inside the image; N may be 0)."""

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N crops of people, RGB uint8 (H, W, 3)."""


@runtime_checkable
class SceneEmbedder(Protocol):
    """What a model with GFN offers besides: embeddings of whole scenes, and what compares them for a query person."""

    @property
    def scene_filter(self) -> SceneFilter | None:
        """What compares scenes; None: this network has no gallery filter."""

    def embed_scenes(self, prepared: Sequence[Any]) -> Array:
        """(N, S) float32 unit rows of N prepared scenes."""


def ranks_by_score(model: PersonModel) -> bool:
    """Whether the model's paper ranks by cosine x score; a model that does not say ranks by cosine."""
    return bool(getattr(model, "confidence_weighted", False))


def batches_at_once(model: PersonModel) -> int:
    """Number of batches that the model may run at the same time; 1 for a model that does not say."""
    return int(getattr(model, "batches_at_once", 1))


def scene_filter_of(model: PersonModel) -> SceneFilter | None:
    """What compares scenes for a model with GFN; None for every other model."""
    return model.scene_filter if isinstance(model, SceneEmbedder) else None


def on_device(model: PersonModel) -> str:
    """The device as a part of a searcher's `repr`, or an empty string for a model without this attribute."""
    device = _device(model)
    return "" if device is None else f" on {device}"


def device_of(model: PersonModel) -> str:
    """The device that the model runs on, such as "cuda:0"; "cpu" for a model that does not say."""
    return str(_device(model) or "cpu")


def _device(model: PersonModel) -> Any:
    return getattr(model, "device", None) or getattr(getattr(model, "detector", None), "device", None)


def name_with_engine(model: PersonModel) -> str:
    """The model's name, its class, and the classes of its detector and embedder, which tell the engine that runs it."""
    parts = [getattr(model, part) for part in ("detector", "embedder") if hasattr(model, part)]
    return f"{model.name} ({', '.join(type(part).__name__ for part in (model, *parts))})"


def checked_model(model: PersonModel) -> PersonModel:
    """The model.

    Raises:
        ConfigError: It is not a model, but a name, say.
    """
    missing = [name for name in ("fingerprint", "embedding_dim", "prepare", "detect") if not hasattr(model, name)]
    if missing:
        raise ConfigError(f"a model is an object with {', '.join(missing)}, got {model!r:.80}; open one by name with from_pretrained")
    return model
