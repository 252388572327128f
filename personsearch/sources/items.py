"""The pictures and videos of a source, found but not yet read."""

import hashlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from personsearch.errors import ImageError
from personsearch.images import check_file, load, load_bytes, read_file
from personsearch.sources.animations import animation_frames, has_several_pictures
from personsearch.sources.frame import Frame, Frames
from personsearch.sources.kinds import HEAD_BYTES, RAW_EXTENSIONS, Kind, kind_of_file, kind_of_head
from personsearch.sources.memory import content_digest
from personsearch.sources.videos import is_video_file, video_frames


@dataclass(frozen=True)
class Item:
    """One picture or video of a source, not yet read."""

    image: str  # absolute path as the system spells it; in memory "image-000012-1a2b3c4d" (number in the list, digest)
    size: int | None = None  # bytes; None in memory or when the file is gone
    modified_ns: int | None = None
    changed_ns: int | None = None  # change of the file or of its facts: programs that set the date back do not set this one
    root: str | None = None  # folder or pattern that contains it; None for a picture in memory or a file of a list
    content: Any = field(default=None, repr=False, compare=False)  # bytes, PIL picture or array; None for a file

    @cached_property
    def kind(self) -> Kind:
        """What the item is by its content: "animation" only if it has several pictures."""
        if self.content is None:
            kind = kind_of_file(self.image)
            if kind == "unknown" and is_video_file(self.image):
                kind = "video"
        else:
            kind = kind_of_head(self.content[:HEAD_BYTES]) if isinstance(self.content, bytes) else "picture"
        if kind == "animation" and not has_several_pictures(self.image if self.content is None else self.content):
            return "picture"
        return kind

    @property
    def is_video(self) -> bool:
        """Whether the item can have several frames: a video, an animation, or a TIFF of several pages. Reads the file's start."""
        return self.kind in ("video", "animation")

    def fingerprint(self) -> str:
        """Digest of the content, 64 hex digits: the bytes of a file or video, the values and shape of an array.

        Raises:
            ImageError: The content cannot be read.
        """
        if self.content is not None:
            return content_digest(self.content)
        check_file(self.image)
        try:
            with open(self.image, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(f"{self.image}: cannot be read ({error.strerror}); check its permissions") from error

    def still(self) -> tuple[str, Frame]:
        """Fingerprint and frame of a picture. A file is read once, so that the fingerprint is that of the bytes that were decoded.

        Returns:
            64 hex digits, and the frame.

        Raises:
            ImageError: The content is not a picture, or the file is missing or cannot be read.
        """
        if self.content is not None:
            (frame,) = self.frames()
            return self.fingerprint(), frame
        self._refuse_raw()
        data = self._bytes()
        return hashlib.sha256(data).hexdigest(), Frame(self.image, 0, None, load_bytes(data, self.image))

    def frames(self, every: int = 1, skip: Set[int] = frozenset()) -> Frames:
        """A picture as frame 0; of a video the frames 0, every, 2 * every, ... without those in `skip`.

        All pages of a TIFF count, whatever `every` is. A video that is cut off or damaged ends at the last frame that can be
        read; `Frames.partly_read` then says how much is missing.

        Raises:
            ImageError: The file is not a picture, or none of the video's frames can be read. Raised while iterating.
        """
        return Frames(lambda frames: self._read(frames, every, skip))

    def _read(self, frames: Frames, every: int, skip: Set[int]) -> Iterator[Frame]:
        if self.content is None:
            self._refuse_raw()
        content = self.image if self.content is None else self.content
        if self.kind == "video":
            yield from video_frames(self.image, content, every, skip, frames)
        elif self.kind == "animation":
            yield from animation_frames(self.image, content, every, skip, frames)
        else:
            frames.total = 1
            if 0 not in skip:
                yield Frame(self.image, 0, None, load(content))

    def _refuse_raw(self) -> None:
        if self.image.lower().endswith(RAW_EXTENSIONS):
            raise ImageError(f"{self.image}: is a raw photo of a camera, which cannot be read; export it as JPEG or TIFF")

    def _bytes(self) -> bytes:
        return read_file(self.image)


@dataclass(frozen=True)
class Source:
    """The items that the user wants to index."""

    items: Iterable[Item]  # a sequence, sorted by path for a folder or pattern; an iterator that ends once read if `is_stream`
    # Absolute folders, patterns and files, whose deleted pictures leave the gallery. A file in a list is none of them: a list can be
    # indexed into a gallery of other pictures.
    roots: tuple[str, ...] = ()
    place: str | None = None  # see `key`
    problems: dict[str, str] = field(default_factory=dict)  # folder or pattern that could not be looked at -> reason
    is_stream: bool = False
    list_folders: tuple[str, ...] = ()  # of a list of files: folders whose lists it may continue, its own first

    def key(self) -> str | None:
        """Name of the source for its own gallery, the same in every run; None for pictures in memory and for streams.

        A folder, pattern or file has its path. A list of files and folders has the folder that they have in common; which of the
        lists of that folder it continues, its content decides.
        """
        return self.place
