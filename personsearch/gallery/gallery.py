"""A gallery: the people of a set of pictures and videos with their embeddings, stored on disk as one Lance table."""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from personsearch import checks
from personsearch.boxes import Array
from personsearch.errors import ConfigError, GalleryError, GalleryModelError
from personsearch.gallery import changes, clusters, export, removal, unseen, vector_index
from personsearch.gallery.creation import create_table
from personsearch.gallery.location import check_free, find_table, guarded, resolve, retried
from personsearch.gallery.records import ImageRecords
from personsearch.gallery.snapshot import Snapshot
from personsearch.gallery.table import (
    STORAGES,
    FileFacts,
    FramePeople,
    ImageRecord,
    ModelKey,
    People,
    Storage,
    read_every,
    read_key,
    storage_of,
)
from personsearch.gallery.where import Where

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from personsearch.results import IndexReport

logger = logging.getLogger(__name__)

MEMORY_LIMIT = 4 * 2**30  # bytes: the embeddings of 4 million people with 256 numbers each

T = TypeVar("T")
_STEP = re.compile(r"-every(\d+)$")  # at the end of a video's fingerprint
Location: TypeAlias = str | os.PathLike[str]
Options: TypeAlias = Mapping[str, str]  # of an object store, as Lance takes them


class Gallery:
    """People found by one model, in a folder or at any URI that Lance takes; see `open` and `create_or_open`.

    A new gallery in a local folder is private: other users can neither read nor enter it. A gallery may be used from several
    threads. It can be pickled and travels as its location, so that another process opens it again. Every method sees what other
    processes have written in the meantime. Several processes may add at once; if two write the same frame, the newest write counts.

    Args:
        location: Folder or URI of the gallery.
        storage_options: Options of an object store, such as its region and credentials; the environment has the others.

    Attributes:
        location: Absolute path or URI of the gallery.
        key: The model that made the embeddings.
        storage: Number format of the embeddings on disk. In memory they are always float32.
        memory_limit: Bytes of embeddings that a search may hold in memory; a larger gallery is searched by its vector index.
        report: What the latest `PersonSearcher.index` did; None if this object was not returned by it.
    """

    report: "IndexReport | None" = None

    def __init__(self, location: Location, *, storage_options: Options | None = None) -> None:
        self.location = resolve(location)
        self.storage_options = None if storage_options is None else dict(storage_options)
        table = find_table(self.location, self.storage_options)
        if table is None:
            raise GalleryError(f"no gallery at {self.location}; index some pictures first")
        self.key, created_ns = read_key(table.schema, self.location)
        self.storage = storage_of(table.schema)
        self.memory_limit = MEMORY_LIMIT
        self._last = Snapshot(table, created_ns)

    @classmethod
    def open(cls, location: Location, *, storage_options: Options | None = None) -> "Gallery":
        """Open an existing gallery.

        Raises:
            GalleryError: The location has no gallery, a damaged one, or something else.
        """
        return cls(location, storage_options=storage_options)

    @classmethod
    def create_or_open(
        cls,
        location: Location,
        key: ModelKey,
        *,
        storage: Storage | None = None,
        every: int | None = None,
        storage_options: Options | None = None,
    ) -> "Gallery":
        """Open the gallery if it holds this model's embeddings; create it if the location is empty.

        Args:
            location: Folder or URI of the gallery.
            key: The model.
            storage: Number format of the embeddings on disk: "float32", or "float16" for half the size. None keeps the format
                of an existing gallery and takes float32 for a new one.
            every: Step between the frames of videos that a new gallery says it was indexed with.
            storage_options: Options of an object store.

        Raises:
            GalleryModelError: The gallery holds another model's embeddings.
            GalleryPermissionError: The location may not be written.
            GalleryError: The location contains something else, or a gallery of another storage.
            ConfigError: The storage is unknown.
        """
        if storage is not None and (not isinstance(storage, str) or storage not in STORAGES):
            raise ConfigError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r:.80}")
        if not isinstance(key, ModelKey):
            raise ConfigError(f"key must be a ModelKey, got {key!r:.80}")
        absolute = resolve(location)
        if find_table(absolute, storage_options) is None:
            check_free(absolute)
            create_table(absolute, key, storage or "float32", every, storage_options)
        gallery = cls(absolute, storage_options=storage_options)
        gallery._check_model(key)
        if storage not in (None, gallery.storage):
            raise GalleryError(
                f"gallery {gallery.location} stores embeddings in {gallery.storage}, not in {storage}; formats cannot be mixed: leave "
                "storage out, choose another gallery folder, or delete the gallery and index again"
            )
        return gallery

    @staticmethod
    def exists(location: Location, *, storage_options: Options | None = None) -> bool:
        """Whether the location has a gallery.

        Raises:
            GalleryError: The location has a Lance table of another kind, or a damaged gallery.
        """
        absolute = resolve(location)
        table = find_table(absolute, storage_options)
        if table is not None:
            read_key(table.schema, absolute)
        return table is not None

    def __repr__(self) -> str:
        try:
            content = f"{len(self)} people in {self.image_count} images"
            every = "" if self.every in (None, 1) else f", every {self.every}. frame of videos"
        except GalleryError:
            content, every = "cannot be read", ""
        return f"Gallery({checks.shown(self.location)}: {content}, model {self.key.name}{every})"

    def _repr_html_(self) -> str:
        return export.to_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"memory_limit": self.memory_limit, "report": self.report}
        return _open_again, (self.location, self.storage_options), state

    @property
    def every(self) -> int | None:
        """Step between the frames of videos that the gallery was indexed with; None: it was never chosen."""
        stored = self._read(lambda snapshot: read_every(snapshot.table.schema, self.location))
        if stored is not None:
            return stored
        steps = {int(step) for record in self.records().values() for step in _STEP.findall(record.fingerprint)}
        return steps.pop() if len(steps) == 1 else None

    @property
    def has_videos(self) -> bool:
        """Whether frames of videos were indexed."""
        return self.records().has_videos

    @property
    def min_score(self) -> float | None:
        """Score from which detections entered the gallery; None if another program made it."""
        text = self.key.fingerprint.rpartition("@")[2]
        try:
            return float(text)
        except ValueError:
            return None

    def set_every(self, every: int) -> None:
        """Store the step between the frames of videos, for the next run of indexing."""
        every = checks.count("every", every)
        if every != self.every:
            changes.set_every(self, every)

    @property
    def not_looked(self) -> dict[str, str]:
        """Reason by picture, video or folder that the latest runs of indexing could not look at, or only in part."""
        return self._read(lambda snapshot: {name: one.reason for name, one in unseen.read(snapshot.table.schema).items()})

    @property
    def version(self) -> int:
        """Number of the newest version; it grows with every change."""
        return self._read(lambda snapshot: snapshot.version)

    def __len__(self) -> int:
        """Number of people."""
        return self._read(lambda snapshot: snapshot.person_count)

    @property
    def image_count(self) -> int:
        """Number of pictures and videos, including those without people."""
        return len(self.records())

    def images(self) -> dict[str, ImageRecord]:
        """Facts about each picture and video by name, sorted, including those without people."""
        return self.records().all()

    def records(self) -> ImageRecords:
        """What `images` gives, as a mapping that makes each record when it is looked at."""
        return self._read(lambda snapshot: snapshot.records)

    def people(self) -> People:
        """All people, sorted by (image, frame, row). Kept in memory until the gallery changes."""
        return self._read(lambda snapshot: snapshot.people)

    @property
    def fits_in_memory(self) -> bool:
        """Whether a search compares all people, which is exact; otherwise it uses `nearest`."""
        bytes_a_person = self.key.embedding_dim * 4
        rows = self._read(lambda snapshot: snapshot.table.count_rows())  # from the metadata; with the frames' own rows
        if rows < vector_index.LEAST_ROWS or rows * bytes_a_person <= self.memory_limit:
            return True
        count = len(self)
        return count < vector_index.LEAST_ROWS or count * bytes_a_person <= self.memory_limit

    def nearest(self, queries: Array, count: int, *, scenes: bool = False, where: Where | None = None) -> list[People]:
        """For each query about `count` of the most similar people, by the table's vector index; it may miss some.

        A missing index is built; see `build_index`. Only the people found are read, and the keys of those newer than the index.

        Args:
            queries: (Q, D) float32 unit rows.
            count: Number of people, at least 1.
            scenes: Whether to add all other people of their scenes; for this the names of all images are read.
            where: Conditions on the people, which the index applies.

        Returns:
            For each query, people sorted by (image, frame, row).

        Raises:
            GalleryPermissionError: The index must be built, and the gallery may not be written.
            ShapeError: `queries` is not (Q, D) with the gallery's D.
            ConfigError: `count` or `scenes` has a wrong value.
        """
        queries = vector_index.as_rows(queries, self.key.embedding_dim)
        count = checks.count("count", count)
        checks.flag("scenes", scenes)

        def find(snapshot: Snapshot) -> list[People]:
            condition = where.sql() if where else None
            parts = [snapshot.people_in(vector_index.nearest(snapshot, query, count, condition)) for query in queries]
            return [snapshot.whole_scenes(people) for people in parts] if scenes else parts

        if not self._read(lambda snapshot: vector_index.exists(snapshot.table)):
            self.build_index()
        return self._read(find)

    def build_index(self) -> None:
        """Build the vector index, or add the people that it does not have yet; a run of indexing does so for a large gallery.

        Raises:
            GalleryPermissionError: The gallery may not be written.
        """
        logger.info("bringing the vector index of %s up to date", self.location)
        changes.build_index(self)

    def cluster(self, *, min_similarity: float | None = None, where: Where | None = None) -> list[clusters.Person]:
        """Who appears where, most often seen first: one from a mean cosine on; None: that which 2 % of the pairs in one picture reach."""
        return clusters.cluster(self, min_similarity, where)

    def add(self, batch: Sequence[FramePeople]) -> None:
        """Commit frames with their people: either all of them or none.

        A frame that already exists is replaced. If a file has changed, call `remove` with it first: a video may have fewer
        frames than before.

        Raises:
            ShapeError: The embeddings have another length than the gallery's.
            GalleryPermissionError: The gallery may not be written.
        """
        if not isinstance(batch, Sequence) or not all(isinstance(item, FramePeople) for item in batch):
            raise GalleryError(f"a batch must be a list of FramePeople, got {batch!r:.80}")
        if batch:
            changes.add(self, batch)

    def remove(self, *images: str | os.PathLike[str], missing_ok: bool = False) -> int:
        """Remove pictures and videos with all their people from the disk, including old versions.

        The files that contained them are rewritten, so many images take little longer than one: pass them together.

        Args:
            images: Names as in `People.images`, or paths to the same files.
            missing_ok: Whether to ignore images that are not in the gallery, for example because another process removed them.

        Returns:
            Number of people removed.

        Raises:
            GalleryError: An image is not in the gallery and `missing_ok` is False; nothing is removed then.
        """
        checks.flag("missing_ok", missing_ok)
        if not images:
            return 0
        return changes.purge(self, lambda snapshot: removal.of_images(snapshot, images, self.location, missing_ok=missing_ok))

    def remove_person(self, image: str | os.PathLike[str], row: int, frame: int = 0) -> None:
        """Remove one person from the disk, including old versions. The image stays indexed while it is unchanged.

        Args:
            image: Name or path of the image, as in `remove`.
            row: Row of the person, as in `People.rows`; other people keep their rows.
            frame: Frame of the person, as in `People.frames`.

        Raises:
            GalleryError: The gallery has no such person.
        """
        changes.purge(self, lambda snapshot: removal.of_person(snapshot, image, row, frame, self.location))

    def rename(self, facts: Mapping[str, FileFacts]) -> None:
        """Give images other names and facts, without embedding their people again; the old names are gone from the disk.

        Args:
            facts: New name and facts by the name in the gallery; names that the gallery does not have are ignored.
        """
        if facts:
            changes.rename(self, facts)

    def compact(self) -> None:
        """Merge all small files, and delete old versions, what changed pictures left, and the remains of interrupted writes."""
        changes.compact(self)

    def tidy(self) -> None:
        """Merge small files where there are many, and `compact` if a tenth of the frames were replaced; `index` does so at its end."""
        changes.tidy(self)

    def delete(self) -> None:
        """Delete the whole gallery with its folder. This object cannot be used afterwards."""
        import lance

        with self._guarded(exclusive=True):
            self._refresh()  # fails if another program has put something else here
            lance.LanceDataset.drop(self.location, storage_options=self.storage_options)

    def to_arrow(self) -> "pa.Table":
        """All people as an Arrow table: image, frame, row, time (null in pictures), box, score, embedding."""
        return export.to_arrow(self.people())

    def to_pandas(self) -> "pd.DataFrame":
        """All people as a data frame: image, frame, row, time, x1, y1, x2, y2, score, embedding (one array per person).

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return export.to_pandas(self.people())

    def to_csv(self, path: str | os.PathLike[str], *, embeddings: bool = False) -> None:
        """Write all people as CSV: image, frame, row, time (empty in pictures), x1, y1, x2, y2, score.

        Args:
            path: File to write.
            embeddings: Whether to add the embeddings as columns e0, e1, ... They are biometric features: protect the file.
        """
        checks.flag("embeddings", embeddings)
        export.to_csv(self.people(), checks.path("path", path, GalleryError), embeddings=embeddings)

    def _guarded(self, *, exclusive: bool = False) -> AbstractContextManager[bool]:
        return guarded(self.location, exclusive=exclusive)

    def _read(self, part: Callable[[Snapshot], T]) -> T:
        """A part of the newest version; locked, because cleaning up deletes files that may be being read."""
        with self._guarded():
            return retried(lambda attempt: part(self._refresh()), self.location)

    def _refresh(self) -> Snapshot:
        """The newest version: the one read last if nothing has changed."""
        table = find_table(self.location, self.storage_options)
        if table is None:
            raise GalleryError(f"the gallery {self.location} was deleted; index again")
        key, created_ns = read_key(table.schema, self.location)
        self._check_model(key)
        snapshot = Snapshot(table, created_ns)
        if (created_ns, snapshot.version) != (self._last.created_ns, self._last.version):
            self._last = snapshot
        return self._last

    def _check_model(self, key: ModelKey) -> None:
        if (key.fingerprint, key.embedding_dim) != (self.key.fingerprint, self.key.embedding_dim):
            raise GalleryModelError(
                f"gallery {self.location} holds embeddings of model {self.key}, not of {key}; they cannot be compared: "
                "use the gallery's model, choose another gallery folder, or delete the gallery and index again"
            )


def _open_again(location: str, storage_options: Options | None) -> Gallery:
    """The gallery that was pickled."""
    return Gallery(location, storage_options=storage_options)
