"""Short names of galleries' scenes and people, and of pictures that were dropped on the page: what addresses hold in place of paths."""

import re
from dataclasses import dataclass

from personsearch.errors import QueryError

_KEY = re.compile(r"(?:(?P<gallery>\d{1,9})\.(?P<image>\d{1,9})\.(?P<frame>\d{1,9})|u(?P<upload>[0-9a-f]{32}))(?:\.(?P<person>\d{1,9}))?")


@dataclass(frozen=True)
class SceneKey:
    """One picture, or one frame of a video, of an open gallery."""

    gallery: int
    image: int  # number of the picture or video; it keeps its number while the gallery is open
    frame: int

    def __str__(self) -> str:
        return f"{self.gallery}.{self.image}.{self.frame}"


@dataclass(frozen=True)
class PersonKey:
    """One person of a scene."""

    scene: SceneKey
    row: int  # as in `Gallery.remove_person`: 0 = the scene's best score

    def __str__(self) -> str:
        return f"{self.scene}.{self.row}"


@dataclass(frozen=True)
class UploadKey:
    """A picture that was sent to the service, or one person of it."""

    upload: str
    person: int | None = None  # number from 1; None: the whole picture is a crop of the person

    def __str__(self) -> str:
        return f"u{self.upload}" if self.person is None else f"u{self.upload}.{self.person}"


def scene_key(text: str) -> SceneKey:
    """The key of a scene, such as "1.12.0".

    Raises:
        QueryError: The text is not such a key.
    """
    match = _KEY.fullmatch(text)
    if match is None or match["gallery"] is None or match["person"] is not None:
        raise QueryError(f"a scene is GALLERY.IMAGE.FRAME, three whole numbers, got {text!r:.80}")
    return SceneKey(int(match["gallery"]), int(match["image"]), int(match["frame"]))


def person_key(text: str) -> PersonKey:
    """The key of a person, such as "1.12.0.2".

    Raises:
        QueryError: The text is not such a key.
    """
    key = shot_key(text)
    if not isinstance(key, PersonKey):
        raise QueryError(f"a person of a gallery is GALLERY.IMAGE.FRAME.PERSON, four whole numbers, got {text!r:.80}")
    return key


def shot_key(text: str) -> PersonKey | UploadKey:
    """The key of a person of a gallery or of a picture that was sent, such as "1.12.0.2", "u0123...ef" or "u0123...ef.1".

    Raises:
        QueryError: The text is not such a key.
    """
    match = _KEY.fullmatch(text)
    if match is None or (match["upload"] is None and match["person"] is None):
        raise QueryError(f"a person is GALLERY.IMAGE.FRAME.PERSON, or a sent picture with the number of a person, got {text!r:.80}")
    person = None if match["person"] is None else int(match["person"])
    if match["upload"] is not None:
        return UploadKey(match["upload"], person)
    return PersonKey(SceneKey(int(match["gallery"]), int(match["image"]), int(match["frame"])), person or 0)
