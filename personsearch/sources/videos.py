"""Read the frames of a video file, in order or near a time."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING

from personsearch.boxes import Array
from personsearch.errors import ImageError
from personsearch.images import check_file
from personsearch.sources.frame import Frame

if TYPE_CHECKING:
    from cv2 import VideoCapture

VIDEO_EXTENSIONS = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
# Seeking lands near a time, not on it: start this many seconds before.
SEEK_BEFORE = 0.5
# Two readings of one timestamp differ by rounding only; frames are at least 1 ms apart.
SAME_TIME = 0.0005


def is_video(name: str) -> bool:
    """Whether a file name has the extension of a video."""
    return name.lower().endswith(VIDEO_EXTENSIONS)


def video_frames(path: str, every: int, skip: Set[int]) -> Iterator[Frame]:
    """Frames 0, every, 2 * every, ... of a video, without those in `skip`.

    Raises:
        ImageError: The file is not a video, or none of its frames can be read. Raised while iterating.
    """
    import cv2

    with _opened(path) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        number = -1
        while capture.grab():
            number += 1
            if number % every or number in skip:
                continue
            readable, pixels = capture.retrieve()
            if readable:
                seconds = _seconds(capture) or (number / rate if rate > 0 else None)  # some containers have no timestamps
                yield Frame(path, number, seconds, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        if number < 0:
            raise ImageError(f"{path}: no frame of this video can be read; re-encode it as H.264 mp4")


def pixels_at(path: str, time: float) -> Array | None:
    """The frame at exactly this time; None if seeking does not find it.

    Raises:
        ImageError: The file is missing or cannot be read as a video.
    """
    import cv2

    with _opened(path) as capture:
        capture.set(cv2.CAP_PROP_POS_MSEC, max(time - SEEK_BEFORE, 0) * 1000)
        while capture.grab() and (at := _seconds(capture)) < time + SAME_TIME:
            if at > time - SAME_TIME:
                readable, pixels = capture.retrieve()
                return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if readable else None
    return None


@contextmanager
def _opened(path: str) -> "Iterator[VideoCapture]":
    import cv2

    check_file(path)
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)  # the other back ends read a name with digits as a series of pictures
    try:
        if not capture.isOpened():
            raise ImageError(f"{path}: cannot be read as a video; re-encode it as H.264 mp4")
        yield capture
    finally:
        capture.release()


def _seconds(capture: "VideoCapture") -> float:
    import cv2

    milliseconds: float = capture.get(cv2.CAP_PROP_POS_MSEC)
    return max(milliseconds, 0.0) / 1000
