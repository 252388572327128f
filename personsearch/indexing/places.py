"""Where the gallery of a source is that has none named."""

import logging
import os
from collections.abc import Collection
from pathlib import Path

from personsearch.errors import GalleryError
from personsearch.gallery import Gallery, default_location
from personsearch.indexing.choices import model_key
from personsearch.models.base import PersonModel
from personsearch.sources import Source

logger = logging.getLogger(__name__)

LISTS = 8  # galleries of different lists that one folder can have
SAME_LIST = 0.5  # of the longer of two lists is in both


def find_place(model: PersonModel, source: Source, min_score: float) -> Path | None:
    """Folder of a source's own gallery; None for a source that nothing names again.

    A list takes the gallery of the list that it has most in common with, at least half of the longer one, among the lists of its
    folders. Otherwise it gets a new one; a folder with `LISTS` of them gives the one away that was used least recently.

    Args:
        model: Model that indexes.
        source: Source to index.
        min_score: Lowest score that is indexed.
    """
    place = source.key()
    if place is None:
        return None
    if source.list_folders:
        return _of_list(source, model.fingerprint)
    location = default_location(place, model.fingerprint)
    before = default_location(place, model_key(model, min_score).fingerprint)  # of galleries made before
    return before if Gallery.exists(before) and not Gallery.exists(location) else location


def _of_list(source: Source, fingerprint: str) -> Path:
    images = {item.image for item in source.items}
    free: list[Path] = []
    used: list[Path] = []
    best, best_share = None, 0.0
    for folder in source.list_folders:
        for number in range(1, LISTS + 1):
            location = default_location(f"{folder} list" if number == 1 else f"{folder} list {number}", fingerprint)
            if not location.exists():
                free += [location] if folder == source.list_folders[0] else []
                continue
            used += [location] if folder == source.list_folders[0] else []
            share = _share(images, location)
            if share > best_share:
                best, best_share = location, share
    if best is None or best_share < SAME_LIST:
        best = free[0] if free else min(used, key=_last_use)
        if not free:
            logger.info("a list of %s replaces the list used least recently, as there are %d", source.list_folders[0], LISTS)
    if best.exists():
        os.utime(best)
    return best


def _share(images: Collection[str], location: Path) -> float:
    """How much of the longer of two lists is in both, 0..1; files that were renamed count as the new names."""
    try:
        stored = Gallery.open(location).images()
    except GalleryError as error:
        logger.warning("skipped a gallery of another list: %s", error)
        return 0.0
    if not stored:  # of a run that was interrupted
        return SAME_LIST
    common = len(stored.keys() & set(images))
    renamed = sum(not os.path.lexists(image) for image in stored if image not in images)
    return (common + min(renamed, len(images) - common)) / max(len(stored), len(images))


def _last_use(location: Path) -> int:
    return location.stat().st_mtime_ns
