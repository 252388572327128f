"""Scenes and people: what is in a picture, the picture itself, and the video around a frame."""

import mimetypes
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.responses import FileResponse, Response

from personsearch.errors import ImageError
from personsearch.sources.kinds import kind_of_head, read_head
from personsearch.ui.answering import answer
from personsearch.ui.answers import HitsAnswer, SceneAnswer
from personsearch.ui.galleries import OpenGallery
from personsearch.ui.keys import SceneKey, person_key, scene_key
from personsearch.ui.pictures import Picture, Size
from personsearch.ui.service import Service, Shared, scene_answer

router = APIRouter()
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "JPEG"}}


@router.get("/scenes/{key}", response_model=SceneAnswer, summary="The people of a scene")
def scene(
    request: Request,
    service: Shared,
    key: str,
    person: Annotated[str, Parameter(description="key of a person to mark on the page")] = "",
) -> Any:
    """A picture, or a frame of a video, with a box for each person."""
    value = whole_scene(service, scene_key(key))
    names = workspace(service.galleries.get(value.gallery), scene=value, chosen=person)
    return answer(request, value, "workspace.html.j2", part="scene_part.html.j2", names=names)


@router.get("/scenes/{key}/picture", response_class=Response, responses=JPEG, summary="The picture of a scene")
def picture(service: Shared, key: str, size: Size = "large") -> Response:
    """The scene as JPEG, its longer side at most 320 (small) or 1600 pixels."""
    parsed = scene_key(key)
    catalog, shown = service.galleries.get(parsed.gallery).scene(parsed)
    return as_jpeg(service.pictures.scene(shown.name, shown.frame, catalog.time(shown), size))


@router.get("/scenes/{key}/video", response_class=FileResponse, summary="The video of a scene")
def video(service: Shared, key: str) -> FileResponse:
    """The whole video that a frame is of; parts of it by the Range header."""
    parsed = scene_key(key)
    _, shown = service.galleries.get(parsed.gallery).scene(parsed)
    if kind_of_head(read_head(shown.name)) != "video":  # by its content: a name may be anything
        raise ImageError(f"scene {key} is not of a video")
    return FileResponse(shown.name, media_type=mimetypes.guess_type(shown.name)[0] or "video/mp4")


@router.get("/people/{key}/picture", response_class=Response, responses=JPEG, summary="The picture of a person")
def person_picture(service: Shared, key: str) -> Response:
    """A person with some of the scene around, 240 x 320 pixels."""
    catalog, shown, row = service.galleries.person(person_key(key))
    return as_jpeg(service.pictures.person(shown.name, shown.frame, catalog.time(shown), catalog.people.boxes[row]))


def whole_scene(service: Service, key: SceneKey) -> SceneAnswer:
    """A scene with the size of its picture, or the reason why there is none."""
    opened = service.galleries.get(key.gallery)
    catalog, found = opened.scene(key)
    value = scene_answer(opened, catalog, found)
    try:
        shown = service.pictures.scene(found.name, found.frame, value.time, "large")
    except ImageError as error:
        return value.model_copy(update={"error": str(error)})
    return value.model_copy(update={"width": shown.width, "height": shown.height})


def workspace(opened: OpenGallery, *, scene: SceneAnswer | None = None, hits: HitsAnswer | None = None, chosen: str = "") -> dict[str, Any]:
    """What the template of a scene beside its hits needs."""
    return {
        "number": opened.number,
        "gallery_name": opened.name,
        "scene": scene,
        "hits": hits,
        "chosen": chosen,
        "target": lambda person: f"/hits?shot={person}",
    }


def as_jpeg(picture: Picture) -> Response:
    """A picture as the answer."""
    return Response(picture.content, media_type="image/jpeg")
