"""Embeddings of whole scenes, which GFN's models store beside the people."""

from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import GalleryError
from personsearch.gallery import removal
from personsearch.gallery.snapshot import Snapshot
from personsearch.gallery.table import SCENE, People

if TYPE_CHECKING:
    from personsearch.gallery.gallery import Gallery


def scene_embeddings(gallery: "Gallery", people: People) -> Array:
    """(S, D) float32 embeddings of the whole scenes of some people, numbered as in `People.scenes`.

    Args:
        gallery: Gallery of the people.
        people: What `Gallery.people` or `Gallery.nearest` returned.

    Raises:
        GalleryError: The gallery stores no scenes, or has changed since the people were read.
    """
    return gallery._read(lambda snapshot: of_people(snapshot, people, gallery.location))


def blank(table: Any, predicate: str) -> None:
    """Replace the embeddings of some scenes by zeros, which describe no person; GFN then scores them as scenes that it knows nothing of.

    Args:
        table: Lance table of a gallery with scenes.
        predicate: Lance's SQL for the rows of the scenes.
    """
    import pyarrow as pa

    rows = table.to_table(filter=predicate)
    field = rows.schema.field(SCENE)
    zeros = np.zeros(rows.num_rows * field.type.list_size, field.type.value_type.to_pandas_dtype())
    column = pa.FixedSizeListArray.from_arrays(pa.array(zeros), field.type.list_size)
    rows = rows.set_column(rows.schema.get_field_index(SCENE), field, column)
    table.merge_insert(["image", "frame", "row", "indexed_ns"]).when_matched_update_all().execute(rows)


def of_people(snapshot: Snapshot, people: People, location: str) -> Array:
    """See `scene_embeddings`."""
    if SCENE not in snapshot.table.schema.names:
        raise GalleryError(
            f"gallery {location} stores no embeddings of whole scenes, which scene_filter needs; delete the gallery and index again with a "
            "model with GFN"
        )
    everyone = people is vars(snapshot).get("people")  # which it has not read if they are candidates of the vector index
    if everyone and snapshot.scene_cache is not None:
        return snapshot.scene_cache
    names = ", ".join(removal.quote(name) for name in dict.fromkeys(people.images.tolist()))
    predicate = "row = -1" if everyone or not names else f"row = -1 AND image IN ({names})"
    embeddings = _read(snapshot, people, predicate)
    if everyone:
        snapshot.scene_cache = embeddings
    return embeddings


def _read(snapshot: Snapshot, people: People, predicate: str) -> Array:
    frames = snapshot.table.to_table(columns=["image", "frame", "indexed_ns", SCENE], filter=predicate).sort_by("indexed_ns")
    keys = zip(frames["image"].to_pylist(), frames["frame"].to_pylist(), strict=True)
    newest = {key: row for row, key in enumerate(keys)}  # of two writes of a frame the last
    first = np.flatnonzero(np.diff(people.scenes, prepend=-1))
    try:
        rows = [newest[image, frame] for image, frame in zip(people.images[first], people.frames[first].tolist(), strict=True)]
    except KeyError as error:
        raise GalleryError(f"the gallery changed during the search: {error.args[0]} has gone; search again") from error
    embeddings = frames[SCENE].combine_chunks().flatten().to_numpy().reshape(-1, frames.schema.field(SCENE).type.list_size)
    return np.asarray(embeddings[rows], np.float32)
