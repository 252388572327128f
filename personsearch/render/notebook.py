"""Results, detections, galleries and searchers as HTML for a notebook."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from personsearch.hits import Hit, Query
from personsearch.render.lettering import printable
from personsearch.render.pictures import montage

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 82  # JPEG quality
SHOWN = 20  # hits of a montage in a notebook
WIDEST = 960  # pixels


def data_uri(picture: "Image") -> str:
    """A picture as a JPEG inside its address."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def picture_html(picture: "Image", text: str) -> str:
    """A picture with a line of text below."""
    line = escape(printable(text))
    width = min(picture.width, WIDEST)
    return f'<figure><img src="{data_uri(picture)}" alt="{line}" width="{width}"><figcaption>{line}</figcaption></figure>'


def hits_html(query: Query, hits: Sequence[Hit], text: str) -> str:
    """The montage of the first hits, and a line of text."""
    more = f"; the first {SHOWN} are shown" if len(hits) > SHOWN else ""
    return picture_html(montage(query, hits[:SHOWN]), text + more)


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """A table of names and values."""
    rows = "".join(f"<tr><th>{_cell(name)}</th><td>{_cell(value)}</td></tr>" for name, value in facts.items())
    return f"<table><caption>{_cell(title)}</caption>{rows}</table>"


def searcher_html(model: Any, title: str, threshold: float | None) -> str:
    """The facts of a searcher's model."""
    facts = {
        "model": model.name,
        "class": type(model).__name__,
        "numbers per person": model.embedding_dim,
        "detection score from": f"{model.min_score:g}",
        "threshold of a match": "not calibrated" if threshold is None else f"{threshold:.3f}",
    }
    return facts_html(title, facts)


def table_html(columns: Sequence[str], rows: Iterable[Sequence[object]], text: str) -> str:
    """A table with a head, and a line of text above."""
    head = "".join(f"<th>{_cell(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><caption>{_cell(text)}</caption><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    return escape(printable(str(value)))
