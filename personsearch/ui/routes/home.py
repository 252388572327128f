"""The start page, the choice of a folder, and the description of all routes."""

import os
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.responses import JSONResponse, RedirectResponse, Response

from personsearch import __version__
from personsearch.errors import SourceError
from personsearch.home import expand_user
from personsearch.sources import PICTURE_EXTENSIONS
from personsearch.sources.kinds import VIDEO_EXTENSIONS
from personsearch.ui.answering import answer, wants_page
from personsearch.ui.answers import Answer, Entry, FolderAnswer, GalleriesAnswer
from personsearch.ui.service import Service, Shared, gallery_answer

router = APIRouter()
MOST_ENTRIES = 500  # of a folder that are listed


class Routes(Answer):
    """The OpenAPI description, for the page that shows it."""

    paths: dict[str, Any]


@router.get("/", response_model=GalleriesAnswer, summary="What is open")
def home(request: Request, service: Shared) -> Any:
    """The open galleries, the model and its threshold."""
    return answer(request, overview(service), "home.html.j2")


@router.get("/api", include_in_schema=False)
def api(request: Request) -> Any:
    """All routes on one page, from the OpenAPI description."""
    if not wants_page(request):
        return RedirectResponse("/openapi.json", 303)
    return answer(request, Routes(paths=request.app.openapi()["paths"]), "api.html.j2")


@router.get("/openapi.json", include_in_schema=False)
def description(request: Request) -> Response:
    """The OpenAPI description."""
    return JSONResponse(request.app.openapi())


@router.get("/folders", response_model=FolderAnswer, summary="Folders and videos to choose from")
def folders(
    request: Request, service: Shared, path: Annotated[str, Parameter(description="folder; by default the root, or the home folder")] = ""
) -> Any:
    """The folders and videos in a folder of this machine. Refused where the service takes no sources."""
    if not service.takes_sources:
        raise SourceError("this service takes no new sources")
    root = service.galleries.root
    folder = Path(service.galleries.check(path) if path else root or expand_user("~"))
    return answer(request, listed(folder, root), "folder.html.j2")


def overview(service: Service) -> GalleriesAnswer:
    """What is open."""
    return GalleriesAnswer(
        galleries=[gallery_answer(opened) for opened in service.galleries.all()],
        model=service.searcher.model.name,
        version=__version__,
        threshold=service.threshold,
        takes_sources=service.takes_sources,
    )


def listed(folder: Path, root: Path | None) -> FolderAnswer:
    """The folders and videos of a folder, hidden ones left out.

    Raises:
        SourceError: It cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            visible = [entry for entry in found if not entry.name.startswith(".")]
            entries = sorted(visible, key=lambda entry: (not entry.is_dir(), entry.name))
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed ({error.strerror}); choose another folder") from error
    chosen = [entry for entry in entries if entry.is_dir() or entry.name.lower().endswith(VIDEO_EXTENSIONS)]
    parent = folder.parent if folder.parent != folder and (root is None or folder.parent.is_relative_to(root)) else None
    return FolderAnswer(
        path=str(folder),
        parent=None if parent is None else str(parent),
        entries=[Entry(name=entry.name, path=entry.path, is_folder=entry.is_dir()) for entry in islice(chosen, MOST_ENTRIES)],
        pictures=sum(entry.name.lower().endswith(PICTURE_EXTENSIONS) for entry in entries),
        more=len(chosen) > MOST_ENTRIES,
    )
