"""A gallery: everybody found in a set of pictures and videos, kept on disk as one Lance table."""

import logging
import os
import time
from collections.abc import Callable, Container, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ConfigError, GalleryError, GalleryModelError, MissingExtraError
from personsearch.gallery import vector_index
from personsearch.gallery.location import check_free, find_table, lance_errors, location, locked, remove_partial_files
from personsearch.gallery.table import (
    STORAGES,
    FramePeople,
    ImageRecord,
    ModelKey,
    People,
    Snapshot,
    Storage,
    flat_boxes,
    read_key,
    schema,
    storage_of,
    to_rows,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from personsearch.results import IndexReport

__all__ = ["FramePeople", "Gallery", "ImageRecord", "ModelKey", "People", "Storage"]

logger = logging.getLogger(__name__)

# Every commit writes the list of all files anew, so that the lists grow with the square of the commits:
# 1000 commits make 41 MB of lists, 30,000 would make 40 GB. Files are merged before that.
_MAX_FILES = 256

IN_MEMORY = 4 * 2**30  # bytes: the embeddings of 4 million people of 256 numbers

T = TypeVar("T")


class Gallery:
    """People of one model in a folder, or at any URI that Lance takes; see `open` and `create_or_open`.

    Every method sees what other processes have written meanwhile. Several processes may add at once; two writes of the same
    frame are no harm, the newest counts.

    Attributes:
        uri: absolute path or URI.
        key: the model whose features these are.
        storage: of the embeddings on the disk. In memory they are float32 either way.
        memory_limit: bytes of embeddings that a search holds in memory; a larger gallery is searched by the table's vector index.
        report: what the latest `PersonSearcher.index` did, if this object comes from there.
    """

    report: "IndexReport | None" = None

    def __init__(self, uri: str | os.PathLike[str]) -> None:
        self.uri = location(uri)
        table = find_table(self.uri)
        if table is None:
            raise GalleryError(f"there is no gallery at {self.uri}; index some pictures first")
        self.key, created_ns = read_key(table.schema, self.uri)
        self.storage = storage_of(table.schema)
        self.memory_limit = IN_MEMORY
        self._last = Snapshot(table, created_ns)

    @classmethod
    def open(cls, uri: str | os.PathLike[str]) -> "Gallery":
        """The gallery that is there.

        Raises:
            GalleryError: there is none, or it is damaged or something else.
        """
        return cls(uri)

    @classmethod
    def create_or_open(cls, uri: str | os.PathLike[str], key: ModelKey, *, storage: Storage | None = None) -> "Gallery":
        """The gallery that is there if it holds this model's features, a new one if nothing is there.

        Args:
            uri: its place.
            key: the model.
            storage: of the embeddings: "float32", or "float16" for half the disk; None: as the gallery has it, float32 in a new one.

        Raises:
            GalleryModelError: the gallery holds another model's features.
            GalleryPermissionError: the place may not be written.
            GalleryError: the place holds something else, or a gallery of another storage.
            ConfigError: an unknown storage.
        """
        if storage not in (None, *STORAGES):
            raise ConfigError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r}")
        place = location(uri)
        if find_table(place) is None:
            check_free(place)
            _create(place, key, storage or "float32")
        gallery = cls(place)
        gallery._check_model(key)
        if storage not in (None, gallery.storage):
            raise GalleryError(
                f"gallery {gallery.uri} keeps its embeddings in {gallery.storage}, not in {storage}; they are not mixed: leave storage "
                "out, give this one a gallery of its own, or delete the gallery and index again"
            )
        return gallery

    @staticmethod
    def exists(uri: str | os.PathLike[str]) -> bool:
        """Whether a gallery is there.

        Raises:
            GalleryError: something else is there.
        """
        place = location(uri)
        table = find_table(place)
        if table is not None:
            read_key(table.schema, place)
        return table is not None

    @property
    def version(self) -> int:
        """Number of the newest version; it grows with every change."""
        return self._read(lambda snapshot: snapshot.version)

    def __len__(self) -> int:
        """Number of people."""
        return self._read(lambda snapshot: len(snapshot.person_keys[0]))

    @property
    def image_count(self) -> int:
        """Number of pictures and videos, those without people included."""
        return self._read(lambda snapshot: len(snapshot.names))

    def images(self) -> dict[str, ImageRecord]:
        """What is known of each picture and video, by name, sorted; those without people too."""
        return dict(self._read(lambda snapshot: snapshot.images))

    def people(self) -> People:
        """Everybody, sorted by (image, frame, row). Kept in memory until the gallery changes."""
        return self._read(lambda snapshot: snapshot.people)

    @property
    def fits_in_memory(self) -> bool:
        """Whether a search compares everybody in memory, which is exact; else it takes `nearest`."""
        count = len(self)
        return count < vector_index.LEAST_ROWS or count * self.key.embedding_dim * 4 <= self.memory_limit

    def nearest(self, queries: Array, count: int, *, scenes: bool = False) -> list[People]:
        """For each query about `count` of the people most similar to it, by the table's vector index; somebody may be missed.

        The index is made when it is first needed, and anew when a tenth of the people are newer.

        Args:
            queries: (Q, D) float32 unit rows.
            count: of people, at least 1.
            scenes: also everybody else in their scenes.

        Returns:
            Of each query people sorted by (image, frame, row).

        Raises:
            GalleryPermissionError: there is no index yet, and the gallery may not be written.
        """

        def find(snapshot: Snapshot) -> list[People]:
            places = [vector_index.nearest(snapshot, query, count) for query in queries]
            if scenes:
                places = [np.flatnonzero(np.isin(snapshot.scenes, snapshot.scenes[one])) for one in places]
            return [snapshot.people_at(one) for one in places]

        with locked(self.uri, alone=False), lance_errors(self.uri):
            table = self._refresh().table
            if not vector_index.is_current(table):
                logger.info("building the vector index of %s, for %d rows", self.uri, table.count_rows())
                vector_index.build(table)
        return self._read(find)

    def add(self, batch: Sequence[FramePeople]) -> None:
        """Commit frames and their people, all or nothing.

        A frame that is already there is replaced. Of a file that changed, `remove` the old frames first:
        a video may have fewer now.

        Raises:
            ShapeError: the embeddings have another length than the gallery's.
            GalleryPermissionError: the gallery may not be written.
        """
        if not batch:
            return
        import lance

        with locked(self.uri, alone=False) as safe, lance_errors(self.uri):
            table = self._refresh().table
            rows = to_rows(batch, table.schema, time.time_ns())
            written = lance.write_dataset(rows, table, mode="append")
            crowded = safe and len(written.get_fragments()) >= _MAX_FILES
        if crowded:
            self.compact()

    def remove(self, *images: str | os.PathLike[str], missing_ok: bool = False) -> int:
        """Remove pictures and videos and everybody in them from the disk, old versions included.

        The files that held them are written anew, so many images cost little more than one: pass them together.
        On an object store let nobody write meanwhile.

        Args:
            images: names as in `People.images`, or paths that lead to the same files.
            missing_ok: pass over those that are not there, which somebody else may have removed.

        Returns:
            How many people were removed.

        Raises:
            GalleryError: an image is not in the gallery, unless that is `missing_ok`; then nothing is removed.
        """

        def predicate(snapshot: Snapshot) -> tuple[str, int]:
            known = {name: code for code, name in enumerate(snapshot.names)}
            names = [_known_name(image, known) for image in images]
            for name in names:
                if name not in known and not missing_ok:
                    raise GalleryError(f"{name} is not in gallery {self.uri}; {_near(name, list(known))}")
            quoted = ", ".join(_quote(name) for name in names)
            people = np.isin(snapshot.person_keys[0], [known[name] for name in names if name in known])
            return f"image IN ({quoted})", int(people.sum())

        return self._purge(predicate) if images else 0

    def remove_person(self, image: str | os.PathLike[str], row: int, frame: int = 0) -> None:
        """Remove one person from the disk, old versions included; the image stays, and is not indexed again while it is unchanged.

        Args:
            image: as in `remove`.
            row: as in `People.rows`; the others keep theirs.
            frame: as in `People.frames`.

        Raises:
            GalleryError: there is no such person.
        """

        def predicate(snapshot: Snapshot) -> tuple[str, int]:
            codes, frames, rows = snapshot.person_keys
            name = _known_name(image, set(snapshot.names.tolist()))
            if not ((snapshot.names[codes] == name) & (frames == frame) & (rows == row)).any():
                raise GalleryError(f"gallery {self.uri} has no person {row} in frame {frame} of {name}; people() lists them all")
            return f"image = {_quote(name)} AND frame = {int(frame)} AND row = {int(row)}", 1

        self._purge(predicate)

    def compact(self) -> None:
        """Merge small files, and drop old versions and what interrupted writes left; worth it after many `add`s."""
        with locked(self.uri, alone=True) as safe, lance_errors(self.uri):
            self._rewrite(self._refresh().table, safe)

    def delete(self) -> None:
        """Delete the whole gallery with its folder. Afterwards this object is of no use."""
        import lance

        with locked(self.uri, alone=True), lance_errors(self.uri):
            self._refresh()  # still a gallery, and this one?
            lance.LanceDataset.drop(self.uri)

    def to_arrow(self) -> "pa.Table":
        """Everybody as an Arrow table: image, frame, row, time (null in pictures), box, score, embedding."""
        import pyarrow as pa

        people = self.people()
        return pa.table(
            {
                "image": pa.array(people.images, pa.string()),
                "frame": people.frames,
                "row": people.rows,
                "time": pa.array(people.times, from_pandas=True),  # nan -> null
                "box": pa.FixedSizeListArray.from_arrays(people.boxes.ravel(), 4),
                "score": people.scores,
                "embedding": pa.FixedSizeListArray.from_arrays(people.embeddings.ravel(), self.key.embedding_dim),
            }
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Everybody as a data frame: image, frame, row, time, x1, y1, x2, y2, score, embedding (an array each).

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401, pyarrow would import it, with a less helpful error
        except ModuleNotFoundError as error:
            raise MissingExtraError("pandas is not installed; run: pip install 'personsearch[pandas]'") from error
        return flat_boxes(self.to_arrow()).to_pandas()

    def to_csv(self, path: str | os.PathLike[str], *, embeddings: bool = False) -> None:
        """Write everybody as CSV: image, frame, row, time (empty in pictures), x1, y1, x2, y2, score.

        Args:
            path: the file to write.
            embeddings: also e0, e1, ...: features of people's bodies, so think where the file goes.
        """
        import pyarrow as pa
        from pyarrow import csv

        table = flat_boxes(self.to_arrow()).drop_columns("embedding")
        if embeddings:
            for d, column in enumerate(self.people().embeddings.T):
                table = table.append_column(f"e{d}", pa.array(column))
        csv.write_csv(table, path)

    def _read(self, part: Callable[[Snapshot], T]) -> T:
        """A part of the newest version; locked, because cleaning up takes away files that are being read."""
        with locked(self.uri, alone=False), lance_errors(self.uri):
            return part(self._refresh())

    def _refresh(self) -> Snapshot:
        """The newest version: the last one read if nothing has changed."""
        table = find_table(self.uri)
        if table is None:
            raise GalleryError(f"the gallery {self.uri} was deleted; index again")
        key, created_ns = read_key(table.schema, self.uri)
        self._check_model(key)
        snapshot = Snapshot(table, created_ns)
        if (created_ns, snapshot.version) != (self._last.created_ns, self._last.version):
            self._last = snapshot
        return self._last

    def _check_model(self, key: ModelKey) -> None:
        if (key.fingerprint, key.embedding_dim) != (self.key.fingerprint, self.key.embedding_dim):
            raise GalleryModelError(
                f"gallery {self.uri} holds features of model {self.key}, not of {key}; they cannot be compared: "
                "use the gallery's model, give this one a gallery of its own, or delete the gallery and index again"
            )

    def _purge(self, choose: Callable[[Snapshot], tuple[str, int]]) -> int:
        """Delete the rows of a predicate so that no file holds them; `choose` gives it and the number of people."""
        with locked(self.uri, alone=True) as safe, lance_errors(self.uri):
            snapshot = self._refresh()
            predicate, people = choose(snapshot)
            snapshot.table.delete(predicate)  # marks them only
            self._rewrite(snapshot.table, safe)
        return people

    def _rewrite(self, table: Any, safe: bool) -> None:
        """Write files with deleted rows and small files anew, and drop all versions but the newest.

        Args:
            table: at its newest version.
            safe: nobody else can be writing, so files that no version names are remains.
        """
        table.optimize.compact_files(materialize_deletions_threshold=0.0)
        if len(table.versions()) > 1:
            # The newest version names the predicate, and so the image, if it is a deletion that left nothing to merge.
            table.update_config({"personsearch.cleaned": "true"})
        table.cleanup_old_versions(timedelta(0), delete_unverified=safe)
        if safe:
            remove_partial_files(self.uri)


def _create(place: str, key: ModelKey, storage: Storage) -> None:
    """Make an empty gallery; somebody else may do so at the same time."""
    import lance

    columns = schema(key, time.time_ns(), storage)
    with lance_errors(place):
        try:
            lance.write_dataset(columns.empty_table(), place, mode="create")
        except OSError as error:
            if "already exists" not in str(error):
                raise


def _quote(text: str) -> str:
    """A string literal of Lance's SQL, in which a quote is doubled and a backslash is just that."""
    return "'" + text.replace("'", "''") + "'"


def _known_name(image: str | os.PathLike[str], known: Container[str]) -> str:
    """What the gallery calls an image: what was passed, or the absolute path that it means."""
    name = os.fspath(image)
    absolute = os.path.abspath(name)
    return absolute if name not in known and absolute in known else name


def _near(image: str, known: list[str]) -> str:
    near = get_close_matches(image, known, n=3)
    return f"near it: {', '.join(near)}" if near else f"images() lists its {len(known)} images by the names to use"
