"""A search as the addresses ask for it: shots of the person, people who are not the person, and options."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Query as Parameter
from pydantic import BaseModel, ConfigDict, Field

from personsearch.errors import QueryError
from personsearch.gallery import Where
from personsearch.hits import Hit, Query
from personsearch.query import EmbeddedQuery
from personsearch.ranking import context_of
from personsearch.results import Detections, SearchResult
from personsearch.searching import EmbeddedShots, SearchOptions
from personsearch.ui.catalog import Catalog, Scene
from personsearch.ui.galleries import OpenGallery
from personsearch.ui.keys import PersonKey, SceneKey, UploadKey, shot_key
from personsearch.ui.service import Service

MOST_HITS, MOST_SHOTS, MOST_GALLERIES = 200, 50, 100
FRAMES_A_SPELL = 20  # hits that are searched for each spell wanted
Shot = PersonKey | UploadKey


class Asking(BaseModel):
    """The parameters of a search."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    shot: list[str] = Field(default=[], max_length=MOST_SHOTS, description="pictures of the person: keys of people, or of sent pictures")
    negatives: list[str] = Field(default=[], alias="not", max_length=MOST_SHOTS, description="people who are not the person: keys")
    gallery: list[int] = Field(default=[], max_length=MOST_GALLERIES, description="galleries to search; by default that of the first shot")
    top_k: int = Field(default=24, ge=1, le=MOST_HITS, description="largest number of hits")
    rerank: Literal["", "cbgm", "k-reciprocal", "query-expansion"] = Field(
        default="", description="cbgm: re-rank by the people around the person; the others by the best people"
    )
    confidence_weighted: bool | None = Field(
        default=None, description="whether to rank by cosine x score; by default as the model's paper does"
    )
    group: Literal["", "spell"] = Field(default="", description="spell: one hit for each stretch of a video's frames")
    matches: bool = Field(default=False, description="only hits that reach the model's threshold")
    start: float | None = Field(default=None, ge=0, description="seconds into the video from which people count")
    end: float | None = Field(default=None, ge=0, description="seconds into the video up to which people count")
    min_height: float | None = Field(default=None, ge=0, description="lowest height of a person in pixels")
    min_score: float | None = Field(default=None, ge=0, le=1, description="lowest detection score")


AskingParameters = Annotated[Asking, Parameter()]


@dataclass(frozen=True)
class Shown:
    """One shot as the model describes it."""

    key: Shot
    embedded: EmbeddedQuery


@dataclass(frozen=True)
class Found:
    """The hits of one search, with the keys of their people."""

    galleries: list[OpenGallery]
    shots: list[Shown]
    negatives: list[Shown]
    result: SearchResult
    keys: list[PersonKey]  # of the result's hits
    weighted: bool  # whether the hits are ranked by cosine x score

    @property
    def can_use_context(self) -> bool:
        """Whether every shot is in a scene, as CBGM needs."""
        return all(shot.embedded.context is not None for shot in self.shots)


def search(asking: Asking, service: Service) -> Found:
    """Search for the person of the shots. The shots, and who is not the person, are not among the hits.

    Raises:
        QueryError: No shot, a malformed key, no gallery, or CBGM without a scene.
        NotOpenError: A shot or a gallery is not open any more.
    """
    keys = [shot_key(text) for text in dict.fromkeys(asking.shot)]
    numbers = asking.gallery or [key.scene.gallery for key in keys if isinstance(key, PersonKey)][:1]
    if not keys or not numbers:
        raise QueryError("a search needs shot= with the key of a person, and gallery= if that person was sent")
    galleries = [service.galleries.get(number) for number in dict.fromkeys(numbers)]
    shots = [describe(key, service) for key in keys]
    negatives = [describe(shot_key(text), service) for text in dict.fromkeys(asking.negatives)]
    own = {shot.key for shot in [*shots, *negatives]}
    several = EmbeddedShots(
        tuple(shot.embedded for shot in shots),
        tuple(shot.embedded for shot in negatives),
        "best" if asking.rerank == "cbgm" else "mean",
    )
    options = options_of(asking, service, len(own)).of_model(service.searcher.model)
    result = service.searcher.search(several, [one.opened() for one in galleries], options)
    by_location = {one.opened().location: one for one in galleries}
    for one in galleries:
        one.catalog()  # numbers the pictures that are new
    result = replace(result, hits=tuple(hit for hit in result if key_of(hit, by_location) not in {*own, None}))
    if asking.group:  # now, so that the spell of a shot has its best other frame
        result = result.spells()
    hits = tuple(replace(hit, rank=rank) for rank, hit in enumerate(result[: asking.top_k], start=1))
    result = replace(result, hits=hits)
    hit_keys = [key for hit in result if (key := key_of(hit, by_location)) is not None]
    return Found(galleries, shots, negatives, result, hit_keys, bool(options.confidence_weighted))


