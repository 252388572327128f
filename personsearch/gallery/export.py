"""Export the people of a gallery to Arrow, pandas and CSV."""

import os
from typing import TYPE_CHECKING, Any

from personsearch import render
from personsearch.errors import GalleryError, MissingExtraError
from personsearch.gallery.table import People

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def to_arrow(people: People) -> "pa.Table":
    """An Arrow table: image, frame, row, time (null in pictures), box, score, embedding."""
    import pyarrow as pa

    return pa.table(
        {
            "image": pa.array(people.images, pa.string()),
            "frame": people.frames,
            "row": people.rows,
            "time": pa.array(people.times, from_pandas=True),  # nan -> null
            "box": pa.FixedSizeListArray.from_arrays(people.boxes.ravel(), 4),
            "score": people.scores,
            "embedding": pa.FixedSizeListArray.from_arrays(people.embeddings.ravel(), people.embeddings.shape[1]),
        }
    )


def to_pandas(people: People) -> "pd.DataFrame":
    """A data frame: image, frame, row, time, x1, y1, x2, y2, score, embedding (one array per person).

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas  # noqa: F401, pyarrow would import it, with a less helpful error
    except ModuleNotFoundError as error:
        raise MissingExtraError("pandas is not installed; run: pip install 'personsearch[pandas]'") from error
    return _with_corners(to_arrow(people)).to_pandas()


def to_csv(people: People, path: str | os.PathLike[str], *, embeddings: bool) -> None:
    """Write a CSV file: image, frame, row, time (empty in pictures), x1, y1, x2, y2, score.

    Args:
        people: People to write.
        path: File to write.
        embeddings: Whether to add the embeddings as columns e0, e1, ...

    Raises:
        GalleryError: The file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import csv

    table = _with_corners(to_arrow(people)).drop_columns("embedding")
    if embeddings:
        for d, column in enumerate(people.embeddings.T):
            table = table.append_column(f"e{d}", pa.array(column))
    try:
        csv.write_csv(table, path)
    except (OSError, ValueError) as error:
        raise GalleryError(f"{os.fspath(path)} cannot be written: {error}; choose another file, in a folder where you may write") from error


def _with_corners(table: "pa.Table") -> "pa.Table":
    """The table with the columns x1, y1, x2, y2 instead of box."""
    import pyarrow as pa

    corners = table["box"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
    position = table.schema.get_field_index("box")
    table = table.drop_columns("box")
    for offset, name in enumerate(("x1", "y1", "x2", "y2")):
        table = table.add_column(position + offset, name, pa.array(corners[:, offset]))
    return table


def to_html(gallery: Any) -> str:
    """The facts of a gallery as a table for a notebook; of one that cannot be read, its location."""
    try:
        facts = {"people": len(gallery), "pictures and videos": gallery.image_count, "model": gallery.key.name, "storage": gallery.storage}
        facts |= {"every": gallery.every} if gallery.has_videos else {}
    except GalleryError as error:
        facts = {"cannot be read": str(error)}
    return render.facts_html("Gallery", {"location": gallery.location, **facts})
