"""Open galleries: index a source, see its progress, list its scenes."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi import Query as Parameter
from starlette.responses import Response

from personsearch.errors import SourceError
from personsearch.ui.answering import answer, wants_page
from personsearch.ui.answers import GalleriesAnswer, GalleryAnswer, SceneLine, ScenesAnswer
from personsearch.ui.galleries import OpenGallery
from personsearch.ui.keys import SceneKey
from personsearch.ui.routes.home import overview
from personsearch.ui.service import Shared, gallery_answer

router = APIRouter()
SCENES_A_PAGE, MOST_SCENES = 48, 500


@router.get("/galleries", response_model=GalleriesAnswer, summary="List the open galleries")
def galleries(request: Request, service: Shared) -> Any:
    """The open galleries."""
    return answer(request, overview(service), "home.html.j2")


@router.post("/galleries", response_model=GalleryAnswer, status_code=202, summary="Index a folder, pattern, picture or video")
def add(
    request: Request,
    service: Shared,
    source: Annotated[str, Form(description="path on the service's machine, of a source or of a gallery", max_length=4096)],
    every: Annotated[int | None, Form(description="step between the frames of a video", ge=1)] = None,
) -> Any:
    """Open a source. The answer comes before it is indexed: ask for the gallery's progress."""
    if not service.takes_sources:
        raise SourceError("this service takes no new sources")
    return _leading_to(request, service.galleries.add(source, every))


@router.get("/galleries/{number}", response_model=ScenesAnswer, summary="A gallery's state and scenes")
def scenes(
    request: Request,
    service: Shared,
    number: int,
    start: Annotated[int, Parameter(ge=0, description="position of the first scene")] = 0,
    count: Annotated[int, Parameter(ge=1, le=MOST_SCENES)] = SCENES_A_PAGE,
) -> Any:
    """The state of a gallery, and a part of its scenes."""
    return answer(request, scenes_of(service.galleries.get(number), start, count), "scenes.html.j2", names={"count": count})


@router.get("/galleries/{number}/progress", response_model=GalleryAnswer, summary="How far indexing is")
def progress(request: Request, service: Shared, number: int) -> Any:
    """The state of a gallery; while it is indexed, the frames done and the time left."""
    value = gallery_answer(service.galleries.get(number))
    if wants_page(request) and value.state not in ("waiting", "indexing"):
        return Response(headers={"HX-Refresh": "true"})  # the page asks only while it waits
    return answer(request, value, "progress.html.j2")


@router.post("/galleries/{number}/index", response_model=GalleryAnswer, status_code=202, summary="Index again")
def again(request: Request, service: Shared, number: int) -> Any:
    """Bring a gallery up to date with its source."""
    opened = service.galleries.get(number)
    if not service.takes_sources:
        raise SourceError("this service takes no new sources")
    return _leading_to(request, service.galleries.add(opened.source, None))


@router.post("/galleries/{number}/stop", response_model=GalleryAnswer, summary="Stop indexing")
def stop(request: Request, service: Shared, number: int) -> Any:
    """End a run of indexing; what was written stays."""
    return _leading_to(request, service.galleries.stop(number))


@router.delete("/galleries/{number}", status_code=204, summary="Close a gallery")
def close(request: Request, service: Shared, number: int) -> Response:
    """Forget a gallery until it is opened again; its files stay."""
    service.galleries.close(number)
    return Response(headers={"HX-Redirect": "/"}) if wants_page(request) else Response(status_code=204)


def scenes_of(opened: OpenGallery, start: int, count: int) -> ScenesAnswer:
    """A part of a gallery's scenes; none while nothing is written yet."""
    catalog = None if opened.gallery is None else opened.catalog()
    part = [] if catalog is None else catalog.scenes[start : start + count]
    return ScenesAnswer(
        gallery=gallery_answer(opened),
        scenes=[
            SceneLine(
                scene=str(SceneKey(opened.number, scene.image, scene.frame)),
                image=scene.name,
                frame=scene.frame,
                time=None if catalog is None else catalog.time(scene),
                people=len(scene.people),
            )
            for scene in part
        ],
        start=start,
        total=0 if catalog is None else len(catalog.scenes),
    )


def _leading_to(request: Request, opened: OpenGallery) -> Any:
    """The gallery as JSON; for the page, the way to it."""
    if wants_page(request):
        return Response(headers={"HX-Redirect": f"/galleries/{opened.number}"})
    return gallery_answer(opened)
