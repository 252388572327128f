"""Pictures and videos in object storage (s3://, gs://, az://), listed and read through pyarrow.

Options have the names that galleries take (`aws_region`, `aws_endpoint`, ...); the environment has the others.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

from personsearch.errors import ImageError, SourceError
from personsearch.sources.animations import has_several_pictures
from personsearch.sources.frame import Frame, Frames
from personsearch.sources.items import Item, Source
from personsearch.sources.kinds import HEAD_BYTES, PICTURE_EXTENSIONS, RAW_EXTENSIONS, VIDEO_EXTENSIONS, Kind, kind_of_head

SCHEMES = ("s3", "gs", "az")
PIECE = 2**22  # bytes that are read at a time
Options = tuple[tuple[str, str], ...]  # of a store, sorted


def is_store(text: str) -> bool:
    """Whether a text is an address in an object store."""
    return urlsplit(text).scheme in SCHEMES if "://" in text else False


def open_store(address: str, options: Mapping[str, str] | None = None) -> Source:
    """The source of one object, or of all pictures and videos below an address, known by their extensions.

    Args:
        address: Such as s3://bucket/photos.
        options: Region, endpoint and credentials of the store.

    Raises:
        SourceError: The store cannot be listed, or has no picture or video there.
    """
    from pyarrow import fs

    settings = tuple(sorted((options or {}).items()))
    scheme, path = urlsplit(address).scheme, _path(address).rstrip("/")
    try:
        system = _system(scheme, settings)
        facts = system.get_file_info(path)
        if facts.type == fs.FileType.File:
            found = [facts]
        else:
            found = [one for one in system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True)) if one.is_file]
    except (OSError, ValueError) as error:
        raise SourceError(f"{address} cannot be listed: {error}; check the address, and the store's region and credentials") from error
    root = address.rstrip("/")
    names = PICTURE_EXTENSIONS + VIDEO_EXTENSIONS + RAW_EXTENSIONS
    found = sorted((one for one in found if one.path.lower().endswith(names)), key=lambda one: str(one.path))
    if not found:
        raise SourceError(
            f"{address} contains no pictures or videos ({' '.join(PICTURE_EXTENSIONS + VIDEO_EXTENSIONS)}); check the address"
        )
    items = [StoredItem(f"{scheme}://{one.path}", one.size, one.mtime_ns, None, root, settings=settings) for one in found]
    return Source(tuple(items), (root,), root)


def stored_item(address: str) -> "StoredItem":
    """One object, to read it again with the options of the environment."""
    return StoredItem(address)


@dataclass(frozen=True)
class StoredItem(Item):
    """A picture or video in an object store; it is fetched each time it is read, a video into a temporary file."""

    settings: Options = field(default=(), repr=False)

    @cached_property
    def kind(self) -> Kind:
        """What the object is by its content, or by its name if its first bytes do not tell."""
        with self._opened() as file:
            kind = kind_of_head(file.read(HEAD_BYTES))
        if kind == "unknown":
            kind = "video" if self.image.lower().endswith(VIDEO_EXTENSIONS) else "picture"
        return "picture" if kind == "animation" and not has_several_pictures(self._bytes()) else kind

    def fingerprint(self) -> str:
        """Digest of the object's bytes, as of a file's.

        Raises:
            ImageError: The object cannot be read.
        """
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def frames(self, every: int = 1, skip: Set[int] = frozenset()) -> Frames:
        """As `Item.frames`."""
        return Frames(lambda frames: self._read(frames, every, skip))

    def _read(self, frames: Frames, every: int, skip: Set[int]) -> Iterator[Frame]:
        self._refuse_raw()
        if self.kind != "video":
            yield from _passed_on(Item(self.image, content=self._bytes()).frames(every, skip), frames)
            return
        with tempfile.TemporaryDirectory(prefix="personsearch-") as folder:
            copy = os.path.join(folder, f"video{os.path.splitext(self.image)[1]}")
            with open(copy, "wb") as file:
                file.writelines(self._pieces())
            try:
                for frame in _passed_on(Item(copy).frames(every, skip), frames):
                    yield replace(frame, image=self.image)
            except ImageError as error:
                raise ImageError(str(error).replace(copy, self.image)) from error

    def _bytes(self) -> bytes:
        return b"".join(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        with self._opened() as file:
            while True:
                try:
                    piece = file.read(PIECE)
                except OSError as error:
                    raise self._unread(error) from error
                if not piece:
                    return
                yield bytes(piece)

    def _opened(self) -> Any:
        try:
            return _system(urlsplit(self.image).scheme, self.settings).open_input_file(_path(self.image))
        except (OSError, ValueError) as error:
            raise self._unread(error) from error

    def _unread(self, error: Exception) -> ImageError:
        return ImageError(f"{self.image}: cannot be read ({error}); check the store's region and credentials")


def _passed_on(inner: Frames, outer: Frames) -> Iterator[Frame]:
    """The frames of one reading, whose facts go to another."""
    for frame in inner:
        outer.total = inner.total
        yield frame
    outer.partly_read = inner.partly_read


def _path(address: str) -> str:
    """Bucket and key of an address, in which ? and # are letters of the key."""
    return address.partition("://")[2]


@cache
def _system(scheme: str, settings: Options) -> Any:
    """The file system of a store.

    Raises:
        SourceError: The scheme is unknown.
    """
    from pyarrow import fs

    options = {name.lower(): value for name, value in settings}

    def option(*names: str) -> str | None:
        """The first of some options, then of the variables of the same names."""
        return next((options[name] for name in names if name in options), None) or next(
            (os.environ[name.upper()] for name in names if name.upper() in os.environ), None
        )

    if scheme == "s3":
        server = option("aws_endpoint", "endpoint", "aws_endpoint_url", "aws_endpoint_url_s3")
        key, secret = option("aws_access_key_id", "access_key_id"), option("aws_secret_access_key", "secret_access_key")
        return fs.S3FileSystem(
            access_key=key if secret else None,
            secret_key=secret if key else None,
            session_token=option("aws_session_token", "session_token") if key and secret else None,
            anonymous=option("aws_skip_signature", "skip_signature") == "true",
            region=option("aws_region", "region", "aws_default_region"),
            endpoint_override=None if server is None else server.partition("://")[2] or server,
            scheme="http" if (server or "").startswith("http://") else "https",
        )
    if scheme == "gs":
        endpoint = urlsplit(option("google_base_url") or "")
        return fs.GcsFileSystem(
            anonymous=option("google_skip_signature") == "true", scheme=endpoint.scheme or None, endpoint_override=endpoint.netloc or None
        )
    if scheme == "az":
        names = ("azure_storage_account_name", "account_name"), ("azure_storage_account_key", "account_key")
        endpoint = urlsplit(option("azure_storage_endpoint", "azure_endpoint", "endpoint") or "")
        authority, protocol = endpoint.netloc or None, endpoint.scheme or None
        return fs.AzureFileSystem(
            option(*names[0]) or "",
            account_key=option(*names[1]),
            blob_storage_authority=authority,
            blob_storage_scheme=protocol,
            dfs_storage_authority=authority,
            dfs_storage_scheme=protocol,
        )
    raise SourceError(f"unknown object store {scheme}://; known are {', '.join(SCHEMES)}")
