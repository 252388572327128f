"""Pictures that were sent to the service: kept in memory for a while, never written to the disk."""

import secrets
from dataclasses import dataclass
from functools import cached_property

from personsearch.boxes import Array
from personsearch.images import load_bytes
from personsearch.query import Doubt, doubt_of
from personsearch.results import Detections
from personsearch.searcher import PersonSearcher
from personsearch.ui.galleries import NotOpenError
from personsearch.ui.keys import UploadKey
from personsearch.ui.pictures import LONGEST, Cache, Picture, jpeg_of, person_of

KEPT_BYTES = 256 * 2**20  # of decoded pictures
NAME = "the sent picture"


@dataclass(frozen=True)
class Upload:
    """One picture that was sent, with its people."""

    key: UploadKey
    pixels: Array  # (H, W, 3) uint8 RGB
    people: Detections
    doubt: Doubt | None  # why it does not look like a crop of one person
    row: Array  # (D,) float32 unit row of the whole picture as a crop

    @cached_property
    def picture(self) -> Picture:
        """The picture as JPEG."""
        return jpeg_of(self.pixels, LONGEST["large"])

    def person(self, number: int) -> Picture:
        """One of its people as JPEG."""
        return person_of(self.pixels, self.people.boxes[number - 1])


class Uploads:
    """The pictures that were sent last.

    Args:
        searcher: Searcher of the service.
    """

    def __init__(self, searcher: PersonSearcher) -> None:
        self.searcher = searcher
        self._kept: Cache[Upload] = Cache(KEPT_BYTES)

    def add(self, content: bytes) -> Upload:
        """Read a picture's file and detect its people.

        Raises:
            ImageError: It cannot be read as a picture.
        """
        pixels = load_bytes(content, NAME)
        people = self.searcher.detect(pixels)
        upload = Upload(
            UploadKey(secrets.token_hex(16)), pixels, people, doubt_of(NAME, people, *pixels.shape[:2]), self.searcher.embed(pixels)[0]
        )
        self._kept.put(upload.key.upload, upload, pixels.nbytes)
        return upload

    def get(self, key: UploadKey) -> Upload:
        """A picture that was sent.

        Raises:
            NotOpenError: It is not kept any more, or has no person of the key's number.
        """
        upload = self._kept.get(key.upload)
        if upload is None:
            raise NotOpenError("the sent picture is not kept any more; send it again")
        if key.person is not None and not 1 <= key.person <= len(upload.people):
            raise NotOpenError(f"the sent picture has people 1 to {len(upload.people)}, got {key.person}")
        return upload
