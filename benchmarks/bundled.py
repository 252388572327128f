"""The bundled model beside two public networks (YOLOX-nano + OSNet x0.25), on pictures that it was not trained on.

`python benchmarks/bundled.py --shared DIR [--scenes DIR] [--crops DIR]` measures search and detection, `--speed` the time.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.crops_across_cameras import across_cameras, embedded, read_crops
from benchmarks.real_pictures import Picture, measured, mot17, pennfudan, pets, precision, rendered
from personsearch import PersonSearcher
from personsearch.evaluation import evaluate
from personsearch.models.base import PersonModel
from personsearch.models.two_step import save_two_step

FULL_HD = (1080, 1920)


def numbers(pictures: list[Picture], searcher: PersonSearcher, *, cross_camera: bool, bare_crops: bool = False) -> dict[str, Any]:
    """Search and detection at the model's own threshold, and the recall of all that its detector keeps."""
    data = measured(pictures, searcher, bare_crops=bare_crops)
    least = searcher.model.min_score
    options: dict[str, Any] = {"protocol": "prw", "min_score": least, "confidence_weighted": False, "cross_camera": cross_camera}
    result = evaluate(data, detection_min_score=least, **options)
    everybody = evaluate(data, detection_min_score=0.0, **options)
    return {
        "mAP": result["search"]["mAP"],
        "top1": result["search"]["top1"],
        "queries": result["search"]["queries"],
        "recall": result["detection"]["all"]["recall"],
        "precision": precision(data, least),
        "recall_all": everybody["detection"]["all"]["recall"],
        "ap": everybody["detection"]["all"]["ap"],
    }


def yardstick(shared: Path, folder: Path) -> PersonSearcher:
    """YOLOX-nano and OSNet x0.25 as one model."""
    teachers = shared / "teachers"
    save_two_step(folder, detector_file=teachers / "yolox_nano_416x416.onnx", embedder_file=teachers / "osnet_x0_25_msmt17.onnx")
    return PersonSearcher.from_pretrained(folder, device="cpu")


def seconds(frames: list[Picture], models: dict[str, PersonModel], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds and mean people a frame, from decoded pixels to embeddings; the models take turns frame by frame."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    people: dict[str, list[int]] = {name: [] for name in models}
    for number in range(rounds + 1):
        for frame in frames:
            for name, model in models.items():
                began = time.perf_counter()
                (found,) = model.detect([model.prepare(frame.image)], min_score=model.min_score)
                if number:  # the first round warms up
                    taken[name].append(time.perf_counter() - began)
                    people[name].append(len(found.scores))
    return {name: {"seconds": statistics.median(taken[name]), "people": statistics.mean(people[name])} for name in models}


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/ and teachers/.")],
    scenes: Annotated[Path | None, typer.Option(help="Rendered scenes, see personsearch.synthetic.")] = None,
    crops: Annotated[Path | None, typer.Option(help="Crops IIIIKKK.png by identity and camera: CUHK01's folder campus.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model than the package's.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="mot17, pets, pennfudan, rendered or crops; may be given again.")] = None,
    speed: Annotated[bool, typer.Option(help="Only measure the time of the 1080p frames of mot17.")] = False,
    rounds: int = 5,
) -> None:
    """Measure both models on every set, or their speed; one JSON object a line."""
    data = shared / "data"
    sets: dict[str, Callable[[], Iterable[Picture]]] = {
        "mot17": lambda: mot17(data / "mot17_mini"),
        "pets": lambda: pets(data / "pets09_s2l1"),
        "pennfudan": lambda: pennfudan(data / "pennfudan"),
    }
    if scenes is not None:
        sets["rendered"] = lambda: rendered(scenes)
    with tempfile.TemporaryDirectory() as folder:
        ours = PersonSearcher.from_pretrained(model, device="cpu")
        searchers = {"bundled": ours, "yardstick": yardstick(shared, Path(folder))}
        if speed:
            frames = [one for one in mot17(data / "mot17_mini") if one.image.shape[:2] == FULL_HD]
            torch_form = PersonSearcher.from_pretrained(model, device="cpu", backend="torch").model
            models = {name: one.model for name, one in searchers.items()} | {"bundled in PyTorch": torch_form}
            for name, row in seconds(frames, models, rounds).items():
                print(json.dumps({"model": name, "images a second": round(1 / row["seconds"], 1), **row}))
            return
        if crops is not None and (not only or "crops" in only):
            people = read_crops(crops)
            for who, searcher in searchers.items():
                row = across_cameras(embedded(searcher.model, people.images), people.identities, people.cameras)
                print(json.dumps({"set": "crops", "model": who, **{key: round(value, 3) for key, value in row.items()}}), flush=True)
        for name in [one for one in only or sets if one != "crops"]:
            pictures = list(sets[name]())
            for who, searcher in searchers.items():
                for bare in (False, True) if name in ("mot17", "pets") else (False,):
                    found = numbers(pictures, searcher, cross_camera=name == "rendered", bare_crops=bare)
                    shown = {key: round(value, 3) for key, value in found.items()}
                    print(json.dumps({"set": name, "model": who, "query": "crop" if bare else "scene", **shown}), flush=True)


if __name__ == "__main__":
    typer.run(main)
