"""The galleries on this machine: which there are, of which source, and what they were made with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from personsearch import checks
from personsearch.errors import GalleryError
from personsearch.gallery.gallery import Gallery
from personsearch.gallery.location import default_location
from personsearch.gallery.table import Storage
from personsearch.home import expand_user, home


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery holds, and what it was made with."""

    location: str
    people: int
    images: int  # pictures and videos, those without people too
    sources: tuple[str, ...]  # folders, patterns and files that were indexed; lists of files have none
    model: str
    fingerprint: str  # the model's
    embedding_dim: int
    storage: Storage
    min_score: float | None
    every: int | None  # step between the frames of videos
    bytes: int | None  # on the disk; None on an object store
    indexed_ns: int | None  # when the latest image entered, nanoseconds since 1970; None: the gallery is empty
    not_looked: Mapping[str, str]  # picture, video or folder of a source that could not be looked at, or only in part -> reason


def stored_galleries() -> list[str]:
    """Locations of the galleries in `PERSONSEARCH_HOME`, sorted; damaged ones too."""
    return sorted(str(path) for path in (home() / "galleries").glob("*.lance") if path.is_dir())


def describe(location: str | os.PathLike[str]) -> GalleryInfo:
    """What a gallery holds.

    Raises:
        GalleryError: The location has no gallery, or a damaged one.
    """
    gallery = Gallery.open(location)
    records = gallery.images().values()
    return GalleryInfo(
        location=gallery.location,
        people=len(gallery),
        images=gallery.image_count,
        sources=tuple(sorted({record.root for record in records if record.root is not None})),
        model=gallery.key.name,
        fingerprint=gallery.key.fingerprint,
        embedding_dim=gallery.key.embedding_dim,
        storage=gallery.storage,
        min_score=gallery.min_score,
        every=gallery.every,
        bytes=size_on_disk(gallery.location),
        indexed_ns=max((record.indexed_ns for record in records), default=None),
        not_looked=gallery.not_looked,
    )


def galleries_of(source_or_location: str | os.PathLike[str]) -> list[str]:
    """Locations of the galleries that a name means: the gallery at this folder or URI, or those of a source, of every model.

    The source need not exist any more.

    Args:
        source_or_location: Folder or URI of a gallery, its name in `PERSONSEARCH_HOME`, or the folder, pattern or file of a source.

    Raises:
        GalleryError: Nothing of this name is found.
    """
    text = checks.path("gallery", source_or_location, GalleryError)
    if not text or "\0" in text:
        raise GalleryError(f"a gallery needs a folder, URI or source, got {text!r:.80}")
    stored, place = stored_galleries(), os.path.abspath(expand_user(text))
    by_name = [location for location in stored if location == place or Path(location).name in (text, f"{text}.lance")]
    if by_name:
        return by_name  # a damaged one too
    if ("://" in text or os.path.isdir(place)) and Gallery.exists(text):
        return [Gallery.open(text).location]
    matching = [location for location in stored if _is_of(location, place)]
    if not matching:
        folder = home() / "galleries"
        raise GalleryError(f"no gallery at {text}, and none of this source in {folder}; `personsearch galleries list` shows them")
    return matching


def size_on_disk(location: str) -> int | None:
    """Bytes of a gallery's files; None on an object store."""
    if "://" in location:
        return None
    total = 0
    for folder, _, files in os.walk(location):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # another process has just deleted it
                continue
    return total


def _is_of(location: str, place: str) -> bool:
    """Whether a gallery is the one of a source's path, with its own model, or holds images that came from it."""
    try:
        gallery = Gallery.open(location)
        fingerprint = gallery.key.fingerprint
        own = {str(default_location(place, model)) for model in (fingerprint, fingerprint.rpartition("@")[0])}
        return gallery.location in own or any(place == record.root for record in gallery.images().values())
    except GalleryError:  # damaged
        return False
