"""One decoded picture of a source, and the frames of one item in order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from personsearch.boxes import Array


@dataclass(frozen=True)
class Frame:
    """A decoded picture, or one decoded frame of a video."""

    image: str  # name of the item that the frame comes from
    frame: int  # number in a video, counted from 0; 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    pixels: Array  # (H, W, 3) uint8 RGB


class Frames(Iterator[Frame]):
    """The frames of one picture or video, decoded as they are taken.

    Attributes:
        total: Number of frames that will come if all can be read, from the container's own count or its length; None
            before the first frame, and if the container does not say.
        decoded: Number of frames decoded so far, also those that are not wanted.
        partly_read: What could not be read, such as "37 of 100 frames; it ends after 1.5 of 4.0 s"; "" if all was read.
            Complete after the last frame.
    """

    def __init__(self, read: "Callable[[Frames], Iterator[Frame]]") -> None:
        self.total: int | None = None
        self.decoded = 0
        self.partly_read = ""
        self._frames = read(self)

    def __next__(self) -> Frame:
        return next(self._frames)

    def close(self) -> None:
        """Close the file before its last frame."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()
