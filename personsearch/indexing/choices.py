"""What an earlier run of indexing chose for a gallery, and what a later one may ask for."""

from dataclasses import dataclass

from personsearch import checks
from personsearch.errors import GalleryModelError, GalleryOptionError
from personsearch.gallery import Gallery, ModelKey
from personsearch.indexing.options import check_min_score
from personsearch.models.base import PersonModel, scene_filter_of


@dataclass(frozen=True)
class Choices:
    """The options that decide what a gallery holds."""

    every: int
    min_score: float


def model_key(model: PersonModel, min_score: float) -> ModelKey:
    """The key of a gallery with the people that the model detects from `min_score` on."""
    name, fingerprint = f"{model.name} from score {min_score:g}", f"{model.fingerprint}@{min_score:g}"
    return ModelKey(name, fingerprint, model.embedding_dim, scenes=scene_filter_of(model) is not None)


def choose(gallery: Gallery | None, model: PersonModel, every: int | None, min_score: float | None, *, force: bool = False) -> Choices:
    """The options to index with: those of an existing gallery, else the arguments, else 1 and the model's `min_score`.

    Args:
        gallery: Existing gallery, or None.
        model: Model to index with.
        every: Step between the frames of a video; None: the gallery's.
        min_score: Lowest score; None: the gallery's.
        force: Whether `every` may differ from the gallery's, as everything is read again.

    Raises:
        GalleryOptionError: An argument contradicts what the gallery was indexed with.
        GalleryModelError: Another model made the gallery.
        ConfigError: An argument is out of range or has the wrong type.
    """
    if every is not None:
        every = checks.count("every", every)
    if min_score is not None:
        check_min_score(min_score)
    checks.flag("force", force)
    if gallery is None:
        return Choices(every or 1, model.min_score if min_score is None else min_score)
    if gallery.key.fingerprint.rpartition("@")[0] != model.fingerprint:
        asked = model_key(model, model.min_score if min_score is None else min_score)
        raise GalleryModelError(
            f"gallery {gallery.location} holds embeddings of model {gallery.key}, not of {asked}; they cannot be compared: "
            "use the gallery's model, choose another gallery folder, or delete the gallery and index again"
        )
    stored = model.min_score if gallery.min_score is None else gallery.min_score
    if min_score is not None and f"{min_score:g}" != f"{stored:g}":
        raise GalleryOptionError(
            f"gallery {gallery.location} was indexed with min_score={stored:g}, not with {min_score:g}; leave min_score out, "
            "choose another gallery folder, or delete the gallery and index again"
        )
    if every is not None and gallery.every not in (None, every) and not force and gallery.has_videos:
        raise GalleryOptionError(
            f"gallery {gallery.location} was indexed with every={gallery.every}, not with {every}; leave every out, read everything "
            "again with force=True (--force), or choose another gallery folder"
        )
    return Choices(every or gallery.every or 1, stored)
