"""A search as one page for the browser: pictures inside, no script, nothing loaded."""

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.hits import Hit, Query
from personsearch.render import views
from personsearch.render.lettering import clock, file_name, printable
from personsearch.render.pictures import count, query_name, ranked_otherwise

if TYPE_CHECKING:
    from PIL.Image import Image

TILE: views.Size = (300, 400)
SCENE_SIDE = 640  # pixels of a whole scene's longer side
QUALITY = 82  # of the JPEG pictures


@dataclass(frozen=True)
class HitView:
    """A hit's pictures as data URIs, or the reason why there are none."""

    person: str = ""
    scene: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Card:
    """What the page says of one hit, as text."""

    rank: int
    similarity: str
    ranked_by: str  # "" where the order follows the similarity
    score: str
    path: str
    name: str
    time: str  # "" for a picture
    frame: int
    view: HitView


def save_html(query: Query, hits: Sequence[Hit], path: Path) -> None:
    """Write the query and its hits as one page that opens in any browser, offline, light or dark.

    Names of files are escaped, and the page forbids itself scripts and the network. It shows people and the paths of
    their pictures; the pictures in it are new JPEGs without the originals' metadata (EXIF, position). Missing folders
    are made; the page appears whole or not at all.

    Args:
        query: the person looked for.
        hits: of one search; a hit whose picture cannot be read again has a grey tile.
        path: of the page; what is there is replaced.

    Raises:
        OSError: the page cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replaced(path) as temporary:
        temporary.write_text(page(query, hits), encoding="utf-8")


def page(query: Query, hits: Sequence[Hit]) -> str:
    """The page of `save_html` as text."""
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
        ranked_otherwise=ranked_otherwise(hits),
        size=TILE,
    )


def _cards(hits: Sequence[Hit]) -> list[Card]:
    shown = views.of_hits(
        hits,
        lambda scene, box: HitView(
            person=_data_uri(views.person(scene, box, TILE, views.HIT_COLOUR)),
            scene=_data_uri(views.scene_with_box(scene, box, SCENE_SIDE, views.HIT_COLOUR)),
        ),
        lambda reason: HitView(missing=reason),
    )
    other = ranked_otherwise(hits)
    return [_card(hit, view, other) for hit, view in zip(hits, shown, strict=True)]


def _card(hit: Hit, view: HitView, ranked_otherwise: bool) -> Card:
    return Card(
        rank=hit.rank,
        similarity=f"{hit.similarity:.3f}",
        ranked_by=f"{hit.ranked_by:.3f}" if ranked_otherwise else "",
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
    """A temporary file beside `path`, which takes its place once it is written, and goes away if that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
