"""The pictures and videos of a source, found but not yet read."""

import hashlib
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from personsearch.errors import ImageError
from personsearch.images import check_file, load
from personsearch.sources.frame import Frame
from personsearch.sources.memory import content_digest
from personsearch.sources.videos import video_frames


@dataclass(frozen=True)
class Item:
    """One picture or video of a source, not yet read."""

    image: str  # absolute path as the system spells it; in memory "image-000012-1a2b3c4d" (number in the list, digest)
    is_video: bool
    size: int | None = None  # bytes; None in memory or when the file is gone
    modified_ns: int | None = None
    content: Any = field(default=None, repr=False, compare=False)  # bytes, PIL picture or array; None for a file

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

    def frames(self, every: int = 1, skip: Set[int] = frozenset()) -> Iterator[Frame]:
        """A picture as frame 0; of a video the frames 0, every, 2 * every, ... without those in `skip`.

        A video that is cut off or damaged ends at the last frame that can be read.

        Raises:
            ImageError: The file is not a picture, or none of the video's frames can be read. Raised while iterating.
        """
        if self.is_video:
            yield from video_frames(self.image, every, skip)
        elif 0 not in skip:
            yield Frame(self.image, 0, None, load(self.image if self.content is None else self.content))


@dataclass(frozen=True)
class Source:
    """The items that the user wants to index."""

    root: str | None  # absolute folder, pattern or file, whose deleted pictures leave the gallery; None for a list
    items: tuple[Item, ...]  # sorted by path for a folder or pattern; in the order of a list

    def key(self) -> str:
        """Name of the source, the same in every run: its root, or a digest of its items' names (with content if in memory)."""
        if self.root is not None:
            return self.root
        names = "\n".join(item.image for item in self.items)
        return f"list-{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:16]}"
