"""Time of searches over HTTP: one client, then 16 at once, on a gallery of 100,000 people.

    python -m benchmarks.service [--people 100000] [--clients 16] [--seconds 60] [--dim 256]

The gallery holds random unit rows, thirty around each person, in scenes of six; nothing is detected or embedded, as the shots are people
of the gallery. The server is one process with its defaults. The clients are threads of another process, each with one connection. A
search is GET /hits with 24 hits as JSON. An answer that is not the one that a single client got before counts as an error.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.search import PEOPLE_A_SCENE, ROWS_A_PERSON, around, machine, print_table
from personsearch.boxes import Array
from personsearch.gallery import FramePeople, Gallery, ModelKey
from personsearch.results import Detections

TOKEN = "a-token-of-the-benchmark"
SHOTS, FRAMES_A_COMMIT = 50, 4096
COLUMNS = ("clients", "searches", "errors", "searches/s", "median ms", "p95 ms", "p99 ms", "slowest ms", "CPU ms / search")
SERVER = """
import sys
from personsearch.gallery import Gallery
from personsearch.searcher import PersonSearcher
from personsearch.ui import bound, create_app, serve

class Made:
    name, fingerprint, embedding_dim, min_score = "made up", "made up", int(sys.argv[2]), 0.0

listener = bound(0)
app = create_app(PersonSearcher(Made()), token=sys.argv[3], galleries=[Gallery.open(sys.argv[1])])
print(listener.getsockname()[1], flush=True)
serve(app, listener)
"""


@dataclass(frozen=True)
class Answers:
    """What some clients saw."""

    seconds: list[float]
    errors: int
    wall: float
    cpu: float  # seconds of the server

    def row(self, clients: int) -> list[str]:
        """A row of the table."""
        times = [1000 * value for value in self.seconds]
        cuts = statistics.quantiles(times, n=100)
        numbers = [statistics.median(times), cuts[94], cuts[98], max(times)]
        return [
            str(clients),
            f"{len(times):,}",
            str(self.errors),
            f"{len(times) / self.wall:.1f}",
            *(f"{value:.0f}" for value in numbers),
            f"{1000 * self.cpu / len(times):.1f}",
        ]


def write_gallery(folder: Path, people: int, dim: int) -> None:
    """A gallery of so many people."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((-(-people // ROWS_A_PERSON), dim), np.float32)
    rows = around(rng, directions, np.arange(people) // ROWS_A_PERSON)
    rng.shuffle(rows)
    gallery = Gallery.create_or_open(folder, ModelKey("made up", "made up@0", dim))
    frames = [_frame(number, rows[start : start + PEOPLE_A_SCENE]) for number, start in enumerate(range(0, people, PEOPLE_A_SCENE))]
    for start in range(0, len(frames), FRAMES_A_COMMIT):
        gallery.add(frames[start : start + FRAMES_A_COMMIT])


def _frame(number: int, rows: Array) -> FramePeople:
    left = np.arange(len(rows), dtype=np.float32) * 100
    boxes = np.stack([left, np.zeros_like(left), left + 80, np.full_like(left, 200)], axis=1)
    detections = Detections(boxes, np.linspace(1, 0.5, len(rows), dtype=np.float32), rows)
    return FramePeople(f"/made/up/{number:07d}.jpg", 0, None, 900, 1500, "", None, None, None, True, detections)


def search(connection: HTTPConnection, shot: str) -> tuple[int, list[str]]:
    """Status and hits of one search."""
    connection.request("GET", f"/hits?shot={shot}", headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, [hit["person"] for hit in json.loads(content)["hits"]] if answer.status == 200 else []


def cpu_seconds(process: int) -> float:
    """CPU seconds that a process has used, on Linux."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(port: int, server: int, shots: list[str], right: dict[str, list[str]], seconds: float, clients: int) -> Answers:
    """Searches of some clients at once, each in a thread with one connection; `server` is the number of the server's process."""

    def client(number: int) -> tuple[list[float], int]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        times, errors, i = [], 0, number
        while time.monotonic() < end:
            shot, start = shots[i % len(shots)], time.perf_counter()
            status, hits = search(connection, shot)
            times.append(time.perf_counter() - start)
            errors += status != 200 or hits != right[shot]
            i += 1
        return times, errors

    start, end, cpu = time.monotonic(), time.monotonic() + seconds, cpu_seconds(server)
    with ThreadPoolExecutor(clients) as threads:
        parts = list(threads.map(client, range(clients)))
    return Answers(
        [value for times, _ in parts for value in times],
        sum(errors for _, errors in parts),
        time.monotonic() - start,
        cpu_seconds(server) - cpu,
    )


def main(
    people: Annotated[int, typer.Option(help="Size of the gallery.")] = 100_000,
    clients: Annotated[int, typer.Option(help="Clients at once.")] = 16,
    seconds: Annotated[float, typer.Option(help="Seconds of each measurement.")] = 60,
    dim: Annotated[int, typer.Option(help="Numbers of an embedding.")] = 256,
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        write_gallery(Path(folder) / "gallery", people, dim)
        arguments = [sys.executable, "-c", SERVER, str(Path(folder) / "gallery"), str(dim), TOKEN]
        server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline()) if server.stdout else 0
            connection = HTTPConnection("127.0.0.1", port, timeout=300)
            rng = np.random.default_rng(1)
            shots = [
                f"1.{image}.0.0" for image in rng.choice(people // PEOPLE_A_SCENE, min(SHOTS, people // PEOPLE_A_SCENE), replace=False)
            ]
            right = {shot: search(connection, shot)[1] for shot in shots}  # the first reads the gallery
            assert all(len(set(hits)) == 24 for hits in right.values())
            rows = [ask(port, server.pid, shots, right, seconds, count).row(count) for count in (1, clients)]
        finally:
            server.terminate()
            server.wait()
    typer.echo(f"{machine()}; {people:,} people, {dim} numbers each; load of the machine {os.getloadavg()[0]:.0f}\n")
    print_table(COLUMNS, rows)


if __name__ == "__main__":
    typer.run(main)
