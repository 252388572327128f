"""Memory of indexing: large pictures are held within a bound of bytes, in the whole process."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.gallery_frames import environment

SCRIPT = """
import resource, sys
from personsearch import PersonSearcher
searcher = PersonSearcher.from_pretrained(device="cpu")
opened = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
gallery = searcher.index(sys.argv[1], gallery=sys.argv[2], progress=False)
print(gallery.image_count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - opened)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_24_pictures_of_89_megapixels_need_less_than_a_gigabyte(tmp_path: Path) -> None:
    """They took 7.0 GB: every one of 18 pictures ahead of the network was held with its pixels."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (9459, 9459), (90, 120, 150)).save(photos / "0.png", compress_level=1)
    for number in range(1, 24):
        (photos / f"{number}.png").hardlink_to(photos / "0.png")
    command = [sys.executable, "-c", SCRIPT, str(photos), str(tmp_path / "gallery")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    images, kilobytes = map(int, done.stdout.split())
    assert images == 24
    assert kilobytes * 1024 < 1e9, f"{kilobytes} kB"  # above the opened model; one picture takes 626 MB while it is decoded
