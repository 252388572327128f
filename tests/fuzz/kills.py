"""Kill a command at a random moment: what it leaves behind must open, hold nothing half, and end as if it had never been killed.

`python -m tests.fuzz.kills --kills 200` runs every scenario in turn and prints a table of counts.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

ROOT = Path(__file__).parents[2]
SECONDS = 600.0  # the longest that a whole run may take
PICTURES = 24

INDEX = """
from PIL import Image
from personsearch import PersonSearcher
from tests.helpers.fakes import RectangleModel
searcher = PersonSearcher(RectangleModel())
ready()
searcher.index(folder / "photos", gallery=folder / "indexed.lance", batch_size=1, progress=False)
"""
REMOVE = """
from personsearch import Gallery
gallery = Gallery.open(folder / "gallery.lance")
ready()
for image in sorted(gallery.images())[:12]:
    gallery.remove(image)
"""
VECTOR_INDEX = """
import numpy as np
from personsearch import Gallery
gallery = Gallery.open(folder / "large.lance")
gallery.memory_limit = 0
ready()
gallery.nearest(np.eye(1, 16, dtype=np.float32), 5)
"""
SAVE = """
from personsearch import PersonSearcher
searcher = PersonSearcher.from_pretrained(device="cpu")
ready()
searcher.save_pretrained(folder / "saved")
"""
CONVERT = """
import numpy as np
from personsearch.weights import save_model
from personsearch.weights.local import new_model
ready()
with new_model("mine") as made:
    save_model(made, {"architecture": "nano"}, {f"t{i}": np.zeros(400_000, np.float32) for i in range(10)})
"""
CHECKPOINT = """
import torch
from personsearch.training.checkpoint import save_state
ready()
for step in range(1, 40):
    save_state(folder / "training", {"step": step, "weights": torch.full((200_000,), float(step))})
"""
EXPORT = """
import shutil
import torch
from personsearch.export import export_nano
from personsearch.weights.find import find_model
bundled = find_model("nano")
files = iter(("detector.onnx", "embedder.onnx"))
class Program:
    class model:
        graph = ()
    def __init__(self, file):
        self.file = file
    def save(self, out, external_data):
        shutil.copyfile(self.file, out)
def exported(*arguments, **options):  # long ago: this is about writing the files
    file = bundled / next(files)
    if file.name == "embedder.onnx":
        ready()  # from here on files are written
    return Program(file)
torch.onnx.export = exported
export_nano(bundled, folder / "exported")
"""


@dataclass(frozen=True)
class Scenario:
    """A script that is killed, and what must hold afterwards."""

    script: str
    check: Callable[[Path], None]  # after the kill
    finished: Callable[[Path], None]  # after the script has run again to its end


def measure(name: str, prepared: Path) -> float:
    """Seconds that a scenario's script takes after it is ready."""
    shutil.copytree(prepared, prepared.with_name(name))
    return finish(SCENARIOS[name].script, prepared.with_name(name))


def run_scenario(name: str, prepared: Path, duration: float, rng: np.random.Generator) -> None:
    """Kill one scenario once, check, run it again, check.

    Args:
        name: a key of `SCENARIOS`.
        prepared: the folder that the scenario starts from.
        duration: seconds that the script takes after it is ready.
        rng: chooses the moment.

    Raises:
        AssertionError: something was lost, half there, or does not go on.
    """
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "work"
        shutil.copytree(prepared, folder)
        with started(scenario.script, folder) as process:
            time.sleep(float(rng.uniform(0, duration)))
            process.send_signal(signal.SIGKILL)
        os.environ["PERSONSEARCH_HOME"] = str(folder / "home")
        scenario.check(folder)
        finish(scenario.script, folder)
        scenario.finished(folder)


