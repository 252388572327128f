"""The kinds of cases: each makes a damaged input and hands it to the package as a user would.

A case is right when the package answers and the answer is well formed, and refused when it raises an error of its own.
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image

from tests.fuzz.mutate import damage, damage_json, odd_value

PICTURE_KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "U8", "BOOL", "X9")
HUB_PARTS = ("a", "a-b", "..", ".b", "a--c", "a.git", "", "b" * 300, "\x1b[1m", "a b", "ä", "@", "a@b", "%2e")


def prepare() -> None:
    """Import what the cases use, and forbid the network, before the clock runs."""
    os.environ.update({"HF_HUB_OFFLINE": "1", "PERSONSEARCH_HOME": tempfile.mkdtemp(prefix="fuzz-home-")})
    import lance  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch

    import personsearch.convert
    import personsearch.searcher  # noqa: F401

    torch.set_num_threads(1)
    _gallery_template()


def pictures(rng: Generator, folder: Path) -> None:
    """A damaged picture file."""
    from personsearch import images

    file = io.BytesIO()
    size = rng.integers(1, 60, size=2)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, PICTURE_KINDS[rng.integers(len(PICTURE_KINDS))])
    path = folder / "picture.jpg"
    path.write_bytes(damage(file.getvalue(), rng))
    _check_pixels(images.load(path if rng.integers(2) else path.read_bytes()))


def videos(rng: Generator, folder: Path) -> None:
    """A damaged video file."""
    from personsearch.sources import open_source
    from tests.helpers.pictures import write_video

    kind, codec = (("mp4", "mp4v"), ("avi", "FFV1"), ("mkv", "FFV1"))[rng.integers(3)]
    write_video(folder / f"whole.{kind}", [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(6)], codec=codec)
    path = folder / f"video.{kind}"
    path.write_bytes(damage((folder / f"whole.{kind}").read_bytes(), rng))
    for item in open_source(path).items:
        for frame in item.frames(every=int(rng.integers(1, 4))):
            _check_pixels(frame.pixels)


def evaluation(rng: Generator, folder: Path) -> None:
    """A damaged evaluation file."""
    from personsearch.evaluation import evaluate_file

    path = folder / "results.json"
    path.write_bytes(damage_json(_example(), rng))
    result = evaluate_file(path, protocol="prw" if rng.integers(2) else "cuhk-sysu")
    assert 0 <= result["search"]["mAP"] <= 1 or np.isnan(result["search"]["mAP"])


def manifest(rng: Generator, folder: Path) -> None:
    """A damaged weights manifest."""
    from personsearch.weights import manifest as module

    text = damage_json(_manifest(), rng).decode("utf-8", "replace")
    module.parse(text, folder / "weights_manifest.json")


def config(rng: Generator, folder: Path) -> None:
    """A model folder with a damaged config.json."""
    from personsearch.models import open_folder
    from personsearch.weights.find import find_model

    model = find_model("nano")
    for file in model.iterdir():
        if file.name != "config.json":
            (folder / file.name).symlink_to(file)
    (folder / "config.json").write_bytes(damage_json(json.loads((model / "config.json").read_text()), rng))
    open_folder(folder, "cpu")


def safetensors(rng: Generator, folder: Path) -> None:
    """A damaged safetensors file, or one whose header lies."""
    from safetensors.numpy import save

    from personsearch.weights import read_tensors

    data = save({"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros(5, np.float16)})
    if rng.integers(2):
        data = damage(data, rng)
    else:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        header["a"]["dtype"] = DTYPES[rng.integers(len(DTYPES))]
        text = json.dumps(header).encode() if rng.integers(3) else damage_json(header, rng)
        data = len(text).to_bytes(8, "little") + text + data[8 + length :]
    path = folder / "model.safetensors"
    path.write_bytes(data)
    assert all(isinstance(tensor, np.ndarray) for tensor in read_tensors(path).values())


def onnx(rng: Generator, folder: Path) -> None:
    """A two-step model with a damaged network, or an exported file whose metadata lies."""
    import onnx as library

    from personsearch import PersonSearcher
    from personsearch.models.two_step import save_two_step
    from tests.helpers.onnx_files import PERSON, reid, yolox

    detector, embedder = yolox(folder / "detector.onnx", PERSON), reid(folder / "embedder.onnx")
    if rng.integers(2):
        target = detector if rng.integers(2) else embedder
        target.write_bytes(damage(target.read_bytes(), rng))
        model: Any = save_two_step(folder / "model", detector_file=detector, embedder_file=embedder)
    else:
        network = library.load(str(embedder))
        entry = network.metadata_props.add()
        entry.key, entry.value = (
            "personsearch",
            damage_json({"config": {"architecture": "seqnet"}, "embedding_dim": 3}, rng).decode("utf-8", "replace"),
        )
        library.save(network, str(embedder))
        model = embedder
    searcher = PersonSearcher.from_pretrained(model, device="cpu")
    detections = searcher.detect(np.full((64, 64, 3), 128, np.uint8))
    assert detections.embeddings.shape[0] == len(detections)


def checkpoint(rng: Generator, folder: Path) -> None:
    """A damaged checkpoint, a web page or a pointer file in its place."""
    import torch

    from personsearch.convert import read_checkpoint

    path = folder / "checkpoint.pth"
    content = {"model": {f"layer{i}.weight": torch.zeros(2, 3) for i in range(3)}, "epoch": odd_value(rng) if rng.integers(2) else 3}
    try:
        torch.save(content, path)
    except Exception:  # not everything can be pickled; then the plain one
        torch.save({"model": content["model"]}, path)
    kind = rng.integers(8)
    if kind == 0:
        path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    elif kind == 1:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n")
    else:
        path.write_bytes(damage(path.read_bytes(), rng))
    read_checkpoint(path)


def hub_names(rng: Generator, folder: Path) -> None:
    """A malformed name of a model, on the Hub or not."""
    from personsearch import PersonSearcher

    parts = [HUB_PARTS[rng.integers(len(HUB_PARTS))] for _ in range(rng.integers(1, 4))]
    name = ("hf:" if rng.integers(4) else "") + "/".join(parts) + ("@main" if rng.integers(2) else "")
    PersonSearcher.from_pretrained(name, device="cpu")


def gallery(rng: Generator, folder: Path) -> None:
    """A gallery with one damaged file."""
    from personsearch.gallery import Gallery

    place = folder / "gallery.lance"
    shutil.copytree(_gallery_template(), place)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    target = files[rng.integers(len(files))]
    kind = rng.integers(4)
    if kind == 0:
        target.unlink()
    elif kind == 1:
        target.write_bytes(files[rng.integers(len(files))].read_bytes())
    else:
        target.write_bytes(damage(target.read_bytes(), rng))
    opened = Gallery.open(place)
    people = opened.people()
    assert people.embeddings.shape == (len(people.images), 3)
    opened.to_arrow()
    len(opened)


def boxes(rng: Generator, folder: Path) -> None:
    """Odd boxes."""
    from personsearch import Query
    from personsearch.boxes import check_boxes

    values = [odd_value(rng) if rng.integers(3) == 0 else float(rng.uniform(-10, 80)) for _ in range(rng.integers(0, 7))]
    given: Any = values if rng.integers(2) else [values]
    if rng.integers(2):
        checked = check_boxes(given, 48, 64)
        assert checked.ndim == 2
        assert np.isfinite(checked).all()
    else:
        Query("scene.jpg", given)


def options(rng: Generator, folder: Path) -> None:
    """A value of the wrong kind in one argument of a public method."""
    from personsearch import PersonSearcher, Query
    from personsearch.gallery import Gallery
    from tests.helpers.fakes import RED, RectangleModel, scene

    searcher = PersonSearcher(RectangleModel())
    picture = scene((RED, 10, 10, 60), (RED, 100, 20, 80))
    place = folder / "gallery.lance"
    made = searcher.index([picture, scene()], gallery=place, progress=False)
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (searcher.detect, {"image": picture}),
        (searcher.embed, {"image": picture, "boxes": [(10, 10, 30, 70)]}),
        (
            searcher.index,
            {
                "source": [picture],
                "gallery": folder / "other.lance",
                "every": 1,
                "min_score": 0.3,
                "batch_size": 2,
                "workers": 1,
                "progress": False,
                "storage": "float32",
            },
        ),
        (searcher.open_gallery, {"gallery_or_source": place}),
        (
            searcher.search,
            {
                "query": Query(picture, (10, 10, 30, 70)),
                "gallery": made,
                "top_k": 3,
                "rerank": "cbgm",
                "min_similarity": 0.1,
                "confidence_weighted": False,
            },
        ),
        (searcher.save_pretrained, {"folder": folder / "saved"}),
        (Gallery.open, {"uri": place}),
        (Gallery.exists, {"uri": place}),
        (made.add, {"batch": []}),
        (made.nearest, {"queries": np.zeros((1, 3), np.float32), "count": 2}),
        (made.remove_person, {"image": "x.jpg", "row": 0}),
        (made.to_csv, {"path": folder / "people.csv", "embeddings": False}),
        (Query, {"image": picture, "box": (10, 10, 30, 70)}),
    ]
    call, arguments = calls[rng.integers(len(calls))]
    name = list(arguments)[rng.integers(len(arguments))]
    here = os.getcwd()
    os.chdir(folder)  # a text may be a path
    try:
        call(**{**arguments, name: odd_value(rng)})
    finally:
        os.chdir(here)


def _check_pixels(pixels: Any) -> None:
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.size


@cache
def _example() -> Any:
    return json.loads((Path(__file__).parents[2] / "examples" / "evaluation_small.json").read_text())


@cache
def _manifest() -> Any:
    return json.loads((Path(__file__).parents[2] / "weights_manifest.json").read_text())


@cache
def _gallery_template() -> Path:
    from personsearch.gallery import Gallery
    from tests.helpers.gallery_frames import KEY, frame

    place = Path(tempfile.mkdtemp(prefix="fuzz-gallery-")) / "gallery.lance"
    made = Gallery.create_or_open(place, KEY)
    for name in "abc":
        made.add([frame(f"{name}.jpg", 3)])
    return place


KINDS: dict[str, Callable[[Generator, Path], None]] = {
    one.__name__: one
    for one in (pictures, videos, evaluation, manifest, config, safetensors, onnx, checkpoint, hub_names, gallery, boxes, options)
}
