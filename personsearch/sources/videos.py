"""Read the frames of a video file, in order or near a time."""

import io
import os
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError
from personsearch.images import max_pixels
from personsearch.sources.frame import Frame, Frames
from personsearch.sources.kinds import PICTURE_EXTENSIONS, VIDEO_EXTENSIONS, read_head

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

# Seeking lands near a time, not on it: start this many seconds before.
SEEK_BEFORE = 0.5
# Two readings of one timestamp differ by rounding only; frames are at least 1 ms apart.
SAME_TIME = 0.0005
# A video that ends this many seconds before its announced end was cut off; containers round their length.
CUT_OFF = 0.5
# Containers whose header says how long the video is. Others are measured by their last bytes, or guessed.
_WITH_LENGTH = {"mov", "matroska", "avi", "flv", "asf", "mxf", "nut"}
# Containers with one frame in a packet, codecs whose decoders leave out frames that no other one needs, and the most frames whose
# packets are read twice for this.
_PACKET_IS_FRAME = {"mov", "matroska"}
_NOT_NEEDED = ("h264", "hevc")
MOST_LISTED = 500_000
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0")  # they name other files, which FFmpeg would open


def is_video_file(path: str) -> bool:
    """Whether FFmpeg finds moving pictures in a file whose first bytes and name do not tell what it is."""
    if path.lower().endswith(PICTURE_EXTENSIONS + VIDEO_EXTENSIONS):
        return path.lower().endswith(VIDEO_EXTENSIONS)
    try:
        with _opened(path, path) as (_, stream):
            return stream.codec_context.width > 0
    except ImageError:
        return False


