"""A gallery that nothing finds again, and that is therefore deleted with the object that opened it."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from personsearch.gallery.gallery import Gallery
from personsearch.gallery.table import ModelKey, Storage


def temporary_gallery(key: ModelKey, *, storage: Storage | None = None) -> Gallery:
    """A new gallery in the system's folder for temporary files; its files go with the returned object, at the latest at exit."""
    folder = tempfile.mkdtemp(prefix="personsearch-")
    try:
        gallery = Gallery.create_or_open(Path(folder, "gallery.lance"), key, storage=storage)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(gallery, _delete, folder, os.getpid())
    return gallery


def _delete(folder: str, process: int) -> None:
    if os.getpid() == process:  # a forked child has a copy of the object, and must leave its parent's files
        shutil.rmtree(folder, ignore_errors=True)
