"""Pictures of scenes and people as JPEG files in memory; nothing is written to the disk."""

import io
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np

from personsearch.boxes import Array, check_boxes
from personsearch.errors import BoxError, ImageError
from personsearch.render import views
from personsearch.sources import read_frame

if TYPE_CHECKING:
    from PIL.Image import Image

V = TypeVar("V")
Size = Literal["small", "large"]
LONGEST: dict[str, int] = {"small": 320, "large": 1600}  # longer side of a scene, pixels
TILE: views.Size = (240, 320)
QUALITY = 85  # of JPEG
CACHE_BYTES, FRAME_BYTES = 64 * 2**20, 128 * 2**20
AT_ONCE = 4  # pictures that are decoded at the same time


@dataclass(frozen=True)
class Picture:
    """A JPEG file, and the size of the scene that it shows."""

    content: bytes
    width: int  # of the original, pixels
    height: int


@dataclass
class Cache(Generic[V]):
    """The values used last, up to a number of bytes in all; may be used from several threads."""

    most: int
    _values: OrderedDict[Hashable, tuple[V, int]] = field(default_factory=OrderedDict)
    _held: int = 0
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: Hashable) -> V | None:
        """The value of a key, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep a value of `size` bytes; one larger than the whole cache is not kept."""
        with self._lock:
            if key in self._values:
                self._held -= self._values.pop(key)[1]
            if size > self.most:
                return
            self._values[key], self._held = (value, size), self._held + size
            while self._held > self.most:
                self._held -= self._values.popitem(last=False)[1][1]


class Pictures:
    """Reads scenes and draws people, and keeps what was used last.

    A file that changes is read again: its size and date are a part of the key.
    """

    def __init__(self) -> None:
        self._files: Cache[Picture] = Cache(CACHE_BYTES)
        self._frames: Cache[Array] = Cache(FRAME_BYTES)
        self._turn = BoundedSemaphore(AT_ONCE)

    def scene(self, image: str, frame: int, time: float | None, size: Size) -> Picture:
        """A scene in small or large.

        Raises:
            ImageError: It cannot be read.
        """
        key = (image, frame, time, _stamp(image))
        return self._kept((*key, size), lambda: jpeg_of(self._frame(key), LONGEST[size]))

    def person(self, image: str, frame: int, time: float | None, box: Array) -> Picture:
        """A person with some of the scene around.

        Raises:
            ImageError: The scene cannot be read, or the box is not in it any more.
        """
        key = (image, frame, time, _stamp(image))
        return self._kept((*key, tuple(box.tolist())), lambda: person_of(self._frame(key), box))

    def _kept(self, key: Hashable, make: Callable[[], Picture]) -> Picture:
        picture = self._files.get(key)
        if picture is None:
            with self._turn:
                picture = make()
            self._files.put(key, picture, len(picture.content))
        return picture

    def _frame(self, key: tuple[str, int, float | None, Hashable]) -> Array:
        pixels = self._frames.get(key)
        if pixels is None:
            pixels = read_frame(*key[:3])
            self._frames.put(key, pixels, pixels.nbytes)
        return pixels


def jpeg_of(pixels: Array, longest: int) -> Picture:
    """A picture as JPEG, its longer side at most `longest` pixels."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(pixels)
    return Picture(_encoded(picture if scale == 1 else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)), width, height)


def person_of(pixels: Array, box: Array) -> Picture:
    """A person of a scene as JPEG, with some of the scene around.

    Raises:
        ImageError: The box is not in the picture.
    """
    height, width = pixels.shape[:2]
    try:
        inside = check_boxes(np.asarray(box, np.float32), height, width)[0]
    except BoxError as error:
        raise ImageError(f"the picture has changed since it was indexed ({error}); index it again") from error
    return Picture(_encoded(views.person(pixels, inside, TILE, views.HIT_COLOUR)), width, height)


def _encoded(picture: "Image") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _stamp(image: str) -> tuple[int, int] | None:
    """Size and date of a file; None if it is gone."""
    try:
        status = os.stat(image)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