def video_frames(image: str, content: str | bytes, every: int, skip: Set[int], frames: Frames) -> Iterator[Frame]:
    """Frames 0, every, 2 * every, ... of a video, without those in `skip`.

    Args:
        image: Name of the video.
        content: Its path, or the bytes of the file.
        every: Step between the frames.
        skip: Numbers of frames that are not wanted.
        frames: Takes the number of frames, and what could not be read.

    Raises:
        ImageError: The file is not a video, or none of its frames can be read. Raised while iterating.
    """
    with _opened(image, content) as (container, stream):
        reading = _Reading(container, stream)
        if reading.expected:
            frames.total = -(-reading.expected // every)
        if (every > 1 or skip) and _may_pass_over(container, stream, reading.expected):
            numbers = _frame_numbers(image, content)
            reading.choose(numbers, {pts for pts, number in numbers.items() if number % every == 0 and number not in skip})
        for frame in reading.frames():
            frames.decoded = reading.count
            number = reading.number(frame)
            if number % every or number in skip:
                continue
            pixels = _pixels(frame)
            if pixels is None:
                reading.damaged += 1
            else:
                yield Frame(image, number, reading.seconds(frame), pixels)
        frames.decoded = reading.count
        if not reading.count:
            raise ImageError(f"{image}: no frame of this video can be read; re-encode it as H.264 mp4")
        frames.partly_read = reading.partly_read()


def pixels_at(path: str, time: float) -> Array | None:
    """The frame at exactly this time; None if seeking does not find it.

    Raises:
        ImageError: The file is missing or cannot be read as a video.
    """
    with _from(path, time) as (_, frames):
        for frame, at in frames:
            if at is None or at > time + SAME_TIME:
                return None
            if at > time - SAME_TIME:
                return _pixels(frame)
    return None


def frame_shown_at(path: str, time: float) -> Frame | None:
    """The frame that is shown at a time; None if seeking does not find it, or the video ends before.

    Raises:
        ImageError: The file is missing or cannot be read as a video.
    """
    with _from(path, time) as (rate, frames):
        shown, begin = None, 0.0
        for frame, at in frames:
            if at is None:
                return None
            if at > time + SAME_TIME:
                break
            shown, begin = frame, at
        else:
            if rate <= 0 or time > begin + 1 / rate + SAME_TIME:
                return None
        pixels = None if shown is None else _pixels(shown)
        return None if shown is None or pixels is None else Frame(path, _frames_before(path, shown.pts), begin, pixels)


@contextmanager
def _from(path: str, time: float) -> "Iterator[tuple[float, Iterator[tuple[VideoFrame, float | None]]]]":
    """Frames for each second, and the frames from shortly before a time on, with their times; no frames if seeking fails."""
    import av

    with _opened(path, path) as (container, stream):
        reading = _Reading(container, stream)
        try:
            start = max(time - SEEK_BEFORE, 0) + reading.begin
            container.seek(int(start / stream.time_base) if stream.time_base else 0, stream=stream)
        except av.FFmpegError:
            yield 0.0, iter(())
            return
        yield reading.rate, ((frame, reading.seconds(frame, by_rate=False)) for frame in reading.frames())


def _frames_before(path: str, pts: int | None) -> int:
    """Number of the frame with this timestamp: the packets before it are counted, and not decoded."""
    with _opened(path, path) as (container, stream):
        return sum(packet.pts is not None and pts is not None and packet.pts < pts for packet in container.demux(stream))


def _may_pass_over(container: "InputContainer", stream: "VideoStream", expected: int) -> bool:
    """Whether the video is of a kind whose decoder can leave out frames that no other one needs, and its packets can tell which."""
    codec = stream.codec_context
    has_packets_of_frames = not _PACKET_IS_FRAME.isdisjoint(container.format.name.split(","))
    return has_packets_of_frames and codec.name in _NOT_NEEDED and codec.has_b_frames and expected <= MOST_LISTED


def _frame_numbers(image: str, content: str | bytes) -> dict[int, int]:
    """Number of each frame by its timestamp, from the packets alone; empty if they do not tell it for certain."""
    import av

    times: list[int] = []
    with _opened(image, content) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size == 0:  # the end
                    continue
                if packet.pts is None or packet.is_corrupt or packet.is_discard or (not times and not packet.is_keyframe):
                    return {}
                times.append(packet.pts)
        except av.FFmpegError:
            return {}
    if len(set(times)) != len(times) or min(times, default=0) != next(iter(times), 0):
        return {}
    return {pts: number for number, pts in enumerate(sorted(times))}


class _Reading:
    """One pass through a video, which counts what is missing."""

    def __init__(self, container: "InputContainer", stream: "VideoStream") -> None:
        self.container, self.stream = container, stream
        self.begin = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
        self.rate = float(stream.average_rate or stream.guessed_rate or 0)
        has_length = not _WITH_LENGTH.isdisjoint(container.format.name.split(","))
        self.length = (container.duration or 0) / 1e6 if has_length else 0.0  # seconds
        self.expected = stream.frames or round((container.duration or 0) / 1e6 * self.rate)
        self.count = self.damaged = 0  # frames that came; frames or pieces that cannot be decoded
        self.end = 0.0  # seconds that the packets reach
        self.numbers: dict[int, int] = {}  # of all frames by their timestamps, if unwanted ones may be passed over
        self.wanted: set[int] = set()  # timestamps

    def choose(self, numbers: dict[int, int], wanted: set[int]) -> None:
        """Pass over frames that are neither wanted nor needed to decode others; without `numbers` all frames come."""
        self.numbers, self.wanted = numbers, wanted

    def number(self, frame: "VideoFrame") -> int:
        """Number of the frame in the video."""
        return self.numbers.get(frame.pts, -1) if self.numbers and frame.pts is not None else self.count - 1

    def frames(self) -> "Iterator[VideoFrame]":
        """All frames that can be decoded."""
        import av

        packets = self.container.demux()
        while True:
            try:
                packet = next(packets)
            except (StopIteration, EOFError):
                return
            except av.FFmpegError:  # the file cannot be read on from here
                self.damaged += 1
                return
            self._note(packet)
            if packet.stream is not self.stream:
                continue
            if self.numbers:
                is_needed = packet.pts is None or packet.pts in self.wanted
                self.stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
            try:
                decoded = self.stream.codec_context.decode(packet)
            except EOFError:
                continue
            except av.FFmpegError:
                self.damaged += 1
                continue
            self.count += bool(self.numbers and packet.size)  # a frame that is passed over counts as one that came
            for frame in decoded:
                self.count += not self.numbers
                self.damaged += frame.is_corrupt
                yield frame

    def _note(self, packet: Any) -> None:
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and packet.time_base:
            first = (self.container.start_time or 0) / 1e6
            self.end = max(self.end, float((at + (packet.duration or 0)) * packet.time_base) - first)

    def seconds(self, frame: "VideoFrame", *, by_rate: bool = True) -> float | None:
        """The time of the frame; by the frame rate where the container has no timestamps, and None without either."""
        at = frame.pts if frame.pts is not None else frame.dts
        if at is not None and self.stream.time_base:
            return max(float((at - (self.stream.start_time or 0)) * self.stream.time_base), 0.0)
        return (self.count - 1) / self.rate if by_rate and self.rate > 0 else None

    def partly_read(self) -> str:
        """What is missing, or an empty string."""
        cut = self.length - self.end > CUT_OFF
        if not cut and not self.damaged:
            return ""
        intact = max(self.count - self.damaged, 0)
        known = f" of {self.expected}" if self.expected > intact else ""
        reasons = [f"it ends after {self.end:.1f} of {self.length:.1f} s"] if cut else []
        reasons += [f"{self.damaged} damaged places"] if self.damaged and not cut else []
        return f"{intact}{known} frames; {', '.join(reasons)}"


@contextmanager
def _opened(image: str, content: str | bytes) -> "Iterator[tuple[InputContainer, VideoStream]]":
    import av

    head = content[:16] if isinstance(content, bytes) else read_head(content)
    if head.lstrip().startswith(_PLAYLISTS):
        raise ImageError(f"{image}: is a list of other files, not a video; pass the videos themselves")
    file = io.BytesIO(content) if isinstance(content, bytes) else f"file:{os.path.abspath(content)}"
    try:
        container = av.open(file, "r", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{image}: cannot be read as a video; re-encode it as H.264 mp4") from error
    with container:
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams or streams[0].codec_context is None:
            raise ImageError(f"{image}: cannot be read as a video; re-encode it as H.264 mp4")
        width, height = streams[0].codec_context.width, streams[0].codec_context.height
        if width * height > max_pixels():
            raise ImageError(f"{image}: is {width} x {height}, more than {max_pixels()} pixels; re-encode it in a smaller size")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _pixels(frame: "VideoFrame") -> Array | None:
    """The frame upright, RGB; None if it cannot be converted."""
    import av

    try:
        pixels: Array = frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError):
        return None
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
