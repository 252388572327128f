"""What the routes share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from personsearch.searcher import PersonSearcher
from personsearch.ui.answers import GalleryAnswer, PersonAnswer, ProgressAnswer, SceneAnswer
from personsearch.ui.catalog import Catalog, Scene
from personsearch.ui.galleries import Galleries, OpenGallery
from personsearch.ui.keys import PersonKey, SceneKey
from personsearch.ui.pictures import Pictures
from personsearch.ui.uploads import Upload, Uploads


@dataclass(frozen=True)
class Service:
    """The searcher, and all that one run of the service keeps."""

    searcher: PersonSearcher
    galleries: Galleries
    uploads: Uploads
    pictures: Pictures
    takes_sources: bool

    @property
    def threshold(self) -> float | None:
        """Similarity of a match; None if the model is not calibrated."""
        return None if self.searcher.calibration is None else self.searcher.calibration.min_similarity


def service_of(request: Request) -> Service:
    """The service of an application."""
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(service_of)]


def gallery_answer(opened: OpenGallery) -> GalleryAnswer:
    """An open gallery with its counts."""
    state, error = opened.state, opened.error  # first: what is read later is at least as new
    catalog = None if opened.gallery is None else opened.catalog()
    now, progress = opened.progress if state == "indexing" else None, None
    if now is not None:
        progress = ProgressAnswer(done=now.done, total=now.total, people=now.people, seconds_left=now.seconds_left)
    return GalleryAnswer(
        gallery=opened.number,
        name=opened.name,
        source=opened.source,
        state=state,
        error=error,
        progress=progress,
        people=0 if catalog is None else len(catalog.people),
        images=0 if catalog is None else catalog.image_count,
        scenes=0 if catalog is None else len(catalog.scenes),
        not_looked={} if opened.gallery is None else opened.gallery.not_looked,
    )


def scene_answer(opened: OpenGallery, catalog: Catalog, scene: Scene) -> SceneAnswer:
    """A scene with its people and its neighbours, without the size of its picture."""
    position = catalog.positions[scene.image, scene.frame]

    def neighbour(step: int) -> str | None:
        if not 0 <= position + step < len(catalog.scenes):
            return None
        other = catalog.scenes[position + step]
        return str(SceneKey(opened.number, other.image, other.frame))

    key, time = SceneKey(opened.number, scene.image, scene.frame), catalog.time(scene)
    people = [
        PersonAnswer(
            person=str(PersonKey(key, int(catalog.people.rows[row]))),
            number=number,
            box=corners(catalog.people.boxes[row].tolist()),
            score=round(float(catalog.people.scores[row]), 4),
        )
        for number, row in enumerate(scene.people, start=1)
    ]
    return SceneAnswer(
        scene=str(key),
        gallery=opened.number,
        image=scene.name,
        frame=scene.frame,
        time=time,
        people=people,
        previous=neighbour(-1),
        next=neighbour(1),
        video=time is not None,
    )


def people_sent(upload: Upload) -> list[PersonAnswer]:
    """The people of a picture that was sent."""
    return [
        PersonAnswer(
            person=f"{upload.key}.{number}", number=number, box=corners(upload.people.boxes[number - 1].tolist()), score=round(one.score, 4)
        )
        for number, one in enumerate(upload.people, start=1)
    ]


def corners(box: list[float]) -> tuple[float, float, float, float]:
    """A box in hundredths of a pixel."""
    x1, y1, x2, y2 = (round(value, 2) for value in box)
    return x1, y1, x2, y2
