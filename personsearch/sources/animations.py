"""Read the pictures of a GIF, WebP, PNG or AVIF animation, or the pages of a TIFF, in order."""

from collections.abc import Iterator, Set
from itertools import count
from typing import TYPE_CHECKING

from personsearch.boxes import Array
from personsearch.errors import ImageError
from personsearch.images import decoding, opened_picture, pixels_of
from personsearch.sources.frame import Frame, Frames

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_SUBFILE_TYPE = 254  # TIFF tag; bit 0: a smaller copy of another page


def has_several_pictures(content: str | bytes) -> bool:
    """Whether a file, or the bytes of one, holds more than one picture; False if it cannot be read."""
    try:
        with opened_picture(content, "picture") as picture:
            return _has_second(picture)
    except ImageError:
        return False


def _has_second(picture: "ImageFile") -> bool:
    try:
        return _has(picture, 1, "picture")
    except ImageError:  # there is more, but damaged: reading it will say so
        return True


def animation_frames(image: str, content: str | bytes, every: int, skip: Set[int], frames: Frames) -> Iterator[Frame]:
    """Pictures 0, every, 2 * every, ... of an animation with their times, or all pages of a TIFF, without those in `skip`.

    Raises:
        ImageError: The first picture cannot be read. Raised while iterating.
    """
    with opened_picture(content, image) as picture:
        pages = picture.format == "TIFF"
        step, unit = (1, "pages") if pages else (every, "frames")
        total = _count(picture)
        frames.total = None if total is None else -(-total // step)
        seconds = 0.0
        for number in count():
            try:
                if not _has(picture, number, image):
                    return
                pixels = _pixels(picture, image, taken=number % step == 0 and number not in skip)
            except ImageError as error:
                if number == 0:
                    raise
                known = "" if total is None else f" of {total}"
                frames.partly_read = f"{number}{known} {unit}; {str(error).removeprefix(f'{image}: ')}"
                return
            frames.decoded = number + 1
            if pixels is not None:
                yield Frame(image, number, None if pages else seconds, pixels)
            seconds += float(picture.info.get("duration") or 0) / 1000


def _has(picture: "ImageFile", number: int, name: str) -> bool:
    with decoding(name):
        try:
            picture.seek(number)
        except EOFError:
            return False
    return True


def _count(picture: "ImageFile") -> int | None:
    """Number of pictures; None if it is not known because one of them is damaged."""
    try:
        with decoding("picture"):
            return int(getattr(picture, "n_frames", 1))
    except ImageError:
        return None


def _pixels(picture: "ImageFile", image: str, *, taken: bool) -> Array | None:
    """The pixels of the present picture; None if they are not taken, or only a smaller copy of another page."""
    with decoding(image):
        is_copy = int(getattr(picture, "tag_v2", {}).get(_SUBFILE_TYPE, 0)) & 1 and picture.tell() > 0
        if taken and not is_copy:
            return pixels_of(picture, image)
        picture.load()  # an animation adds each picture to the one before
        return None
