"""Write a search result as one self-contained HTML page without scripts."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from personsearch.hits import Hit, Query
from personsearch.render import views
from personsearch.render.lettering import clock, file_name, printable
from personsearch.render.pictures import count, has_other_order, query_name

if TYPE_CHECKING:
    from PIL.Image import Image

TILE: views.Size = (300, 400)
SCENE_SIDE = 640  # longer side of a whole scene, pixels
QUALITY = 82  # JPEG quality


@dataclass(frozen=True)
class HitView:
    """A hit's pictures as data URIs, or the reason why they are missing."""

    person: str = ""
    scene: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Card:
    """Texts and pictures of one hit on the page."""

    rank: int
    similarity: str
    ranked_by: str  # "" if hits are ordered by similarity
    score: str
    path: str
    name: str
    time: str  # "" for a picture
    frame: int
    view: HitView


def save_html(query: Query, hits: Sequence[Hit], path: Path) -> None:
    """Write the query and its hits as one page that opens in any browser, offline, light or dark.

    File names are escaped, and the page's content policy forbids scripts and network access. The page shows people and
    the paths of their pictures; its pictures are new JPEGs without the originals' metadata (EXIF, position). Missing
    folders are made. If writing fails, an older page stays unchanged.

    Args:
        query: Person to look for.
        hits: Hits of one search; a hit whose picture cannot be read again has a grey tile.
        path: File to write; an existing file is replaced.

    Raises:
        OSError: The page cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replaced(path) as temporary:
        temporary.write_text(page(query, hits), encoding="utf-8")


def page(query: Query, hits: Sequence[Hit]) -> str:
    """The page of `save_html` as HTML text."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("personsearch").joinpath("data/hits.html.j2").read_text(encoding="utf-8"))
    name = printable(query_name(query))
    return template.render(
        query_name=file_name(name),
        query_path=name,
        query_box=query.box,
        query_picture=_data_uri(views.of_query(query, TILE)),
        count=count(hits),
        cards=_cards(hits),
        has_other_order=has_other_order(hits),
        size=TILE,
    )


def _cards(hits: Sequence[Hit]) -> list[Card]:
    hit_views = views.of_hits(
        hits,
        lambda scene, box: HitView(
            person=_data_uri(views.person(scene, box, TILE, views.HIT_COLOUR)),
            scene=_data_uri(views.scene_with_box(scene, box, SCENE_SIDE, views.HIT_COLOUR)),
        ),
        lambda reason: HitView(missing=reason),
    )
    other_order = has_other_order(hits)
    return [_card(hit, view, other_order) for hit, view in zip(hits, hit_views, strict=True)]


def _card(hit: Hit, view: HitView, other_order: bool) -> Card:
    return Card(
        rank=hit.rank,
        similarity=f"{hit.similarity:.3f}",
        ranked_by=f"{hit.ranked_by:.3f}" if other_order else "",
        score=f"{hit.score:.2f}",
        path=printable(hit.image),
        name=printable(file_name(hit.image)),
        time="" if hit.time is None else clock(hit.time),
        frame=hit.frame,
        view=view,
    )


def _data_uri(picture: "Image") -> str:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`; it replaces `path` when the block ends, or is deleted on an error."""
    temporary = path.with_name(f".{uuid4().hex}.part")  # not from the name, which may be as long as a name can be
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
