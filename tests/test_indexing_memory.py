"""Memory of indexing: large pictures are held within a bound of bytes, in the whole process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.gallery_frames import environment

# VmHWM, for ru_maxrss begins with what the process held that started this one: 1.9 GB within the whole suite.
COMMAND = """
import re, sys
from pathlib import Path
from personsearch.cli import main
try:
    main()
finally:
    sys.stderr.write(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says there how much a process held at most")
@pytest.mark.parametrize("count", [5, pytest.param(24, marks=pytest.mark.extra)])
def test_pictures_of_89_megapixels_need_less_than_1500_megabytes(tmp_path: Path, count: int) -> None:
    """24 took 7.0 GB: every one of 18 pictures ahead of the network was held with its pixels."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (9459, 9459), (90, 120, 150)).save(photos / "0.png", compress_level=1)
    for number in range(1, count):
        (photos / f"{number}.png").hardlink_to(photos / "0.png")
    command = [sys.executable, "-c", COMMAND, "index", str(photos), "--gallery", str(tmp_path / "gallery"), "--device", "cpu"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    assert json.loads(done.stdout)["added"] == count
    megabytes = int(done.stderr.split()[-1]) * 1024 / 1e6
    assert megabytes < 1500, f"{megabytes:.0f} MB, of which one picture takes 640 while it is decoded"
