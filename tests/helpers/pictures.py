"""Pictures and videos that the tests make: encoded bytes, headers that lie, videos whose frames tell their number."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from personsearch.boxes import Array


def gradient(height: int = 24, width: int = 40) -> Array:
    """Red grows to the right, green downwards, blue along the diagonal: every corner differs."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


def encode(picture: "Array | Image.Image", kind: str, **options: Any) -> bytes:
    """A file's bytes, written by Pillow."""
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x112] = orientation
    return tags


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def write_video(path: Path, frames: "list[Array]", *, codec: str = "FFV1", rate: int = 10) -> None:
    """A video of RGB frames; FFV1 (in avi or mkv) keeps them exactly, mp4v (in mp4) does not."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()


def write_av(
    path: Path, frames: "list[Array]", *, codec: str, kind: str | None = None, rate: int = 10, movflags: str = "", **options: Any
) -> None:
    """A video of RGB frames in any container and codec of FFmpeg; a key frame every ten frames."""
    with av.open(
        str(path) if isinstance(path, Path) else path, "w", format=kind, options={"movflags": movflags} if movflags else {}
    ) as container:
        stream: Any = container.add_stream(codec, rate=rate, **options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", 10
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def greys(count: int) -> "list[Array]":
    """Frames that tell their number: number n is grey of the level 4 n."""
    return [np.full((48, 64, 3), 4 * number, np.uint8) for number in range(count)]


def slow_down(mp4: Path, after: int, factor: int) -> None:
    """Let the frames of an mp4 from number `after` on last `factor` times as long, as phones record when it gets dark."""
    data = bytearray(mp4.read_bytes())
    at = data.find(b"stts") - 4
    size, _, _, entries, count, duration = struct.unpack_from(">I4sIIII", data, at)
    assert (size, entries) == (24, 1)
    data[at : at + 24] = struct.pack(">I4sIIIIII", 32, b"stts", 0, 2, after, duration, count - after, duration * factor)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        start = data.find(box) - 4
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + 8)
    edits = data.find(b"edts")
    data[edits : edits + 4] = b"free"  # it names the old length
    mp4.write_bytes(data)


def turn_right(mp4: Path) -> None:
    """Mark an mp4 as held upright: players turn it a quarter to the right."""
    data = bytearray(mp4.read_bytes())
    matrix = data.find(b"tkhd") + 44
    struct.pack_into(">9i", data, matrix, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    mp4.write_bytes(data)
