"""The steps of the GPU benchmark; each gives a dict for JSON."""

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[..., dict[str, Any]]
BATCHES = (1, 8, 32)
TURN = 0.5  # least seconds of a measurement
PEAK_SIDE = 8192  # of the square matrices whose product is the chip's peak


def machine(_: str, device: str, *, quick: bool) -> dict[str, Any]:
    """Names, versions, and the peak of each number format, measured with a large product."""
    import torch

    from personsearch.onnx_session import quiet_onnxruntime

    onnxruntime = quiet_onnxruntime()
    side = 512 if quick else PEAK_SIDE
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    tflops = {}
    for name, dtype in formats.items():
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        tflops[name] = 2 * side**3 / seconds_of(lambda a=a, b=b: a @ b, device) / 1e12  # type: ignore[misc]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
        "commit": commit,
        "tflops": {name: float(f"{value:.3g}") for name, value in tflops.items()},
    }


def tests(_: str, device: str, *, quick: bool) -> dict[str, Any]:
    """The tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "extra", "-k", "cuda or gpu", "tests/models"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"exit_code": process.returncode, "last_line": (process.stdout.strip().splitlines() or [""])[-1]}


def network(name: str, device: str, *, quick: bool) -> dict[str, Any]:
    """Images per second and peak MiB of each form and batch, FLOPs of an image, and the share of the chip's peak."""
    from benchmarks.flop_count import flops_of
    from benchmarks.latency import _open
    from benchmarks.latency_networks import NANO, TWO_STEP, picture, write

    size = (144, 240) if quick else (900, 1500)
    single = name not in (NANO, TWO_STEP)
    forms = ["opened", *(("bfloat16", "float16") if single and device.startswith("cuda") else ()), "plain"]  # plain patches modules: last
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        write(name, folder, *size)
        rows: dict[str, Any] = {}
        for form in forms:
            model = _open("torch" if form == "opened" else "bfloat16" if form == "float16" else form, folder, device)
            if form == "float16":
                model.precision = "float16"
            prepared = model.prepare(picture(name, *size))
            if form == "plain":
                rows["gflops"] = round(flops_of(partial(model.detect, [prepared])) / 1e9, 1)
            rows[form] = {str(batch): rate(model, [prepared] * batch, device) for batch in ((1, 2) if quick else BATCHES)}
            rows["people"] = len(model.detect([prepared])[0])
    return {"network": name, "size": size, **rows}


def compiled(name: str, device: str, *, quick: bool) -> dict[str, Any]:
    """Images per second of the compiled form."""
    from benchmarks.latency import _open
    from benchmarks.latency_networks import picture, write

    with tempfile.TemporaryDirectory() as home:
        write(name, Path(home), 900, 1500)
        model = _open("compiled", Path(home), device)
        prepared = model.prepare(picture(name, 900, 1500))
        return {"network": name, "compiled": {"8": rate(model, [prepared] * 8, device)}}


def onnx(name: str, device: str, *, quick: bool) -> dict[str, Any]:
    """Images per second on ONNX Runtime."""
    from benchmarks.latency import _open
    from benchmarks.latency_networks import NANO, picture, write
    from personsearch.export import export_folder

    size = (144, 240) if quick else (900, 1500)
    with tempfile.TemporaryDirectory() as home:
        write(name, Path(home), *size)
        if name != NANO:
            export_folder(Path(home), Path(home) / "model.onnx")
        model = _open("onnx", Path(home), device)
        prepared = model.prepare(picture(name, *size))
        batches = (1, 8) if name == NANO else (1,)
        return {"network": name, "onnx": {str(batch): rate(model, [prepared] * batch, device) for batch in batches}}


def indexing(name: str, device: str, *, quick: bool) -> dict[str, Any]:
    """Images per second of indexing JPEGs of 1080p, beside the networks alone."""
    import cv2

    from benchmarks.indexing import bare, indexed
    from benchmarks.latency_networks import NANO, picture, write
    from personsearch import PersonSearcher

    count = 8 if quick else 256
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "model"
        write(name, folder, 900, 1500)
        options: dict[str, Any] = {"precision": "bfloat16"} if name != NANO and device.startswith("cuda") else {}
        searcher = PersonSearcher.from_pretrained(folder, device=device, **options)
        pixels = picture(name, 1080, 1920)
        pictures = Path(home) / "pictures"
        pictures.mkdir()
        _, data = cv2.imencode(".jpg", pixels[:, :, ::-1])
        for number in range(count):
            (pictures / f"{number:04d}.jpg").write_bytes(data.tobytes())
        prepared: list[object] = [searcher.model.prepare(pixels)] * count
        bare(searcher, prepared[:8])
        alone, whole = bare(searcher, prepared).rate, indexed(searcher, str(pictures), count, 1).rate
    return {
        "network": name,
        "images": count,
        "bare": round(alone, 1),
        "indexing": round(whole, 1),
        "ratio": round(whole / alone, 3),
        **options,
    }


def search(people: str, device: str, *, quick: bool) -> dict[str, Any]:
    """Seconds of an exact top-100 over a gallery of random unit rows in float16, and whether it is that of the memory's ranking."""
    import torch

    from personsearch.ranking import rank
    from personsearch.ranking.device import DeviceGallery

    count, block = int(people), 1_000_000
    random = np.random.default_rng(0)
    gallery = np.empty((count, 256), np.float16)
    for start in range(0, count, block):
        rows = random.standard_normal((min(block, count - start), 256), np.float32)
        gallery[start : start + len(rows)] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    queries = random.standard_normal((64, 256), np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    on_device = DeviceGallery(gallery, device)
    times = {str(number): round(seconds_of(lambda number=number: on_device.rank(queries[:number], 100), device), 4) for number in (1, 64)}  # type: ignore[misc]
    part = gallery[:200_000]
    (ours,), (theirs,) = DeviceGallery(part, device).rank(queries[:1], 100), rank(queries[:1], part.astype(np.float32), 100)
    peak = torch.cuda.max_memory_allocated() // 2**20 if device.startswith("cuda") else None
    return {"people": count, "seconds": times, "same_as_memory": ours.rows.tolist() == theirs.rows.tolist(), "peak_mib": peak}


STEPS: dict[str, Step] = {step.__name__: step for step in (machine, tests, network, compiled, onnx, indexing, search)}


def rate(model: Any, images: list[Any], device: str) -> dict[str, Any]:
    """Images per second, and peak MiB of a CUDA device; or the error, such as too little memory."""
    import torch

    on_cuda = device.startswith("cuda")
    try:
        if on_cuda:
            torch.cuda.reset_peak_memory_stats()
        seconds = seconds_of(lambda: model.detect(images), device)
    except torch.OutOfMemoryError as error:
        return {"error": str(error)[:200]}
    memory = {"peak_mib": torch.cuda.max_memory_allocated() // 2**20} if on_cuda else {}
    return {"images_per_second": round(len(images) / seconds, 2), **memory}


def seconds_of(run: Callable[[], Any], device: str) -> float:
    """Seconds of one run, from as many as last `TURN`; one before warms up."""
    import torch

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    run()
    wait()
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < TURN:
        run()
        wait()
        runs += 1
    return (time.perf_counter() - start) / runs
