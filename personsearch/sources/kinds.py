"""What a file is: told by its first bytes, and by its name where the bytes do not tell."""

import os
from typing import Literal

from personsearch.errors import ImageError
from personsearch.images import check_file

Kind = Literal["picture", "animation", "video", "unknown"]

PICTURE_EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)
# Without .ts, .mod and other names that files of programs have too: their content decides.
VIDEO_EXTENSIONS = (
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov"),
    *(".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".rmvb", ".vob", ".webm", ".wmv"),
)
# Raw photos of cameras: TIFF files whose first page is a small preview, so they are reported instead of read.
RAW_EXTENSIONS = (".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".sr2", ".srw")
# Copies of other files (previews of cameras, unfinished downloads), and text: skipped in folders whatever they contain.
_NOT_OPENED = (
    *(".crdownload", ".download", ".lrv", ".part", ".partial", ".thm", ".tmp"),
    *(".css", ".csv", ".html", ".js", ".json", ".md", ".py", ".txt", ".xml", ".yaml", ".yml"),
)
_LISTED = frozenset(PICTURE_EXTENSIONS + VIDEO_EXTENSIONS + RAW_EXTENSIONS)
HEAD_BYTES = 1024
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_VIDEO_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b".RMF",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"nut/multimedia container",
    b"DKIF",  # IVF
    b"YUV4MPEG2 ",
)


def kind_of_head(head: bytes) -> Kind:
    """The kind that a file's first `HEAD_BYTES` bytes tell; "animation" is a format that can hold several pictures."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand == b"avis":
            return "animation"
        return "picture" if brand == b"avif" or brand in _HEIF_BRANDS else "video"
    if head[:4] == b"RIFF":
        return {b"WEBP": "animation", b"AVI ": "video", b"AVIX": "video"}.get(head[8:12], "unknown")  # type: ignore[return-value]
    if head.startswith((b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")) or (head.startswith(b"\x89PNG") and b"acTL" in head):
        return "animation"
    if head.startswith(_PICTURE_STARTS) or (head[:2] == b"BM" and head[6:10] == bytes(4) and head[15:18] == bytes(3)):
        return "picture"
    if head.startswith(_VIDEO_STARTS) or head[4:8] in (b"moov", b"mdat", b"wide", b"pnot") or _is_transport_stream(head):
        return "video"
    if head.startswith(b"OggS"):
        return "video" if any(name in head for name in (b"theora", b"OVP80", b"video")) else "unknown"
    return "unknown"


def kind_of_file(path: str) -> Kind:
    """The kind of a file by its first bytes; by its extension if they do not tell, or it cannot be read."""
    try:
        kind = kind_of_head(read_head(path))
    except ImageError:
        kind = "unknown"
    if kind != "unknown":
        return kind
    name = path.lower()
    return "video" if name.endswith(VIDEO_EXTENSIONS) else "picture" if name.endswith(PICTURE_EXTENSIONS) else "unknown"


def read_head(path: str) -> bytes:
    """The first `HEAD_BYTES` bytes of a regular file.

    Raises:
        ImageError: The file is missing, not a regular file, or cannot be read.
    """
    check_file(path)
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def is_listed(path: str) -> bool:
    """Whether a file in a folder belongs to a source: by its extension, or by its first bytes if the extension is another one."""
    if path[path.rfind(".") :].lower() in _LISTED:
        return True
    extension = os.path.splitext(path)[1].lower()
    if extension in _NOT_OPENED:
        return False
    try:
        return kind_of_head(read_head(path)) != "unknown"
    except ImageError:  # no picture by its name, and none by what can be seen of it
        return False


def _is_transport_stream(head: bytes) -> bool:
    """Whether packets of 188 bytes, or of 192 (cameras put a time before each), start with the sync byte."""
    return any(len(head) > first + 4 * size and set(head[first::size][:5]) == {0x47} for first, size in ((0, 188), (4, 192)))
