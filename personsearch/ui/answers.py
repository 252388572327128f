"""What the service answers, as JSON; the templates show the same values."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from personsearch.hits import SMALL

Corners = tuple[float, float, float, float]
Box = Annotated[Corners, Field(description="x1, y1, x2, y2 in pixels of the original picture")]


class Answer(BaseModel):
    """Base of all answers: values never change."""

    model_config = ConfigDict(frozen=True)


class Mistake(Answer):
    """Why a request was refused."""

    error: str


class ProgressAnswer(Answer):
    """How far a run of indexing is."""

    done: int = Field(description="frames that were looked at; a picture is one")
    total: int = Field(description="frames expected in all")
    people: int
    seconds_left: float | None


class GalleryAnswer(Answer):
    """One open gallery."""

    gallery: int = Field(description="number of the gallery in the other addresses")
    name: str
    source: str
    state: Literal["waiting", "indexing", "ready", "failed", "stopped"]
    error: str = ""
    progress: ProgressAnswer | None = None
    people: int = 0
    images: int = Field(default=0, description="pictures and videos")
    scenes: int = Field(default=0, description="pictures, and frames of videos with people")
    not_looked: dict[str, str] = Field(default={}, description="picture, video or folder that could not be looked at, and why")


class GalleriesAnswer(Answer):
    """Everything that is open."""

    galleries: list[GalleryAnswer]
    model: str
    version: str
    threshold: float | None = Field(description="similarity from which two people count as the same; null: the model is not calibrated")
    takes_sources: bool = Field(description="whether POST /galleries is allowed")


class PersonAnswer(Answer):
    """One person of a scene."""

    person: str = Field(description="key for shot=, for example 1.12.0.2")
    number: int = Field(description="number in the scene, from 1")
    box: Box
    score: float = Field(description="how sure the detector is, 0 to 1")


class SceneAnswer(Answer):
    """One picture, or one frame of a video, with its people."""

    scene: str = Field(description="key, for example 1.12.0")
    gallery: int
    image: str = Field(description="path of the picture or video")
    frame: int
    time: float | None = Field(description="seconds into the video")
    people: list[PersonAnswer]
    width: int = Field(default=0, description="of the original picture in pixels; 0: it cannot be read")
    height: int = 0
    error: str = Field(default="", description="why the picture cannot be read any more")
    previous: str | None = None
    next: str | None = None
    video: bool = False


class SceneLine(Answer):
    """One scene of a list."""

    scene: str
    image: str
    frame: int
    time: float | None
    people: int


class ScenesAnswer(Answer):
    """A part of a gallery's scenes."""

    gallery: GalleryAnswer
    scenes: list[SceneLine]
    start: int
    total: int


class SentAnswer(Answer):
    """A picture that was sent."""

    picture: str = Field(description="key for shot= if the picture is a crop of one person")
    width: int
    height: int
    people: list[PersonAnswer]
    doubt: str = Field(default="", description="why the picture does not look like a crop of one person; empty: it does")


class ShotAnswer(Answer):
    """One picture of the person that is searched for, or of somebody else who is not."""

    shot: str
    name: str
    time: float | None = None
    scene: str | None = None


class HitAnswer(Answer):
    """One person of the gallery, best first."""

    rank: int
    person: str = Field(description="key for shot=, not= and /people/KEY/picture")
    scene: str
    image: str
    frame: int
    time: float | None
    box: Box
    score: float
    similarity: float = Field(description="cosine, -1 to 1")
    ranked_by: float = Field(description="value that the order follows, by the rule of the answer")
    is_match: bool | None = Field(description="whether the similarity reaches the threshold; null: the model is not calibrated")
    is_small: bool = Field(description=f"whether the person is less than {SMALL} pixels high, so that the similarity says less")
    start: float | None = Field(default=None, description="of a spell: seconds of its first frame")
    end: float | None = Field(default=None, description="of a spell: seconds of its last frame")


class HitsAnswer(Answer):
    """The hits of one search."""

    galleries: list[GalleryAnswer]
    shots: list[ShotAnswer]
    negatives: list[ShotAnswer]
    threshold: float | None
    engine: str
    rerank: Literal["cbgm", "k-reciprocal", "query-expansion"] | None
    ranked_by: str = Field(description='rule of the order in words: "cosine", "cosine x score", and what re-ranking adds')
    confidence_weighted: bool = Field(description="whether the order follows cosine x score")
    group: Literal["spell"] | None
    top_k: int
    hits: list[HitAnswer]
    not_looked: dict[str, str] = {}


class Entry(Answer):
    """A folder, or a video in it."""

    name: str
    path: str
    is_folder: bool


class FolderAnswer(Answer):
    """The folders and videos of a folder of this machine, to choose from."""

    path: str
    parent: str | None
    entries: list[Entry]
    pictures: int = Field(description="pictures directly in this folder")
    more: bool = Field(default=False, description="whether there are more entries than listed")
