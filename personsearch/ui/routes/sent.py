"""Pictures that are sent to be searched for."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from personsearch.errors import QueryError
from personsearch.ui.answering import answer
from personsearch.ui.answers import SentAnswer
from personsearch.ui.keys import UploadKey, shot_key
from personsearch.ui.routes.scenes import JPEG, as_jpeg
from personsearch.ui.service import Shared, people_sent
from personsearch.ui.uploads import Upload

router = APIRouter()
BODY = {"requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}}


async def body(request: Request) -> bytes:
    """The content of a request, in memory."""
    return await request.body()


@router.post("/pictures", response_model=SentAnswer, status_code=201, openapi_extra=BODY, summary="Send a picture of the person")
def send(content: Annotated[bytes, Depends(body)], service: Shared) -> SentAnswer:
    """Send the file itself as the body. It is kept in memory for a while, and not written to the disk."""
    return sent_answer(service.uploads.add(content))


@router.get("/pictures/{key}", response_model=SentAnswer, summary="The people of a picture that was sent")
def sent(request: Request, service: Shared, key: str, gallery: int | None = None) -> Any:
    """The people of a picture that was sent, to choose one of them."""
    place = "" if gallery is None else f"&gallery={gallery}"
    names = {"gallery": gallery, "target": lambda person: f"/hits?shot={person}{place}"}
    return answer(request, sent_answer(service.uploads.get(_key(key))), "sent.html.j2", names=names)


@router.get("/pictures/{key}/picture", response_class=Response, responses=JPEG, summary="A picture that was sent")
def sent_picture(service: Shared, key: str) -> Response:
    """The picture as JPEG; with the number of a person, that person."""
    parsed = _key(key)
    upload = service.uploads.get(parsed)
    return as_jpeg(upload.picture if parsed.person is None else upload.person(parsed.person))


def sent_answer(upload: Upload) -> SentAnswer:
    """A picture that was sent, and its people."""
    return SentAnswer(
        picture=str(upload.key),
        width=upload.pixels.shape[1],
        height=upload.pixels.shape[0],
        people=people_sent(upload),
        doubt="" if upload.doubt is None else upload.doubt.reason,
    )


def _key(text: str) -> UploadKey:
    key = shot_key(text)
    if not isinstance(key, UploadKey):
        raise QueryError(f"a sent picture has the key that POST /pictures answered, got {text!r:.80}")
    return key