def started(script: str, folder: Path) -> "subprocess.Popen[str]":
    """The script in a process of its own, after it has printed that it is ready."""
    start = f"from pathlib import Path\nfolder = Path({str(folder)!r})\ndef ready(): print('ready', flush=True)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PERSONSEARCH_HOME": str(folder / "home")}
    process = subprocess.Popen([sys.executable, "-c", start + script], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", f"the script ended with {process.wait()}"
    return process


def finish(script: str, folder: Path) -> float:
    """Run the script to its end; seconds from the moment it was ready."""
    with started(script, folder) as process:
        began = time.monotonic()
        assert process.wait(SECONDS) == 0
        return time.monotonic() - began


def prepare(folder: Path) -> None:
    """Pictures, a gallery of them, and a gallery large enough for a vector index."""
    from PIL import Image

    from personsearch import Gallery, PersonSearcher
    from personsearch.gallery import ModelKey
    from tests.helpers.fakes import GREEN, RED, RectangleModel, scene
    from tests.helpers.gallery_frames import frame

    (folder / "photos").mkdir(parents=True)
    for number in range(PICTURES):
        people = [(RED, 10, 10, 40 + number), (GREEN, 60, 20, 60 + number % 7)][: 1 + number % 2]
        Image.fromarray(scene(*people)).save(folder / "photos" / f"{number:02}.png")
    PersonSearcher(RectangleModel()).index(folder / "photos", gallery=folder / "gallery.lance", progress=False)
    large = Gallery.create_or_open(folder / "large.lance", ModelKey("large", "b2" * 32, embedding_dim=16))
    large.add([frame(f"{number}.jpg", 100, dim=16) for number in range(50)])


def _scenes_are_whole(location: Path, *, complete: bool) -> None:
    from personsearch import Gallery

    gallery = Gallery.open(location) if Gallery.exists(location) else None
    images = list(gallery.people().images) if gallery else []
    counts = {Path(image).name: images.count(image) for image in images}
    whole = {f"{number:02}.png": 1 + number % 2 for number in range(PICTURES)}
    assert all(whole[name] == count for name, count in counts.items()), f"a scene is half there: {counts}"
    assert not complete or counts == whole


def _after_index(folder: Path) -> None:
    _scenes_are_whole(folder / "indexed.lance", complete=False)


def _index_done(folder: Path) -> None:
    _scenes_are_whole(folder / "indexed.lance", complete=True)


def _after_remove(folder: Path) -> None:
    _scenes_are_whole(folder / "gallery.lance", complete=False)


def _remove_done(folder: Path) -> None:
    from personsearch import Gallery

    left = Gallery.open(folder / "gallery.lance").image_count
    assert left <= PICTURES - 12, f"{left} images are left"


def _vector_index_works(folder: Path) -> None:
    from personsearch import Gallery

    gallery = Gallery.open(folder / "large.lance")
    assert len(gallery) == 5000
    assert gallery.people().embeddings.shape == (5000, 16)


def _after_save(folder: Path) -> None:
    from personsearch import PersonSearcher
    from personsearch.errors import PersonSearchError

    try:
        PersonSearcher.from_pretrained(folder / "saved", device="cpu")
    except PersonSearchError:
        return  # refused, not half opened


def _save_done(folder: Path) -> None:
    from personsearch import PersonSearcher

    fingerprints = [PersonSearcher.from_pretrained(name, device="cpu").model.fingerprint for name in (None, folder / "saved")]
    assert fingerprints[0] == fingerprints[1]


def _after_convert(folder: Path) -> None:
    from personsearch.weights import WEIGHTS_FILE, read_tensors
    from personsearch.weights.local import local_models

    for model in local_models().values():
        assert len(read_tensors(model / WEIGHTS_FILE)) == 10


def _convert_done(folder: Path) -> None:
    from personsearch.weights.local import local_models

    assert list(local_models()) == ["mine"]
    _after_convert(folder)


def _after_checkpoint(folder: Path) -> None:
    from personsearch.training.checkpoint import STATE_FILE, load_state

    if (folder / "training" / STATE_FILE).exists():
        state = load_state(folder / "training")
        assert float(state["weights"].min()) == float(state["weights"].max()) == state["step"]


def _after_export(folder: Path) -> None:
    """A folder opens whole, or is refused; files that are half written have other names."""
    from personsearch import PersonSearcher
    from personsearch.errors import PersonSearchError

    if all((folder / "exported" / name).exists() for name in ("detector.onnx", "embedder.onnx")):
        _export_done(folder)
        return
    try:
        PersonSearcher.from_pretrained(folder / "exported", device="cpu", backend="onnx")
    except PersonSearchError:
        return
    raise AssertionError("a folder without its ONNX files was opened")


def _export_done(folder: Path) -> None:
    from personsearch import PersonSearcher

    picture = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    opened = [PersonSearcher.from_pretrained(folder / "exported", device="cpu", backend=backend) for backend in ("torch", "onnx")]
    first, second = (searcher.detect(picture, min_score=0) for searcher in opened)
    assert np.allclose(first.boxes, second.boxes, atol=1e-3)


SCENARIOS = {
    "index": Scenario(INDEX, _after_index, _index_done),
    "remove": Scenario(REMOVE, _after_remove, _remove_done),
    "vector index": Scenario(VECTOR_INDEX, _vector_index_works, _vector_index_works),
    "save": Scenario(SAVE, _after_save, _save_done),
    "convert": Scenario(CONVERT, _after_convert, _convert_done),
    "checkpoint": Scenario(CHECKPOINT, _after_checkpoint, _after_checkpoint),
    "export": Scenario(EXPORT, _after_export, _export_done),
}


def kill_all(kills: int, seed: int, names: Sequence[str] = (), minutes: float = 600.0) -> dict[str, tuple[int, list[str]]]:
    """Kills and faults of every scenario; `kills` of them in all, in turn.

    Args:
        kills: Number of kills.
        seed: Seed of their moments.
        names: Scenarios; none: all.
        minutes: Time after which no kill begins.
    """
    names = names or list(SCENARIOS)
    end = time.monotonic() + 60 * minutes
    rng = np.random.default_rng(seed)
    counts: dict[str, tuple[int, list[str]]] = {name: (0, []) for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary) / "prepared"
        prepare(prepared)
        durations = {}
        for number in range(kills):
            if time.monotonic() > end:
                break
            name = names[number % len(names)]
            if name not in durations:
                durations[name] = measure(name, prepared)
            done, faults = counts[name]
            try:
                run_scenario(name, prepared, durations[name], rng)
            except Exception as error:  # every kind of failure is a fault of this kill
                faults = [*faults, f"{type(error).__name__}: {error}"]
            counts[name] = (done + 1, faults)
    return counts


def main(
    kills: Annotated[int, typer.Option(help="Kills of all scenarios together.")] = 200,
    seed: int = 0,
    only: Annotated[list[str] | None, typer.Option(help=f"Scenarios; repeat for several: {', '.join(SCENARIOS)}.")] = None,
    minutes: Annotated[float, typer.Option(help="Begin no kill after so many minutes.")] = 600.0,
) -> None:
    """Kill every scenario in turn."""
    typer.echo("| command | kills | faults |\n|---|---|---|")
    faults: list[str] = []
    for name, (done, failed) in kill_all(kills, seed, only or (), minutes).items():
        typer.echo(f"| {name} | {done} | {len(failed)} |")
        faults += [f"{name}: {line}" for line in failed]
    for line in faults:
        sys.stderr.write(f"{line}\n")
    if faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
