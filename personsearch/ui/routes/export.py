"""The hits as a file to keep."""

import io
import json
import zipfile
from contextlib import suppress
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import Response

from personsearch.errors import BoxError, ImageError
from personsearch.render import plain_stem
from personsearch.render.page import page
from personsearch.results import SearchResult
from personsearch.ui import asking
from personsearch.ui.asking import AskingParameters
from personsearch.ui.service import Shared

router = APIRouter()
Format = Literal["csv", "json", "html", "coco", "crops"]
TYPES: dict[Format, tuple[str, str]] = {  # media type, and name of the file
    "csv": ("text/csv; charset=utf-8", "hits.csv"),
    "json": ("application/json", "hits.json"),
    "html": ("text/html; charset=utf-8", "hits.html"),
    "coco": ("application/json", "hits_coco.json"),
    "crops": ("application/zip", "hits.zip"),
}
FILES: dict[int | str, dict[str, Any]] = {200: {"content": {kind.split(";")[0]: {} for kind, _ in TYPES.values()}, "description": "file"}}


@router.get("/export/{kind}", response_class=Response, responses=FILES, summary="The hits as a file")
def export(service: Shared, kind: Format, wanted: AskingParameters) -> Response:
    """The hits of a search as a table (csv), JSON, one page (html), COCO, or the people cut out (crops, a ZIP file)."""
    media_type, name = TYPES[kind]
    content = content_of(asking.search(wanted, service).result, kind)
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def content_of(result: SearchResult, kind: Format) -> str | bytes:
    """The content of the file."""
    if kind == "csv":
        return result.to_csv()
    if kind == "json":
        return result.to_json()
    if kind == "html":
        return page(result.query, result.hits)
    return json.dumps(result.to_coco(), indent=2, allow_nan=False) if kind == "coco" else crops(result)


def crops(result: SearchResult) -> bytes:
    """The people cut out, as PNG files in a ZIP file; a person whose picture is gone is left out, and the table `hits.csv` has all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("hits.csv", result.to_csv())
        for hit in result:
            with suppress(ImageError, BoxError):
                picture = io.BytesIO()
                hit.crop().save(picture, "PNG")
                archive.writestr(f"{hit.rank:03d}_{plain_stem(hit.image)}_{hit.frame}.png", picture.getvalue())
    return buffer.getvalue()