def options_of(asking: Asking, service: Service, own: int) -> SearchOptions:
    """The options of a search.

    Args:
        asking: Parameters of the search.
        service: Service that searches.
        own: Number of shots and negatives, which are left out of the hits.
    """
    where = Where(start=asking.start, end=asking.end, min_height=asking.min_height, min_score=asking.min_score)
    return SearchOptions(
        top_k=(asking.top_k + own) * (FRAMES_A_SPELL if asking.group else 1),
        rerank=asking.rerank or None,
        confidence_weighted=asking.confidence_weighted,
        min_similarity="auto" if asking.matches and service.threshold is not None else None,
        where=None if where == Where() else where,
    )


def describe(key: Shot, service: Service) -> Shown:
    """The embedding of a shot and the people around it; of a gallery's person, those that are stored."""
    fingerprint = service.searcher.model.fingerprint
    if isinstance(key, UploadKey):
        upload = service.uploads.get(key)
        if key.person is None:
            return Shown(key, EmbeddedQuery(Query(upload.pixels, crop=True), upload.row, None, fingerprint))
        box, row, around = upload.people.boxes[key.person - 1], upload.people.embeddings[key.person - 1], upload.people
        return Shown(key, EmbeddedQuery(Query(upload.pixels, box), row, context_of(row, box, around), fingerprint))
    catalog, scene, at = service.galleries.person(key)
    box, row = catalog.people.boxes[at], catalog.people.embeddings[at]
    query = Query(scene.name, box, time=catalog.time(scene), frame=scene.frame or None)
    return Shown(key, EmbeddedQuery(query, row, context_of(row, box, people_of(catalog, scene)), fingerprint))


def people_of(catalog: Catalog, scene: Scene) -> Detections:
    """The people of a scene, as they are stored."""
    part = slice(scene.people.start, scene.people.stop)
    return Detections(catalog.people.boxes[part], catalog.people.scores[part], catalog.people.embeddings[part])


def key_of(hit: Hit, galleries: dict[str, OpenGallery]) -> PersonKey | None:
    """The key of a hit's person; None if the gallery has changed since the search, and does not have this picture any more.

    Args:
        hit: Hit of a search.
        galleries: Searched galleries by their location.
    """
    gallery = galleries[hit.gallery or ""]
    number = gallery.catalogs.number(hit.image)
    return None if number is None or hit.row is None else PersonKey(SceneKey(gallery.number, number, hit.frame), hit.row)


def address(wanted: Asking, *, add: str = "", reject: str = "", drop: str = "", path: str = "/hits") -> str:
    """The address of a search with one change.

    Args:
        wanted: Search as it is.
        add: Key of a further shot of the person.
        reject: Key of a person who is not the one.
        drop: Key of a shot, or of such a person, to leave out.
        path: Path of the address.
    """
    shots = [key for key in [*wanted.shot, add] if key and key not in (drop, reject)]
    negatives = [key for key in [*wanted.negatives, reject] if key and key not in (drop, add)]
    pairs = [*(("shot", key) for key in dict.fromkeys(shots)), *(("not", key) for key in dict.fromkeys(negatives))]
    rest = wanted.model_dump(exclude={"shot", "negatives"}, exclude_defaults=True)
    return f"{path}?{urlencode([*pairs, *rest.items()], doseq=True)}"
