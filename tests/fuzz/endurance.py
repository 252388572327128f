"""Two processes on one gallery, a full disk, and the memory of many detections: `python -m tests.fuzz.endurance` prints a table."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tests.fuzz import kills

DISK = 4 * 2**20  # bytes of the disk that is filled
LEFT = 8 * 2**10  # bytes that are free on it when indexing begins
GROWTH = 64 * 2**20  # bytes that the last nine tenths of the detections may add

TO_THE_END = """
import sys
from personsearch.errors import PersonSearchError
try:
    exec(sys.argv[1])
except (PersonSearchError, OSError) as error:
    print(type(error).__name__, str(error)[:200])
    sys.exit(3)
"""


def two_processes(folder: Path, rounds: int) -> str:
    """Two processes index, remove and search the same gallery at the same time; at the end it is whole.

    Raises:
        AssertionError: One of them failed, or a scene is missing, doubled or half there.
    """
    kills.prepare(folder)
    remove = "from personsearch import Gallery\ngallery = Gallery.open(folder / 'indexed.lance')\n"
    remove += "for image in sorted(gallery.images())[::5]: gallery.remove(image)\n"
    script = kills.INDEX + f"for _ in range({rounds}):\n" + "".join(f"    {line}\n" for line in (remove + _body(kills.INDEX)).splitlines())
    first, second = kills.started(script, folder), kills.started(script, folder)
    codes = [process.wait(kills.SECONDS * rounds) for process in (first, second)]
    assert codes == [0, 0], f"they ended with {codes}"
    kills.finish(kills.INDEX, folder)
    kills.SCENARIOS["index"].finished(folder)
    return f"{2 * rounds} rounds of remove and index"


def full_disk(folder: Path, _: int) -> str:
    """Indexing on a disk without space ends in an error of ours; with space again it goes on.

    Raises:
        AssertionError: Another end, or what is indexed is not whole.
    """
    disk = folder / "disk"
    kills.prepare(folder)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)], check=True)
    try:
        (disk / "photos").symlink_to(folder / "photos")
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_bsize - LEFT))
        script = f"from pathlib import Path\nfolder = Path({str(disk)!r})\ndef ready(): pass\n{kills.INDEX}"
        environment = {**os.environ, "PYTHONPATH": str(kills.ROOT), "PERSONSEARCH_HOME": str(folder / "home")}
        command = [sys.executable, "-c", TO_THE_END, script]
        refused = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=kills.SECONDS)
        assert refused.returncode == 3, f"it ended with {refused.returncode}: {refused.stderr[-500:]}"
        (disk / "filler").unlink()
        again = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=kills.SECONDS)
        assert again.returncode == 0, again.stderr[-500:] + again.stdout
        kills.SCENARIOS["index"].finished(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    return refused.stdout.strip().partition(" ")[0]


def memory(_: Path, calls: int) -> str:
    """Resident memory after a tenth of the detections, and after all.

    Raises:
        AssertionError: It grew by more than `GROWTH`.
    """
    from personsearch import PersonSearcher
    from tests.helpers.fakes import RED, RectangleModel, scene

    rng = np.random.default_rng(0)
    fake, real = PersonSearcher(RectangleModel()), PersonSearcher.from_pretrained(device="cpu")
    sizes = []
    for number in range(calls):
        fake.detect(scene((RED, 10, 10, 40 + number % 50)))
        if number % 20 == 0:
            real.detect(rng.integers(0, 256, (120 + number % 200, 160, 3), dtype=np.uint8))
        sizes.append(_resident())
    early, late = sizes[calls // 10], sizes[-1]
    assert late - early < GROWTH, f"{early / 2**20:.0f} MB after {calls // 10} detections, {late / 2**20:.0f} MB after {calls}"
    return f"{early / 2**20:.0f} MB after {calls // 10} detections, {late / 2**20:.0f} MB after {calls}"


CHECKS: dict[str, tuple[Callable[[Path, int], str], int]] = {
    "two processes": (two_processes, 5),
    "full disk": (full_disk, 1),
    "memory": (memory, 2000),
}


def _body(script: str) -> str:
    """The last line of a script: what it does once it is ready."""
    return script.strip().splitlines()[-1]


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(only: Annotated[list[str] | None, typer.Option(help=f"Checks; repeat for several: {', '.join(CHECKS)}.")] = None) -> None:
    """Run the checks; the full disk needs root, for a small file system in memory."""
    faults = 0
    typer.echo("| check | result | detail |\n|---|---|---|")
    for name in only or list(CHECKS):
        check, size = CHECKS[name]
        with tempfile.TemporaryDirectory() as folder:
            try:
                typer.echo(f"| {name} | right | {check(Path(folder) / 'work', size)} |")
            except (AssertionError, subprocess.SubprocessError) as error:
                faults += 1
                typer.echo(f"| {name} | FAULT | {error} |")
    if faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
