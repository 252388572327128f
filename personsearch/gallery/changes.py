"""How a gallery's table is changed. On an object store, what another program's change has thwarted is tried again."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from personsearch.errors import GalleryConflictError, GalleryError
from personsearch.gallery import merging, removal, scenes, unseen, vector_index
from personsearch.gallery.location import make_files_private, retried
from personsearch.gallery.snapshot import Snapshot, next_time
from personsearch.gallery.table import SCENE, FileFacts, FramePeople, to_rows, with_every

if TYPE_CHECKING:
    from personsearch.gallery.gallery import Gallery

_RENAMED_AT_ONCE = 1000  # images whose rows are in memory together
_DROPPED_AT_ONCE = 1000  # names in one deletion
# Share of frames that may be older writes of changed pictures before a run of indexing rewrites their files.
MAX_REPLACED = 0.1


def add(gallery: "Gallery", batch: Sequence[FramePeople]) -> None:
    """See `Gallery.add`."""
    import lance

    def commit(attempt: int) -> Any:
        table = gallery._refresh().table
        now = next_time(table)
        rows = to_rows(batch, table.schema, now)
        written = lance.write_dataset(rows, table, mode="append", storage_options=gallery.storage_options)
        _check_newest(gallery, _written(batch[0].image, now), are_there=True)
        return written

    _committed(gallery, commit)


def add_files(gallery: "Gallery", fragments: Sequence[str]) -> None:
    """Commit files that `write_files` wrote, all of them or none, without merging any.

    Args:
        gallery: Gallery to add to.
        fragments: What `write_files` returned.
    """
    import lance

    def commit(attempt: int) -> Any:
        table = gallery._refresh().table
        files = [lance.FragmentMetadata.from_json(text) for text in fragments]
        if attempt and is_remote:
            _check_files(gallery, table.uri, files)
        written = lance.LanceDataset.commit(
            table.uri, lance.LanceOperation.Append(files), read_version=table.version, storage_options=gallery.storage_options
        )
        if is_remote:
            key = written.get_fragments()[-1].to_table(columns=["image", "indexed_ns"], limit=1).to_pylist()[0]
            _check_newest(gallery, _written(key["image"], key["indexed_ns"]), are_there=True)
        return written

    is_remote = "://" in gallery.location
    with gallery._guarded():
        retried(commit, gallery.location)
        make_files_private(gallery.location)


def write_files(gallery: "Gallery", batch: Sequence[FramePeople], indexed_ns: int) -> list[str]:
    """Write frames with their people to files that no version of the table names yet; what `add_files` takes.

    Args:
        gallery: Gallery that they are for.
        batch: Frames with their people.
        indexed_ns: Time of writing, later than that of the rows to replace.
    """
    from lance.fragment import write_fragments

    table = gallery._last.table  # of any version, as only its columns are needed
    rows = to_rows(batch, table.schema, indexed_ns)
    written = write_fragments(rows, table, mode="append", storage_options=gallery.storage_options)
    make_files_private(gallery.location, [f"data/{file.path}" for fragment in written for file in fragment.files])
    return [json.dumps(fragment.to_json()) for fragment in written]


def purge(gallery: "Gallery", choose: Callable[[Snapshot], removal.Removal]) -> int:
    """Delete rows so that no file contains them; returns the number of people deleted."""
    people = 0

    def mark(attempt: int) -> None:
        nonlocal people
        snapshot = gallery._refresh()
        try:
            rows = choose(snapshot)
        except GalleryError as error:
            if attempt == 0 or isinstance(error, GalleryConflictError):
                raise
            return  # the attempt before had deleted them
        people = max(people, rows.people)
        if rows.scene is not None and SCENE in snapshot.table.schema.names:
            scenes.blank(snapshot.table, rows.scene)
            snapshot = gallery._refresh()
        snapshot.table.delete(rows.predicate)  # only marks them
        _check_newest(gallery, rows.predicate, are_there=False)

    with gallery._guarded(exclusive=True) as is_locked:
        retried(mark, gallery.location)
        unseen.forget_removed(gallery)
        _rewrite(gallery, removal.rewrite, is_locked=is_locked)
    return people


def rename(gallery: "Gallery", facts: Mapping[str, FileFacts]) -> None:
    """See `Gallery.rename`."""
    import lance

    def move(part: Mapping[str, FileFacts]) -> Callable[[int], None]:
        def work(attempt: int) -> None:
            snapshot = gallery._refresh()
            now = next_time(snapshot.table)
            moved = snapshot.moved_rows(part, now)
            if moved.num_rows:  # else they have gone, or an attempt before has moved them
                lance.write_dataset(moved, snapshot.table, mode="append", storage_options=gallery.storage_options)
                _check_newest(gallery, _written(moved["image"][0].as_py(), now), are_there=True)
                older = removal.older_rows(list(part), now)
                gallery._refresh().table.delete(older)
                _check_newest(gallery, older, are_there=False)

        return work

    with gallery._guarded(exclusive=True) as is_locked:
        names = list(facts)
        for start in range(0, len(names), _RENAMED_AT_ONCE):
            retried(move({name: facts[name] for name in names[start : start + _RENAMED_AT_ONCE]}), gallery.location)
        unseen.rename(gallery, facts)
        if any(name != fact.image for name, fact in facts.items()):
            _rewrite(gallery, removal.rewrite, is_locked=is_locked)
            return
        make_files_private(gallery.location)
    if merging.is_crowded(gallery._read(lambda snapshot: snapshot.table)):  # only facts changed: no name must leave the disk
        tidy(gallery)


def set_every(gallery: "Gallery", every: int) -> None:
    """See `Gallery.set_every`."""
    with gallery._guarded(exclusive=True):
        table = gallery._refresh().table
        table.update_schema_metadata(with_every(table.schema, gallery.location, every))
        make_files_private(gallery.location)


def compact(gallery: "Gallery") -> None:
    """See `Gallery.compact`."""
    with gallery._guarded(exclusive=True) as is_locked:
        retried(lambda attempt: _drop_replaced(gallery._refresh()), gallery.location)
        _rewrite(gallery, removal.merge_all, is_locked=is_locked)


def tidy(gallery: "Gallery") -> None:
    """See `Gallery.tidy`."""
    records = gallery.records()
    if len(records.replaced) > MAX_REPLACED * records.frame_count:
        compact(gallery)
    else:
        with gallery._guarded(exclusive=True) as is_locked:
            retried(lambda attempt: merging.merge(gallery._refresh().table, gallery.location, is_locked=is_locked), gallery.location)
    if not gallery.fits_in_memory and not gallery._read(lambda snapshot: vector_index.is_current(snapshot.table)):
        build_index(gallery)


def build_index(gallery: "Gallery") -> None:
    """See `Gallery.build_index`."""

    def build(attempt: int) -> None:
        _drop_replaced(gallery._refresh())
        vector_index.update(gallery._refresh().table)

    with gallery._guarded(exclusive=True):
        retried(build, gallery.location)
        make_files_private(gallery.location)


def settle_index(gallery: "Gallery", build: Callable[[dict[str, int]], None]) -> None:
    """Have a new vector index built by another program, and choose how much of it a search reads.

    Args:
        gallery: Gallery of the index.
        build: Builds it, with these numbers of partitions and codes.
    """
    compact(gallery)
    build(gallery._read(lambda snapshot: vector_index.settings(snapshot.table)))
    with gallery._guarded(exclusive=True):
        retried(lambda attempt: vector_index.settle(gallery._refresh().table), gallery.location)
        make_files_private(gallery.location)


def _committed(gallery: "Gallery", commit: Callable[[int], Any]) -> None:
    """Commit, and merge the files if there are many."""
    with gallery._guarded():
        written = retried(commit, gallery.location)
        make_files_private(gallery.location)
    if merging.is_crowded(written):
        tidy(gallery)


def _written(image: str, indexed_ns: int) -> str:
    """Lance's SQL for the rows of an image that were written at a time."""
    return f"image = {removal.quote(image)} AND indexed_ns = {indexed_ns}"


