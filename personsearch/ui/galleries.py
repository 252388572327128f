"""The open galleries of one service, and the thread that indexes into them."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Literal

from personsearch.errors import GalleryError, PersonSearchError, SourceError, shown
from personsearch.gallery import Gallery, default_location
from personsearch.home import expand_user
from personsearch.indexing import Progress
from personsearch.searcher import PersonSearcher
from personsearch.searching import check_model
from personsearch.ui.catalog import Catalog, Catalogs, Scene, short_name
from personsearch.ui.keys import PersonKey, SceneKey

logger = logging.getLogger(__name__)

State = Literal["waiting", "indexing", "ready", "failed", "stopped"]
MOST_GALLERIES = 1000


class NotOpenError(PersonSearchError, LookupError):
    """A gallery, scene, person or sent picture that this service does not have."""


class _StoppedError(Exception):
    """The service or the user ends the run of indexing."""


@dataclass
class OpenGallery:
    """One source or gallery that was opened on the page."""

    number: int
    source: str
    every: int | None = None
    state: State = "waiting"
    error: str = ""
    progress: Progress | None = None
    gallery: Gallery | None = None  # None until the first people are written
    catalogs: Catalogs = field(default_factory=Catalogs)
    stop: Event = field(default_factory=Event)

    @property
    def name(self) -> str:
        """The last part of the source's path."""
        return short_name(self.source)

    def opened(self) -> Gallery:
        """The gallery.

        Raises:
            NotOpenError: Nothing is indexed yet.
        """
        if self.gallery is None:
            raise NotOpenError(f"{shown(self.source)}: {self.error or 'nothing is indexed yet; ask again in a moment'}")
        return self.gallery

    def catalog(self) -> Catalog:
        """The newest scenes and people."""
        return self.catalogs.newest(self.opened())

    def scene(self, key: SceneKey) -> tuple[Catalog, Scene]:
        """A scene, with the catalog that has it.

        Raises:
            NotOpenError: The gallery has no such scene.
        """
        catalog = self.catalog()
        scene = catalog.scene(key.image, key.frame)
        if scene is None:
            raise NotOpenError(f"gallery {self.number} has no scene {key}; it may have changed, open the list of scenes again")
        return catalog, scene


class Galleries:
    """Everything that is open. Sources are indexed one after the other in a thread; searches go on meanwhile.

    Args:
        searcher: Searcher of the service.
        root: Folder that new sources must be in; None: every file that this user can read.
    """

    def __init__(self, searcher: PersonSearcher, root: Path | None = None) -> None:
        self.searcher, self.root = searcher, None if root is None else Path(os.path.realpath(root))
        self._open: dict[int, OpenGallery] = {}
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, "index")
        self._next = 1

    def add(self, source: str, every: int | None = None, *, anywhere: bool = False) -> OpenGallery:
        """Open a gallery's folder, or index a folder, pattern, picture or video of this machine; returns before it is indexed.

        Args:
            source: Path or pattern.
            every: Step between the frames of a video; None: the gallery's own.
            anywhere: Whether the source may be outside `root`.

        Raises:
            SourceError: The source is an address, is outside `root`, or does not exist.
            GalleryError: Too many galleries are open.
        """
        path = self.check(source, anywhere=anywhere)
        with self._lock:
            same = next((one for one in self._open.values() if one.source == path and one.state in ("waiting", "indexing")), None)
            if same is not None:
                return same
            if len(self._open) >= MOST_GALLERIES:
                raise GalleryError(f"{MOST_GALLERIES} galleries are open; close some")
            before = next((one for one in self._open.values() if one.source == path), None)
            opened = before or OpenGallery(self._next, path)
            self._next += before is None
            opened.every, opened.state, opened.error, opened.progress = every, "waiting", "", None
            opened.stop.clear()
            self._open[opened.number] = opened
        self._thread.submit(self._work, opened)
        return opened

    def show(self, gallery: Gallery) -> OpenGallery:
        """Open a gallery that is at hand."""
        with self._lock:
            opened = OpenGallery(self._next, gallery.location, state="ready", gallery=gallery)
            self._open[opened.number], self._next = opened, self._next + 1
        return opened

    def check(self, source: str, *, anywhere: bool = False) -> str:
        """The absolute path of a source.

        Raises:
            SourceError: It is an address, is outside `root`, or does not exist.
        """
        text = source.strip()
        if not text or "\0" in text or "://" in text:
            raise SourceError(f"a source is the path of a folder, pattern, picture or video of this machine, got {text!r:.80}")
        path = os.path.abspath(expand_user(text))
        fixed = os.path.realpath(path.split("*", 1)[0]) if not os.path.exists(path) else os.path.realpath(path)
        if self.root is not None and not anywhere and not Path(fixed).is_relative_to(self.root):
            raise SourceError(f"{shown(text)}: this service reads {self.root} only")
        if not os.path.exists(path) and not any(sign in text for sign in "*?["):
            raise SourceError(f"{shown(text)}: does not exist on this machine; check the path")
        return path

    def all(self) -> list[OpenGallery]:
        """All open galleries, oldest first."""
        with self._lock:
            return list(self._open.values())

    def get(self, number: int) -> OpenGallery:
        """One gallery.

        Raises:
            NotOpenError: It is not open.
        """
        with self._lock:
            opened = self._open.get(number)
        if opened is None:
            raise NotOpenError(f"gallery {number} is not open; GET /galleries lists those that are")
        return opened

    def person(self, key: PersonKey) -> tuple[Catalog, Scene, int]:
        """A person: the catalog, the scene, and the row of the catalog's people.

        Raises:
            NotOpenError: The gallery is not open, or has no such person.
        """
        catalog, scene = self.get(key.scene.gallery).scene(key.scene)
        row = catalog.row(scene, key.row)
        if row is None:
            raise NotOpenError(f"scene {key.scene} has no person {key.row}; it may have changed, open it again")
        return catalog, scene, row

    def stop(self, number: int) -> OpenGallery:
        """End a run of indexing; what was written stays."""
        opened = self.get(number)
        opened.stop.set()
        return opened

    def close(self, number: int) -> None:
        """Forget an open gallery. Its files stay."""
        self.stop(number)
        with self._lock:
            self._open.pop(number, None)

    def shut_down(self) -> None:
        """End all runs of indexing."""
        for opened in self.all():
            opened.stop.set()
        self._thread.shutdown(cancel_futures=True)

    def _work(self, opened: OpenGallery) -> None:
        """Open or index one source; an error becomes its state."""
        try:
            if opened.stop.is_set():
                raise _StoppedError
            opened.state = "indexing"
            if Gallery.exists(opened.source):
                gallery = Gallery.open(opened.source)
                check_model(gallery, self.searcher.model)
            else:
                gallery = self.searcher.index(opened.source, every=opened.every, progress=lambda progress: self._note(opened, progress))
            opened.gallery, opened.state = gallery, "ready"
        except _StoppedError:
            opened.state = "stopped"
        except (PersonSearchError, OSError) as error:
            logger.warning("%s cannot be indexed: %s", shown(opened.source), error)
            opened.state, opened.error = "failed", str(error)

    def _note(self, opened: OpenGallery, progress: Progress) -> None:
        if opened.stop.is_set():
            raise _StoppedError
        opened.progress = progress
        if opened.gallery is None:
            location = default_location(opened.source, self.searcher.model.fingerprint)
            if Gallery.exists(location):
                opened.gallery = Gallery.open(location)
