"""One run of indexing: find or make the gallery of a source, and bring it up to date."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from personsearch.checks import shown
from personsearch.errors import SourceError
from personsearch.gallery import Gallery, Storage, temporary_gallery
from personsearch.indexing.choices import choose, model_key
from personsearch.indexing.options import IndexOptions
from personsearch.indexing.places import find_place
from personsearch.indexing.updating import open_source, update
from personsearch.models.base import PersonModel, name_with_engine

logger = logging.getLogger(__name__)


def index_source(
    model: PersonModel,
    source: Any,
    options: IndexOptions,
    *,
    gallery: str | None = None,
    every: int | None = None,
    min_score: float | None = None,
    storage: Storage | None = None,
) -> Gallery:
    """The gallery of a source, with the source's people; see `PersonSearcher.index`.

    Args:
        model: Model to index with.
        source: Source as the user passed it.
        options: How to index; its `every` and `min_score` are those of a new gallery.
        gallery: Folder or URI of the gallery; None: one for the source and the model.
        every: Step between the frames of a video that the user passed; None: the gallery's own.
        min_score: Lowest score that the user passed; None: the gallery's own.
        storage: Number format of the embeddings.

    Raises:
        PersonSearchError: See `PersonSearcher.index`.
    """
    stored = options.storage_options
    opened = open_source(source, stored)
    location = find_place(model, opened, options.min_score) if gallery is None else gallery
    existing = None
    if location is not None and Gallery.exists(location, storage_options=stored):
        existing = Gallery.open(location, storage_options=stored)
    if existing is None and opened.problems and not opened.items:  # nothing is known of it
        raise SourceError(next(iter(opened.problems.values())))
    choices = choose(existing, model, every, min_score, force=options.force)
    options = replace(options, every=choices.every, min_score=choices.min_score)
    key = model_key(model, options.min_score)
    if location is None:  # nothing finds it again
        result = temporary_gallery(key, storage=storage)
    else:
        result = Gallery.create_or_open(location, key, storage=storage, every=options.every, storage_options=stored)
        result.set_every(options.every)
    if logger.isEnabledFor(logging.INFO):
        _say_what_is_read(None if existing is None else result, location, options)
    logger.info("model %s, min_score=%g, every=%d", name_with_engine(model), options.min_score, options.every)
    report = result.report = update(model, opened, result, options, owned=gallery is None)
    counts = {name: len(getattr(report, name)) for name in ("added", "changed", "renamed", "removed", "unchanged", "not_looked")}
    logger.info("gallery %s: %s", shown(result.location), ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
    return result


def _say_what_is_read(gallery: Gallery | None, location: str | Path | None, options: IndexOptions) -> None:
    """Log which gallery is brought up to date, and what is read for it."""
    if location is None:
        logger.info("a temporary gallery, as nothing names this source again: everything is read")
    elif gallery is None:
        logger.info("gallery %s does not exist yet: everything is read", shown(location))
    elif options.force:
        logger.info("gallery %s has %d images: everything is read again, as asked", shown(location), gallery.image_count)
    else:
        logger.info("gallery %s has %d images: new and changed ones are read", shown(location), gallery.image_count)
