"""The `detect` command: the people of pictures and video frames, numbered."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personsearch.cli.options import (
    PICTURES,
    Device,
    MinScore,
    Model,
    PrecisionOption,
    TilesOption,
    check_output,
    open_searcher,
    say,
)
from personsearch.errors import ConfigError, ImageError, ImagesError, PersonSearchError

if TYPE_CHECKING:
    from personsearch.results import Detections
    from personsearch.sources import Frame

BATCH = 8  # frames per forward pass


@dataclass
class _Reader:
    """Frames of several sources, one after the other; what cannot be read is printed, and the rest goes on."""

    every: int
    time: float | None
    failed: bool = field(default=False, init=False)

    def frames(self, sources: list[str]) -> "Iterator[Frame]":
        """The frames of all sources in order."""
        for source in sources:
            try:
                yield from self._source(source)
            except PersonSearchError as error:
                self.fail(str(error))

    def _source(self, source: str) -> "Iterator[Frame]":
        from personsearch.sources import open_source, read_at

        if self.time is not None:
            yield read_at(source, self.time)
            return
        opened = open_source(source)
        for item in opened.items:
            frames = item.frames(self.every)
            try:
                yield from frames
            except PersonSearchError as error:
                self.fail(str(error))
            if frames.partly_read:
                self.fail(f"{item.image}: only partly read: {frames.partly_read}")
        for folder, reason in opened.problems.items():
            self.fail(f"{folder}: {reason}")

    def fail(self, message: str) -> None:
        """Print what cannot be read."""
        self.failed = True
        say(f"error: {message}")


def detect(
    sources: Annotated[list[str], typer.Argument(help="Pictures, videos, folders or glob patterns.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    tiles: TilesOption = None,
    min_score: MinScore = None,
    every: Annotated[int, typer.Option(help="Step between the frames of a video; 1 takes all frames.")] = 1,
    time: Annotated[float | None, typer.Option(help="Seconds into a video: take the frame shown then.")] = None,
    draw: Annotated[
        Path | None,
        typer.Option(help="Write pictures with the numbered boxes: a file (.png, .jpg) for one picture, else a folder."),
    ] = None,
) -> None:
    """Detect and number the people of each picture; prints one JSON object per line: image, person, boxes (xyxy pixels), scores.

    The numbers are those of `personsearch search --person N`. What cannot be read is reported on stderr, the rest is done, and the exit
    code is 1.
    """
    from personsearch import checks

    checks.count("--every", every)
    if time is not None and not time >= 0:
        raise ConfigError(f"--time must be seconds from the start of the video, 0 or more, got {time:g}")
    one_file = draw is not None and draw.suffix != ""
    if draw is not None and one_file:
        if draw.suffix.lower() not in PICTURES:
            raise ConfigError(f"--draw must end with {', '.join(PICTURES)}, or be a folder, got {draw}")
        check_output("--draw", draw)
    elif draw is not None:
        draw.mkdir(parents=True, exist_ok=True)
    searcher = open_searcher(model, device, precision, tiles)
    reader, count = _Reader(every, time), 0
    waiting = reader.frames(sources)
    while frames := list(islice(waiting, BATCH)):
        for frame, people in zip(frames, _detected(searcher, frames, min_score, reader), strict=True):
            if people is None:
                continue
            count += 1
            if one_file and count > 1:
                raise ConfigError(f"--draw {draw} is a file for one picture, and there are more; pass a folder")
            typer.echo(json.dumps(_line(frame, people, has_number=time is None)))
            if draw is not None:
                _draw(people, draw if one_file else draw / _drawn_name(count, frame.image))
    if reader.failed:
        raise typer.Exit(1)


def _detected(searcher: Any, frames: "list[Frame]", min_score: float | None, reader: _Reader) -> "list[Detections | None]":
    """The people of each frame; None for a frame that the model cannot take, such as one of 4 x 4 pixels."""
    try:
        detections: list[Detections | None] = searcher.detect([frame.pixels for frame in frames], min_score=min_score)
        return detections
    except ImagesError as error:
        reader.fail(str(error))
        return error.results
    except ImageError as error:
        reader.fail(f"{frames[0].image}: {error}")
        return [None]


def _line(frame: "Frame", people: "Detections", *, has_number: bool) -> dict[str, Any]:
    number: dict[str, Any] = {"frame": frame.frame} if has_number and (frame.frame or frame.time is not None) else {}
    time: dict[str, Any] = {} if frame.time is None else {"time": frame.time}
    return {"image": frame.image, **number, **time, **people.to_dict()}


def _drawn_name(number: int, image: str) -> str:
    from personsearch.render import plain_stem

    return f"{number:06d}_{plain_stem(image)}.jpg"


def _draw(people: "Detections", file: Path) -> None:
    people.draw().save(file)
    say(f"wrote {file}")
