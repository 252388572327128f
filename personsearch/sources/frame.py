"""One decoded picture of a source."""

from dataclasses import dataclass

from personsearch.boxes import Array


@dataclass(frozen=True)
class Frame:
    """A decoded picture, or one decoded frame of a video."""

    image: str  # name of the item that the frame comes from
    frame: int  # number in a video, counted from 0; 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    pixels: Array  # (H, W, 3) uint8 RGB