def _check_files(gallery: "Gallery", uri: str, fragments: Sequence[Any]) -> None:
    """Open written files again before they are committed again: another program may have deleted them with the lost version.

    Raises:
        OSError: One of them has gone.
    """
    from lance.file import LanceFileReader

    for fragment in fragments:
        for file in fragment.files:
            LanceFileReader(f"{uri}/data/{file.path}", storage_options=gallery.storage_options)


def _check_newest(gallery: "Gallery", predicate: str, *, are_there: bool) -> None:
    """Check on an object store that a change is in the newest version.

    A version is written if its number is free. Another program's removal deletes old versions and so frees their numbers: a slow change
    can then take the number of one of them, behind the newest version, where it is lost.

    Raises:
        GalleryConflictError: The change was lost.
    """
    if "://" in gallery.location and bool(gallery._refresh().table.count_rows(predicate)) is not are_there:
        raise GalleryConflictError(f"a change of gallery {gallery.location} was lost behind those of other programs; try again")


def _rewrite(gallery: "Gallery", work: Callable[..., None], *, is_locked: bool) -> None:
    retried(lambda attempt: work(gallery._refresh().table, gallery.location, is_locked=is_locked), gallery.location)


def _drop_replaced(snapshot: Snapshot) -> None:
    """Mark the rows of frames that were written again as deleted."""
    stills: dict[int, list[str]] = defaultdict(list)
    videos: dict[tuple[int, str], list[int]] = defaultdict(list)
    for item in snapshot.records.replaced:
        if item.frame:
            videos[item.indexed_ns, item.image].append(item.frame)
        else:
            stills[item.indexed_ns].append(item.image)
    for indexed_ns, images in stills.items():
        for start in range(0, len(images), _DROPPED_AT_ONCE):
            older = removal.older_rows(images[start : start + _DROPPED_AT_ONCE], indexed_ns)
            snapshot.table.delete(f"frame = 0 AND {older}")
    for (indexed_ns, image), frames in videos.items():
        numbers = ", ".join(map(str, frames))
        snapshot.table.delete(f"frame IN ({numbers}) AND {removal.older_rows([image], indexed_ns)}")
