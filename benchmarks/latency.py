"""Seconds and peak memory of each network for one 900 x 1500 image, as opened and in plain eager float32, in one run.

    python benchmarks/latency.py [NETWORK ...] [--form onnx --form bfloat16] [--rounds 5] [--threads 2] [--device cpu]
                                 [--short-side 900] [--long-side 1500]

Networks have the authors' shapes, filled by the rule of tests/data so that they find people, and are opened from a folder as a user
opens them. "plain" is the same arithmetic without merged batch norms, channels-last weights and the CPU's forms of deformable
convolution and RoIAlign, "onnx" the exported file on ONNX Runtime, "bfloat16" the opened form with its layers in bfloat16. Each
form runs in a process of its own; they take turns, because machines are noisy. Peak memory is the
process's, Python and weights included (the device's own with --device cuda). Medians and their ratios to the plain form are
printed as JSON, one line a network.
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
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

TESTS = Path(__file__).parent.parent / "tests"
FORMS = ("opened", "plain")
MORE = ("onnx", "bfloat16")
Recipe = Callable[[], tuple[dict[str, Any], Mapping[str, Any]]]  # -> config.json and tensors under our names


def seqnet() -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The authors' SeqNet."""
    return _converted("seqnet", _seqnet_tensors())


def nae() -> tuple[dict[str, Any], Mapping[str, Any]]:
    """NAE: SeqNet's tensors without its first head."""
    return _converted("nae", _nae_tensors())


def nae_plus() -> tuple[dict[str, Any], Mapping[str, Any]]:
    """NAE+: its projectors are 1x1 convolutions."""
    tensors = _nae_tensors()
    for name in [name for name in tensors if "projectors" in name and name.endswith(".0.weight")]:
        tensors[name] = tensors[name][:, :, None, None]
    return _converted("nae", tensors)


def oim() -> tuple[dict[str, Any], Mapping[str, Any]]:
    """OIM: NAE with SeqNet's first classifier instead of the norm."""
    config, tensors = nae()
    classes = {f"head.{name.removeprefix('first.')}": value for name, value in seqnet()[1].items() if name.startswith("first.classes.")}
    kept = {name: value for name, value in tensors.items() if ".rescaler." not in name}
    return config | {"architecture": "oim", "name": "oim"}, kept | classes


def alignps(name: str) -> Recipe:
    """AlignPS, AlignPS+ or ROI-AlignPS of the authors."""
    return lambda: _converted("roi-alignps" if name.startswith("roi") else "alignps", import_module("alignps_golden").checkpoint(name))


NETWORKS: dict[str, Recipe] = {
    "oim": oim,
    "nae": nae,
    "nae-plus": nae_plus,
    "seqnet": seqnet,
    "alignps": alignps("alignps"),
    "alignps-plus": alignps("alignps_plus"),
    "roi-alignps": alignps("roi_alignps"),
}


def main(
    networks: Annotated[list[str] | None, typer.Argument()] = None,
    form: Annotated[list[str] | None, typer.Option(help="onnx or bfloat16, beside the two; may be given again.")] = None,
    rounds: int = 5,
    threads: int = 2,
    device: str = "cpu",
    short_side: int = 900,
    long_side: int = 1500,
) -> None:
    """Print the machine and then one JSON object for each network."""
    unknown = set(networks or ()) - NETWORKS.keys()
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the networks are {', '.join(NETWORKS)}")
    forms = [*FORMS, *(form or ())]
    if set(forms) - {*FORMS, *MORE}:
        raise typer.BadParameter(f"--form takes {' or '.join(MORE)}")
    typer.echo(json.dumps(_machine(threads, device)))
    for name in networks or NETWORKS:
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home)
            subprocess.run([sys.executable, __file__, "--write", name, home, str(short_side), str(long_side)], check=True)
            if "onnx" in forms:  # in a process of its own, whose memory is given back
                subprocess.run([sys.executable, "-m", "personsearch", "export", home, str(folder / "model.onnx")], check=True)
            typer.echo(json.dumps({"network": name, **_compare(folder, forms, rounds, threads, device)}))


def _compare(folder: Path, forms: list[str], rounds: int, threads: int, device: str) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    workers = {
        form: subprocess.Popen(
            [sys.executable, __file__, "--work", form, str(folder), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for form in forms
    }
    answers: dict[str, list[dict[str, Any]]] = {form: [] for form in forms}
    for _ in range(rounds + 1):
        for form, worker in workers.items():
            assert worker.stdin
            assert worker.stdout
            worker.stdin.write("go\n")
            worker.stdin.flush()
            answers[form].append(json.loads(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    report: dict[str, Any] = {"people": {form: rows[0]["people"] for form, rows in answers.items()}}
    for form, all_rounds in answers.items():
        seconds = [one["seconds"] for one in all_rounds[1:]]  # the first one warms up
        report[form] = {"seconds": round(statistics.median(seconds), 3), "from": round(min(seconds), 3), "to": round(max(seconds), 3)}
        report[form]["peak_mib"] = all_rounds[-1]["peak_mib"]
    for form in forms:
        if form != "plain":
            report[f"{form}_over_plain"] = round(report[form]["seconds"] / report["plain"]["seconds"], 3)
    return report


def _work(form: str, folder: Path, device: str) -> None:
    """Detect in one image for each line on stdin, and say how long it took."""
    import torch

    from personsearch.backends import OnnxSceneModel
    from personsearch.models import folder as opening
    from personsearch.models import open_folder

    if form == "plain":
        opening.make_fast = lambda network, device: None
    model: Any = OnnxSceneModel(folder / "model.onnx", device=device) if form == "onnx" else open_folder(folder, device)
    if form == "bfloat16":
        model.precision = form
    sys.path.insert(0, str(TESTS))
    config = model.config if form == "onnx" else model.network.config
    height, width = config.short_side, config.long_side
    prepared = model.prepare(import_module("data.synth_image").synth(height, width, 1)[:, :, ::-1].copy())
    for _ in sys.stdin:
        start = time.perf_counter()
        (found,) = model.detect([prepared])
        seconds = time.perf_counter() - start
        on_host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        peak = torch.cuda.max_memory_allocated() // 2**20 if device.startswith("cuda") else on_host
        print(json.dumps({"seconds": seconds, "people": len(found), "peak_mib": peak}), flush=True)


def _write(name: str, folder: Path, short_side: int, long_side: int) -> None:
    """The model folder of a network for an input size."""
    from personsearch.weights import save_model

    sys.path.insert(0, str(TESTS))
    config, tensors = NETWORKS[name]()
    arrays = {key: value.contiguous().numpy() for key, value in tensors.items()}
    save_model(folder, config | {"short_side": short_side, "long_side": long_side}, arrays)


def _converted(source: str, tensors: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    from personsearch.convert import CONVERTERS

    result: tuple[dict[str, Any], Mapping[str, Any]] = import_module(CONVERTERS[source]).convert(tensors, source)
    return result


def _seqnet_tensors() -> dict[str, Any]:
    import torch

    shapes = import_module("seqnet_golden").shapes()
    fill = import_module("data.deterministic_weights").fill
    filled: dict[str, Any] = fill({name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in shapes.items()}, "seqnet")
    return filled


def _nae_tensors() -> dict[str, Any]:
    return {name: value for name, value in _seqnet_tensors().items() if ".reid_head." not in name and ".faster_rcnn_predictor." not in name}


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
        _work(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    elif sys.argv[1:2] == ["--write"]:
        _write(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        typer.run(main)
