"""A search as the addresses ask for it: shots of the person, people who are not the person, and options."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal
from urllib.parse import urlencode

import numpy as np
from fastapi import Query as Parameter
from pydantic import BaseModel, ConfigDict, Field

from personsearch.boxes import Array
from personsearch.errors import QueryError
from personsearch.hits import Hit, Query
from personsearch.query import EmbeddedQuery
from personsearch.ranking import Context, context_of
from personsearch.results import Detections, SearchResult
from personsearch.searcher import PersonSearcher
from personsearch.searching import SearchOptions
from personsearch.ui.catalog import Catalog, Scene
from personsearch.ui.galleries import Galleries, OpenGallery
from personsearch.ui.keys import PersonKey, SceneKey, UploadKey, shot_key
from personsearch.ui.uploads import Uploads

MOST_HITS, MOST_SHOTS = 200, 50
FRAMES_A_SPELL = 20  # hits that are searched for each spell wanted
Shot = PersonKey | UploadKey


class Asking(BaseModel):
    """The parameters of a search."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    shot: list[str] = Field(
        default=[], max_length=MOST_SHOTS, description="one or more pictures of the person: keys of people or sent pictures"
    )
    negatives: list[str] = Field(default=[], alias="not", max_length=MOST_SHOTS, description="people who are not the person: keys")
    gallery: int | None = Field(default=None, description="gallery to search; by default that of the first shot")
    top_k: int = Field(default=24, ge=1, le=MOST_HITS, description="largest number of hits")
    rerank: Literal["cbgm", ""] = Field(default="", description="cbgm: re-rank by the people around the query")
    group: Literal["spell", ""] = Field(default="", description="spell: one hit for each stretch of a video's frames")
    matches: bool = Field(default=False, description="only hits that reach the model's threshold")


AskingParameters = Annotated[Asking, Parameter()]


@dataclass(frozen=True)
class Shown:
    """One shot as the model describes it."""

    key: Shot
    query: Query
    row: Array  # (D,) float32 unit row
    context: Context | None  # the people around; None: a crop


@dataclass(frozen=True)
class Found:
    """The hits of one search, with the keys of their people."""

    gallery: OpenGallery
    shots: list[Shown]
    negatives: list[Shown]
    result: SearchResult
    hits: list[Hit]  # of the result, without the shots and the people who are not the person
    keys: list[PersonKey]


def search(asking: Asking, searcher: PersonSearcher, galleries: Galleries, uploads: Uploads) -> Found:
    """Search for the person of the shots.

    Raises:
        QueryError: No shot, a malformed key, no gallery, or CBGM without a scene.
        NotOpenError: A shot or the gallery is not open any more.
    """
    keys = [shot_key(text) for text in asking.shot]
    number = asking.gallery or next((key.scene.gallery for key in keys if isinstance(key, PersonKey)), None)
    if not keys or number is None:
        raise QueryError("a search needs shot= with the key of a person, and gallery= if that person was sent")
    gallery = galleries.get(number)
    shots = [describe(key, searcher, galleries, uploads) for key in keys]
    negatives = [describe(shot_key(text), searcher, galleries, uploads) for text in asking.negatives]
    query = _query(shots, searcher)
    if asking.rerank and query.context is None:
        raise QueryError("CBGM compares the people around one person; it needs one shot in a scene, not a crop and not several shots")
    own = {key for key in (shot.key for shot in [*shots, *negatives]) if isinstance(key, PersonKey) and key.scene.gallery == number}
    options = SearchOptions(
        top_k=(asking.top_k + len(own)) * (FRAMES_A_SPELL if asking.group else 1),
        rerank=asking.rerank or None,
        min_similarity="auto" if asking.matches and searcher.calibration else None,
    )
    result = searcher.search(query, gallery.opened(), options)
    gallery.catalog()  # numbers the pictures that are new
    result = replace(
        result, hits=tuple(hit for hit in result if key_of(hit, gallery) not in {*own, None})
    )  # a spell has its best other frame
    if asking.group:
        result = result.spells()
    kept = [(hit, key) for hit in result[: asking.top_k] if (key := key_of(hit, gallery)) is not None]
    return Found(gallery, shots, negatives, result, [hit for hit, _ in kept], [key for _, key in kept])


def describe(key: Shot, searcher: PersonSearcher, galleries: Galleries, uploads: Uploads) -> Shown:
    """The embedding of a shot and the people around it; of a gallery's person, those that are stored."""
    if isinstance(key, UploadKey):
        upload = uploads.get(key)
        if key.person is None:
            return Shown(key, Query(upload.pixels, crop=True), searcher.embed(upload.pixels)[0], None)
        box = upload.people.boxes[key.person - 1]
        row = upload.people.embeddings[key.person - 1]
        return Shown(key, Query(upload.pixels, box), row, context_of(row, box, upload.people))
    catalog, scene, at = galleries.person(key)
    box, row = catalog.people.boxes[at], catalog.people.embeddings[at]
    query = Query(scene.name, box, time=catalog.time(scene), frame=scene.frame or None)
    return Shown(key, query, row, context_of(row, box, people_of(catalog, scene)))


def people_of(catalog: Catalog, scene: Scene) -> Detections:
    """The people of a scene, as they are stored."""
    part = slice(scene.people.start, scene.people.stop)
    return Detections(catalog.people.boxes[part], catalog.people.scores[part], catalog.people.embeddings[part])


def _query(shots: list[Shown], searcher: PersonSearcher) -> EmbeddedQuery:
    """One query of all shots: the mean of their unit rows."""
    mean = np.mean([shot.row for shot in shots], axis=0)
    row = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return EmbeddedQuery(shots[0].query, row, shots[0].context if len(shots) == 1 else None, searcher.model.fingerprint)


def key_of(hit: Hit, gallery: OpenGallery) -> PersonKey | None:
    """The key of a hit's person; None if the gallery has changed since the search, and does not have this picture any more."""
    number = gallery.catalogs.number(hit.image)
    return None if number is None or hit.row is None else PersonKey(SceneKey(gallery.number, number, hit.frame), hit.row)


def address(wanted: Asking, *, add: str = "", reject: str = "", drop: str = "") -> str:
    """The address of a search with one change.

    Args:
        wanted: Search as it is.
        add: Key of a further shot of the person.
        reject: Key of a person who is not the one.
        drop: Key of a shot, or of such a person, to leave out.
    """
    shots = [key for key in [*wanted.shot, add] if key and key not in (drop, reject)]
    negatives = [key for key in [*wanted.negatives, reject] if key and key not in (drop, add)]
    pairs = [*(("shot", key) for key in dict.fromkeys(shots)), *(("not", key) for key in dict.fromkeys(negatives))]
    rest = wanted.model_dump(exclude={"shot", "negatives"}, exclude_defaults=True)
    return "/hits?" + urlencode([*pairs, *rest.items()])
