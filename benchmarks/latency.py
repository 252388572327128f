"""Seconds, images per second and peak memory of each network, as opened and in plain eager float32.

    python -m benchmarks.latency [NETWORK ...] [--form onnx --form bfloat16 ...] [--batch 1 --batch 8 ...] [--rounds 5] [--threads 2]
                                 [--device cpu] [--short-side 900] [--long-side 1500]

Networks have their papers' size and weights with which they find people (latency_networks.py). They are opened from a folder, as a user
opens them, and read pictures of one size. Forms beside "opened":

* "plain": the same arithmetic without merged batch norms, channels-last weights and the CPU's forms of deformable convolution and RoIAlign;
* "torch": PyTorch, for nano, which opens on ONNX Runtime on a CPU;
* "onnx": the exported file on ONNX Runtime, one image at a time; nano's own files take batches;
* "kept": the opened form in a process that keeps freed memory (`personsearch.memory`), as the command line runs it;
* "bfloat16": the same with its layers in bfloat16;
* "compiled": `from_pretrained(..., compiled=True)`.

Each form runs in its own process; they take turns of half a second, or one run, because machines are noisy. Peak memory is that of the
process, Python and weights included (with --device cuda: of the device), with batches in growing order. The output is JSON, one line per
network and batch: medians, their ratios to the plain form, and the differences of the first image's detections from the plain form's.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import agreement
from benchmarks.latency_networks import NANO, NETWORKS, TWO_STEP, picture, write

FORMS = ("opened", "plain")
OPTIONAL_FORMS = ("torch", "onnx", "kept", "bfloat16", "compiled")
MISSING_FORMS = {NANO: ("bfloat16", "compiled"), TWO_STEP: ("onnx", "bfloat16", "compiled")}
LARGEST_BATCH = 32
RUN = (sys.executable, "-m", "benchmarks.latency")
TURN = 0.5  # least seconds of a turn, so that waking the threads is a small part of a small network's time


def main(
    networks: Annotated[list[str] | None, typer.Argument()] = None,
    form: Annotated[list[str] | None, typer.Option(help=f"{', '.join(OPTIONAL_FORMS)}; repeat it for several.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help=f"Images at once, 1 to {LARGEST_BATCH}; repeat it for several.")] = None,
    rounds: int = 5,
    threads: int = 2,
    device: str = "cpu",
    short_side: int = 900,
    long_side: int = 1500,
) -> None:
    """Print the machine, then one JSON object for each network and batch."""
    names, batches, optional = networks or list(NETWORKS), sorted(set(batch or [1])), form or []
    _check(names, batches, optional)
    typer.echo(json.dumps(_machine(threads, device)))
    for name in names:
        forms = [*FORMS, *(form for form in optional if form not in MISSING_FORMS.get(name, ()))]
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home)
            # in another process, whose memory is freed when it ends
            subprocess.run([*RUN, "--write", name, home, str(short_side), str(long_side)], check=True)
            if "onnx" in forms and name != NANO:
                subprocess.run([sys.executable, "-m", "personsearch", "export", home, str(folder / "model.onnx")], check=True)
            workers = {form: _start(form, folder, name, device, threads, short_side, long_side) for form in forms}
            for size in batches:
                typer.echo(json.dumps({"network": name, "batch": size, **_compare(workers, size, rounds), **_differences(folder, forms)}))
            for worker in workers.values():
                worker.communicate()


def _check(networks: list[str], batches: list[int], forms: list[str]) -> None:
    unknown = [name for name in networks if name not in NETWORKS]
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; the networks are {', '.join(NETWORKS)}")
    if set(forms) - set(OPTIONAL_FORMS):
        raise typer.BadParameter(f"--form takes {', '.join(OPTIONAL_FORMS)}")
    for name in networks:
        refused = [form for form in forms if form in MISSING_FORMS.get(name, ())]
        if refused and len(networks) == 1:
            raise typer.BadParameter(f"{name} cannot run as {', '.join(refused)}; leave out that --form")
    if not all(1 <= size <= LARGEST_BATCH for size in batches):
        raise typer.BadParameter(f"--batch takes 1 to {LARGEST_BATCH} images, got {', '.join(map(str, batches))}")


def _start(form: str, folder: Path, name: str, device: str, threads: int, short_side: int, long_side: int) -> "subprocess.Popen[str]":
    command = [*RUN, "--work", form, str(folder), name, device, str(short_side), str(long_side)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _compare(workers: "dict[str, subprocess.Popen[str]]", batch: int, rounds: int) -> dict[str, Any]:
    answers: dict[str, list[dict[str, Any]]] = {form: [] for form in workers}
    for _ in range(rounds + 1):
        for form, worker in workers.items():
            assert worker.stdin
            assert worker.stdout
            worker.stdin.write(f"{batch}\n")
            worker.stdin.flush()
            answers[form].append(json.loads(worker.stdout.readline()))
    report: dict[str, Any] = {form: rows[0] for form, rows in answers.items() if "refused" in rows[0]}
    measured = {form: rows for form, rows in answers.items() if form not in report}
    report["people"] = {form: rows[0]["people"] for form, rows in measured.items()}  # in the first image
    for form, all_rounds in measured.items():
        seconds = [one["seconds"] for one in all_rounds[1:]]  # the first one warms up
        median = statistics.median(seconds)
        report[form] = {"seconds": round(median, 3), "from": round(min(seconds), 3), "to": round(max(seconds), 3)}
        report[form] |= {"images_per_second": round(batch / median, 3), "peak_mib": all_rounds[-1]["peak_mib"]}
    for form in measured:
        if form != "plain":
            report[f"{form}_over_plain"] = round(report[form]["seconds"] / report["plain"]["seconds"], 3)
    return report


def _differences(folder: Path, forms: list[str]) -> dict[str, Any]:
    plain = agreement.load(folder / "plain.npz")
    return {f"{form}_from_plain": agreement.differences(agreement.load(folder / f"{form}.npz"), plain) for form in forms if form != "plain"}


def _work(form: str, folder: Path, name: str, device: str, short_side: int, long_side: int) -> None:
    """For each batch size read from stdin: detect for one turn, then print the seconds of a run, the people and the peak memory."""
    import torch

    model = _open(form, folder, device)
    prepared = model.prepare(picture(name, short_side, long_side))
    is_single = form == "onnx" and name != NANO
    for line in sys.stdin:
        images = [prepared] * int(line)
        if is_single and len(images) > 1:
            print(json.dumps({"refused": "an exported file takes one image at a time; see --batch 1"}), flush=True)
            continue
        start, runs, seconds = time.perf_counter(), 0, 0.0
        while seconds < TURN:
            detections = model.detect(images)
            runs, seconds = runs + 1, time.perf_counter() - start
        seconds /= runs
        agreement.save(detections[0], folder / f"{form}.npz")
        on_host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        peak = torch.cuda.max_memory_allocated() // 2**20 if device.startswith("cuda") else on_host
        print(json.dumps({"seconds": seconds, "people": len(detections[0]), "peak_mib": peak}), flush=True)


def _open(form: str, folder: Path, device: str) -> Any:
    from personsearch import backends
    from personsearch.memory import keep_freed_memory

    if form == "onnx":
        exported = folder / "model.onnx"
        return backends.open_file(exported, device, "onnx") if exported.exists() else backends.open_model(folder, device, "onnx")
    if form == "plain":
        return _plain(folder, device)
    if form == "compiled":
        return backends.open_model(folder, device, "torch", compiled=True)
    if form in ("kept", "bfloat16"):
        keep_freed_memory()
    return backends.open_model(
        folder, device, "torch" if form == "torch" else "auto", precision="bfloat16" if form == "bfloat16" else "float32"
    )


def _plain(folder: Path, device: str) -> Any:
    """The model without its fast forms of layers."""
    import torch

    from personsearch.models import folder as scene_folder
    from personsearch.models import open_folder
    from personsearch.models.nano import embedder as nano_embedder
    from personsearch.models.two_step import crop_model

    for module in (scene_folder, crop_model, nano_embedder):
        setattr(module, "make_fast", lambda network, device: None)  # noqa: B010 - a module of no fixed type
    model: Any = open_folder(folder, device)
    if (folder / "detector.onnx").exists():  # nano lays its detector out channels-last in any case
        model.detector.network.to(memory_format=torch.contiguous_format)
    return model


def _machine(threads: int, device: str) -> dict[str, Any]:
    import torch
    import torchvision

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "commit": commit,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _work(sys.argv[2], Path(sys.argv[3]), sys.argv[4], sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
    elif sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        typer.run(main)
