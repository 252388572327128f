"""The application: all routes behind one door."""

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from personsearch import __version__
from personsearch.errors import ConfigError, GalleryModelError, PersonSearchError
from personsearch.gallery import Gallery
from personsearch.searcher import PersonSearcher
from personsearch.searching import check_model
from personsearch.ui.answering import JsonSuffix, answer, wants_page
from personsearch.ui.answers import Mistake
from personsearch.ui.galleries import Galleries, NotOpenError
from personsearch.ui.pictures import Pictures
from personsearch.ui.routes import ROUTERS
from personsearch.ui.security import LEAST_TOKEN, LOOPBACK, Guard
from personsearch.ui.service import Service
from personsearch.ui.uploads import Uploads

MAX_BYTES = 32 * 2**20  # of one request
ABOUT = """Find a person in the pictures and videos of the open galleries. Send the token as `Authorization: Bearer TOKEN`.
Addresses answer JSON to everything but browsers; with `.json` at their end, to browsers too."""


def create_app(
    searcher: PersonSearcher,
    *,
    token: str | None = None,
    galleries: Iterable[Gallery] = (),
    sources: bool = True,
    root: Path | None = None,
    hosts: Iterable[str] = LOOPBACK,
    max_bytes: int = MAX_BYTES,
) -> FastAPI:
    """The page and service of one searcher, as an ASGI application; `app.state.token` is its token.

    Args:
        searcher: Searcher with any model.
        token: Secret that every request must have, at least 16 characters; None: a new random one.
        galleries: Galleries that are open from the start.
        sources: Whether the page may open further folders and videos of this machine.
        root: Folder that these must be in; None: everything that this user can read.
        hosts: Names under which the service may be reached, without the port.
        max_bytes: Largest body of a request, so of a picture that is sent.

    Raises:
        ConfigError: The token is too short.
        GalleryModelError: A gallery was made by another model.
    """
    token = secrets.token_urlsafe(32) if token is None else token
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(f"the token must have at least {LEAST_TOKEN} plain characters, got {len(token)}; leave it out for a random one")
    service = Service(searcher, Galleries(searcher, root), Uploads(searcher), Pictures(), takes_sources=sources)
    for gallery in galleries:
        check_model(gallery, searcher.model)
        service.galleries.show(gallery)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.galleries.shut_down()

    app = FastAPI(
        title="personsearch",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # FastAPI's own pages load scripts from another server
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        responses={status: {"model": Mistake} for status in (400, 404, 409, 413, 422)},
    )
    app.state.service, app.state.token = service, token
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=str(resources.files("personsearch.ui").joinpath("static"))))
    app.add_exception_handler(PersonSearchError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(JsonSuffix)
    app.add_middleware(Guard, token=token, hosts=hosts, max_bytes=max_bytes)
    return app


def _refused(request: Request, error: Exception) -> Response:
    """An error of the package: what is wrong, and what to do."""
    status = 404 if isinstance(error, NotOpenError) else 409 if isinstance(error, GalleryModelError) else 422
    return _mistake(request, str(error), status)


def _invalid(request: Request, error: Exception) -> Response:
    """A parameter of the wrong type or out of range."""
    mistakes = error.errors() if isinstance(error, RequestValidationError) else []
    lines = [f"{'.'.join(str(part) for part in mistake['loc'][1:])}: {mistake['msg']}" for mistake in mistakes[:5]]
    return _mistake(request, "; ".join(lines), 422)


def _http(request: Request, error: Exception) -> Response:
    """An unknown address, a method that it does not have, or a body that is too large."""
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return _mistake(request, f"{request.url.path}: not found" if status == 404 else str(detail), status)


def _mistake(request: Request, text: str, status: int) -> Response:
    value: Any = Mistake(error=text)
    if wants_page(request):
        page: Response = answer(request, value, "mistake.html.j2", part="mistake_part.html.j2", status=status)
        return page
    return JSONResponse(value.model_dump(), status)
