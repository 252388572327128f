"""Split the work of a plan into chunks by count, so that a chunk gives the same rows whenever and wherever it runs."""

from collections import deque
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from itertools import takewhile

from personsearch.errors import ImageError
from personsearch.sources import Frame, Frames, Item

MOST, LEAST = 512, 8  # items of a chunk
CHUNKS_A_WORKER = 8  # so that a slow worker does not hold up the others at the end
RANGE = 4096  # frames of a video in one chunk
LARGE_VIDEO = 2**25  # bytes from which a video is split


class _Outside(Set[int]):
    """Frame numbers that a range does not have, and those that were indexed before."""

    def __init__(self, start: int, done: Set[int]) -> None:
        self.start, self.done = start, done

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and (number < self.start or number in self.done)

    def __iter__(self) -> Iterator[int]:
        return iter([*range(self.start), *self.done])

    def __len__(self) -> int:
        return self.start + len(self.done)


@dataclass(frozen=True)
class VideoRange(Item):
    """Some of the frames of a video; numbers are counted from the beginning, which is decoded again, so that they are exact."""

    start: int = 0
    stop: int | None = None  # None: to the end

    def frames(self, every: int = 1, skip: Set[int] = frozenset()) -> Frames:
        """The frames of the range without those in `skip`."""
        whole = Item.frames(self, every, _Outside(self.start, skip))

        def read(frames: Frames) -> Iterator[Frame]:
            yield from takewhile(lambda frame: self.stop is None or frame.frame < self.stop, whole)
            frames.partly_read = whole.partly_read
            whole.close()

        return Frames(read)


@dataclass
class Chunk:
    """Items that one worker reads at a time."""

    items: list[Item]
    done: dict[str, frozenset[int]] = field(default_factory=dict)  # frames of interrupted videos that the gallery has
    deaths: int = 0  # workers that ended while they read it
    later: int = 0  # nanoseconds by which its rows are newer than those of the other chunks, because it replaces some of them

    @property
    def video(self) -> str | None:
        """The video of which this is a range."""
        return self.items[0].image if isinstance(self.items[0], VideoRange) else None

    @property
    def is_open(self) -> bool:
        """Whether it is a range of a video that ends before the video."""
        return isinstance(self.items[0], VideoRange) and self.items[0].stop is not None

    def halves(self) -> "list[Chunk]":
        """Two chunks with half of the items each, for a worker that ended."""
        middle = len(self.items) // 2
        return [replace(self, items=part, deaths=1) for part in (self.items[:middle], self.items[middle:])]


def split(items: list[Item], done: dict[str, frozenset[int]], workers: int, every: int) -> deque[Chunk]:
    """The chunks of some items: stills and short videos by count, large videos by ranges of frames."""
    whole, chunks = [], deque[Chunk]()
    for item in items:
        ranges = _ranges(item, every)
        if ranges:
            chunks += [Chunk([one], {item.image: done.get(item.image, frozenset())}) for one in ranges]
        else:
            whole.append(item)
    size = max(LEAST, min(MOST, len(whole) // (CHUNKS_A_WORKER * workers)))
    for start in range(0, len(whole), size):
        part = whole[start : start + size]
        chunks.append(Chunk(part, {item.image: done[item.image] for item in part if item.image in done}))
    return chunks


def _ranges(item: Item, every: int) -> list[VideoRange]:
    """The ranges of a large video; none for other items, and for a video that does not say how long it is."""
    if item.size is None or item.size < LARGE_VIDEO or item.kind != "video":
        return []
    frames = item.frames(every)
    try:
        next(frames, None)
    except ImageError:
        return []  # the worker reports it
    finally:
        frames.close()
    total = (frames.total or 0) * every
    starts = range(0, total, RANGE)
    if len(starts) < 2:
        return []
    stops = [*starts[1:], None]
    facts = (item.image, item.size, item.modified_ns, item.changed_ns, item.root)
    return [VideoRange(*facts, start=start, stop=stop) for start, stop in zip(starts, stops, strict=True)]
