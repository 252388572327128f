"""One route, two answers: a page or a part of it for browsers, JSON for apps."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from personsearch.checks import shown
from personsearch.render.lettering import clock, file_name

JSON = "personsearch.json"  # key of the request's scope: the address ended with .json
T = TypeVar("T", bound=BaseModel)


class JsonSuffix:
    """Lets each address end with .json, for an answer as JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the ending off the address."""
        if scope["type"] == "http" and scope["path"].endswith(".json") and scope["path"] != "/openapi.json":
            path = scope["path"].removesuffix(".json")
            scope = {**scope, "path": path, "raw_path": path.encode(), JSON: True}
        await self.app(scope, receive, send)


def wants_page(request: Request) -> bool:
    """Whether the answer is HTML: for a browser's Accept header and for htmx, unless the address ends with .json."""
    if request.scope.get(JSON):
        return False
    return "hx-request" in request.headers or "text/html" in request.headers.get("accept", "")


def is_part(request: Request) -> bool:
    """Whether htmx asks for a part of the page."""
    return "hx-request" in request.headers


def answer(
    request: Request, value: T, page: str, *, part: str = "", status: int = 200, names: Mapping[str, Any] | None = None
) -> T | Response:
    """The value as JSON, or as the page or the part of a page that a template makes of it.

    Args:
        request: Request to answer.
        value: Answer.
        page: Name of the template; the value is `answer` in it.
        part: Name of the template if htmx asks; by default the same.
        status: HTTP status of a page.
        names: Further values in the template.
    """
    if not wants_page(request):
        return value
    template = environment().get_template(part or page if is_part(request) else page)
    return HTMLResponse(template.render(answer=value, part=is_part(request), **(names or {})), status)


@cache
def environment() -> Environment:
    """The templates; everything that they insert is escaped."""
    made = Environment(
        loader=PackageLoader("personsearch.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"clock": clock, "file_name": file_name, "shown": shown, "duration": duration}
    return made


def duration(seconds: float) -> str:
    """Seconds as a person says them: "8 s", "3 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
