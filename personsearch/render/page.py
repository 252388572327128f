"""Write a search result as one self-contained HTML page without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from personsearch.hits import Hit, Query
from personsearch.render import views
from personsearch.render.files import replaced
from personsearch.render.lettering import PROBABLY_NOT, doubt, file_name, moment, printable, size_note
from personsearch.render.notebook import data_uri
from personsearch.render.pictures import count, has_other_order, query_name, threshold

TILE: views.Size = (300, 400)
SCENE_SIDE = 640  # longer side of a whole scene, pixels


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
    time: str  # "" for a picture; of a spell from when to when
    frame: int
    doubt: str  # that the hit is below the threshold; "" for a match, and without a threshold
    note: str  # that the person is small; "" otherwise
    is_first_below: bool  # whether the threshold lies between this hit and the one before
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
    with replaced(path) as temporary:
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
        query_picture=data_uri(views.of_query(query, TILE)),
        count=count(hits),
        cards=_cards(hits),
        has_other_order=has_other_order(hits),
        threshold=threshold(hits),
        matches=sum(hit.is_match is True for hit in hits),
        probably_not=PROBABLY_NOT,
        size=TILE,
    )


def _cards(hits: Sequence[Hit]) -> list[Card]:
    hit_views = views.of_hits(
        hits,
        lambda scene, box: HitView(
            person=data_uri(views.person(scene, box, TILE, views.HIT_COLOUR)),
            scene=data_uri(views.scene_with_box(scene, box, SCENE_SIDE, views.HIT_COLOUR)),
        ),
        lambda reason: HitView(missing=reason),
    )
    other_order = has_other_order(hits)
    first_below = position_of_threshold(hits)
    return [_card(hit, view, other_order, i == first_below) for i, (hit, view) in enumerate(zip(hits, hit_views, strict=True))]


def position_of_threshold(hits: Sequence[Hit]) -> int | None:
    """The number of hits before the threshold; None if it does not cut the list in two, as in another order."""
    matches = [hit.is_match for hit in hits]
    if False not in matches or None in matches:
        return None
    first = matches.index(False)
    return None if any(matches[first:]) else first


def _card(hit: Hit, view: HitView, other_order: bool, is_first_below: bool) -> Card:
    return Card(
        rank=hit.rank,
        similarity=f"{hit.similarity:.3f}",
        ranked_by=f"{hit.ranked_by:.3f}" if other_order else "",
        score=f"{hit.score:.2f}",
        path=printable(hit.image),
        name=printable(file_name(hit.image)),
        time=moment(hit),
        frame=hit.frame,
        doubt=doubt(hit),
        note=size_note(hit),
        is_first_below=is_first_below,
        view=view,
    )
