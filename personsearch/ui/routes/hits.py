"""The search itself, and its export."""

from typing import Any

from fastapi import APIRouter, Request

from personsearch.ui import asking
from personsearch.ui.answering import answer, is_part, wants_page
from personsearch.ui.answers import HitAnswer, HitsAnswer, SceneAnswer, ShotAnswer
from personsearch.ui.asking import Asking, AskingParameters, Found, Shown
from personsearch.ui.catalog import short_name
from personsearch.ui.keys import PersonKey
from personsearch.ui.routes.scenes import whole_scene, workspace
from personsearch.ui.service import Service, Shared, corners, gallery_answer

router = APIRouter()


@router.get("/hits", response_model=HitsAnswer, summary="Search for a person")
def hits(request: Request, service: Shared, wanted: AskingParameters) -> Any:
    """The people of a gallery most similar to the person of the shots, best first; the shots themselves are left out."""
    found = asking.search(wanted, service)
    value = hits_answer(found, wanted, service)
    scene = first_scene(found, service) if wants_page(request) and not is_part(request) else None
    names = workspace(found.galleries[0], scene=scene, hits=value, chosen=wanted.shot[0])
    names |= {
        "wanted": wanted,
        "address": asking.address,
        "alone": lambda person: f"/hits?shot={person}",
        "picture_of": lambda shot: f"/pictures/{shot}/picture" if shot.startswith("u") else f"/people/{shot}/picture",
        "can_rerank": found.can_use_context,
        "open_galleries": [(one.number, one.name) for one in service.galleries.all() if one.gallery is not None],
        "has_videos": any(hit.time is not None for hit in value.hits),
    }
    return answer(request, value, "workspace.html.j2", part="hits_part.html.j2", names=names)


def hits_answer(found: Found, wanted: Asking, service: Service) -> HitsAnswer:
    """The hits with their keys, and what they were searched by."""
    lines = [
        HitAnswer(
            rank=rank,
            person=str(key),
            scene=str(key.scene),
            image=hit.image,
            frame=hit.frame,
            time=hit.time,
            box=corners(list(hit.box)),
            score=round(hit.score, 4),
            similarity=round(hit.similarity, 4),
            ranked_by=round(hit.ranked_by, 4),
            is_match=hit.is_match,
            is_small=hit.is_small,
            start=hit.start,
            end=hit.end,
        )
        for rank, (hit, key) in enumerate(zip(found.result, found.keys, strict=True), start=1)
    ]
    return HitsAnswer(
        galleries=[gallery_answer(one) for one in found.galleries],
        shots=[shot_answer(shot) for shot in found.shots],
        negatives=[shot_answer(shot) for shot in found.negatives],
        threshold=service.threshold,
        engine=found.result.engine,
        rerank=wanted.rerank or None,
        ranked_by=found.result.ranked_by,
        confidence_weighted=found.weighted,
        group=wanted.group or None,
        top_k=wanted.top_k,
        hits=lines,
        not_looked=dict(found.result.not_looked),
    )


def shot_answer(shot: Shown) -> ShotAnswer:
    """A shot with its name."""
    is_person = isinstance(shot.key, PersonKey)
    return ShotAnswer(
        shot=str(shot.key),
        name=short_name(str(shot.embedded.query.image)) if is_person else "the sent picture",
        time=shot.embedded.query.time,
        scene=str(shot.key.scene) if isinstance(shot.key, PersonKey) else None,
    )


def first_scene(found: Found, service: Service) -> SceneAnswer | None:
    """The scene of the first shot, to show beside the hits; None for a picture that was sent."""
    key = found.shots[0].key
    return whole_scene(service, key.scene) if isinstance(key, PersonKey) else None
