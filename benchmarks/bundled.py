"""The bundled model beside two public pairs of networks, on pictures outside its training.

python -m benchmarks.bundled --shared DIR [--scenes DIR] [--crops DIR]    search and detection
python -m benchmarks.bundled --shared DIR --speed                         time of a 1080p frame
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.crops_across_cameras import across_cameras, embedded, read_crops
from benchmarks.real_pictures import Picture, measured, mot17, pennfudan, pets, precision, rendered
from examples.nano.calibrate import pairs
from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.calibration import rates
from personsearch.evaluation import evaluate
from personsearch.models.base import PersonModel
from personsearch.models.two_step import save_two_step

FULL_HD = (1080, 1920)
FINDER, REID = "person-vehicle-bike-detection-2003", "person-reidentification-retail-0286"
FINDER_SCORE = 0.15  # it is calibrated lower than others


def numbers(pictures: list[Picture], searcher: PersonSearcher, *, cross_camera: bool, bare_crops: bool = False) -> dict[str, Any]:
    """Search and detection at the model's own threshold; recall and AP of all its detections."""
    data = measured(pictures, searcher, bare_crops=bare_crops)
    threshold = searcher.model.min_score
    options: dict[str, Any] = {"protocol": "prw", "min_score": threshold, "confidence_weighted": False, "cross_camera": cross_camera}
    result = evaluate(data, detection_min_score=threshold, **options)
    unfiltered = evaluate(data, detection_min_score=0.0, **options)
    rows, identities = (np.array([getattr(query, name) for query in data.queries]) for name in ("embedding", "identity"))
    scenes = np.unique([query.scene for query in data.queries], return_inverse=True)[1]
    return {
        "mAP": result["search"]["mAP"],
        "top1": result["search"]["top1"],
        "queries": result["search"]["queries"],
        "recall": result["detection"]["all"]["recall"],
        "precision": precision(data, threshold),
        "recall_all": unfiltered["detection"]["all"]["recall"],
        "ap": unfiltered["detection"]["all"]["ap"],
        **error_rates(rows, identities, scenes, searcher),
    }


def error_rates(rows: Array, identities: Array, places: Array, searcher: PersonSearcher) -> dict[str, float]:
    """`false_match` and `miss` at the model's threshold, over all pairs of two places; empty without a calibration or without pairs.

    Args:
        rows: Unit rows of people, (N, D).
        identities: Identity of each, (N,).
        places: Camera or picture of each, (N,).
        searcher: Searcher with the model.
    """
    if searcher.calibration is None or not len(rows):
        return {}
    same, different = pairs(rows, identities, places)
    if not len(same) or not len(different):
        return {}
    found = rates(same, different, searcher.calibration.min_similarity)
    return {"false_match": found["false_match_rate"], "miss": found["miss_rate"]}


def public_networks(shared: Path, folder: Path) -> PersonSearcher:
    """YOLOX-nano and OSNet x0.25 as one two-step model."""
    teachers = shared / "teachers"
    save_two_step(folder, detector_file=teachers / "yolox_nano_416x416.onnx", embedder_file=teachers / "osnet_x0_25_msmt17.onnx")
    return PersonSearcher.from_pretrained(folder, device="cpu")


def best_pair(shared: Path, folder: Path) -> PersonSearcher:
    """Intel's person-vehicle-bike-detection-2003 and person-reidentification-retail-0286 as one model; needs openvino."""
    teachers = shared / "teachers"
    options = {"score_threshold": FINDER_SCORE}
    finder, reid = teachers / f"{FINDER}.xml", teachers / f"{REID}.xml"
    save_two_step(folder, detector_file=finder, embedder_file=reid, detector=options, min_score=FINDER_SCORE)
    return PersonSearcher.from_pretrained(folder, device="cpu")


def seconds(frames: list[Picture], models: dict[str, PersonModel], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds and mean people per frame, from decoded pixels to embeddings; the models take turns frame by frame."""
    durations: dict[str, list[float]] = {name: [] for name in models}
    people: dict[str, list[int]] = {name: [] for name in models}
    for number in range(rounds + 1):
        for frame in frames:
            for name, model in models.items():
                began = time.perf_counter()
                (detections,) = model.detect([model.prepare(frame.image)], min_score=model.min_score)
                if number:  # the first round warms up
                    durations[name].append(time.perf_counter() - began)
                    people[name].append(len(detections))
    return {name: {"seconds": statistics.median(durations[name]), "people": statistics.mean(people[name])} for name in models}


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/ and teachers/, as the bundled model's card lists them.")],
    scenes: Annotated[
        Path | None, typer.Option(help="Folder of rendered scenes, as `python -m personsearch.synthetic` makes them.")
    ] = None,
    crops: Annotated[Path | None, typer.Option(help="Folder of crops named IIIIKKK.png (identity, number): CUHK01's campus.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to measure in place of the bundled one.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="mot17, pets, pennfudan, rendered or crops; repeat it for several.")] = None,
    speed: Annotated[bool, typer.Option(help="Measure the time of mot17's 1080p frames instead.")] = False,
    rounds: int = 5,
) -> None:
    """Measure the models on every set, or their speed; print one JSON object per line."""
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
        place = Path(folder)
        public = {"YOLOX-nano + OSNet": public_networks(shared, place / "one"), "pvb-2003 + 0286": best_pair(shared, place / "two")}
        searchers = {"bundled": ours} | public
        if speed:
            frames = [frame for frame in mot17(data / "mot17_mini") if frame.image.shape[:2] == FULL_HD]
            torch_form = PersonSearcher.from_pretrained(model, device="cpu", backend="torch").model
            models = {name: searcher.model for name, searcher in searchers.items()} | {"bundled in PyTorch": torch_form}
            for name, row in seconds(frames, models, rounds).items():
                print(json.dumps({"model": name, "images a second": round(1 / row["seconds"], 1), **row}))
            return
        if crops is not None and (not only or "crops" in only):
            people = read_crops(crops)
            for label, searcher in searchers.items():
                rows = embedded(searcher.model, people.images)
                row = across_cameras(rows, people.identities, people.cameras)
                row |= error_rates(rows, people.identities, people.cameras, searcher)
                print(json.dumps({"set": "crops", "model": label, **{key: round(value, 3) for key, value in row.items()}}), flush=True)
        for name in [name for name in only or sets if name != "crops"]:
            pictures = list(sets[name]())
            for label, searcher in searchers.items():
                for bare in (False, True) if name in ("mot17", "pets") else (False,):
                    measured_row = numbers(pictures, searcher, cross_camera=name == "rendered", bare_crops=bare)
                    shown = {key: round(value, 3) for key, value in measured_row.items()}
                    print(json.dumps({"set": name, "model": label, "query": "crop" if bare else "scene", **shown}), flush=True)


if __name__ == "__main__":
    typer.run(main)
