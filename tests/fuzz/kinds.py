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

from tests.fuzz.model_kinds import checkpoint, config, hub_names, manifest, model_folder, onnx, safetensors, training_state
from tests.fuzz.mutate import damage, damage_json, odd_value

PICTURE_KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM")


def prepare() -> None:
    """Import what the cases use, and forbid the network, before the clock runs."""
    os.environ.update({"HF_HUB_OFFLINE": "1", "PERSONSEARCH_HOME": tempfile.mkdtemp(prefix="fuzz-home-")})
    import lance  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch

    from personsearch import PersonSearcher

    torch.set_num_threads(1)
    PersonSearcher.from_pretrained(device="cpu").detect(np.full((64, 64, 3), 128, np.uint8))
    PersonSearcher.from_pretrained(device="cpu", backend="torch")
    _gallery_template()
    _own_template()


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


def own_data(rng: Generator, folder: Path) -> None:
    """A damaged file of people's own annotations, or one of its pictures damaged."""
    from personsearch.datasets.coco import Fields
    from personsearch.training.data.dataset import CocoPeople

    source = _own_template()
    content = json.loads((source / "annotations.json").read_text())
    for picture in source.glob("*.png"):
        (folder / picture.name).write_bytes(picture.read_bytes() if rng.integers(20) else damage(picture.read_bytes(), rng))
    (folder / "annotations.json").write_bytes(damage_json(content, rng))
    categories, identities = ("person", "PERSON", "pedestrian", "x" * 3000), ("person_id", "track_id", "none", "x" * 3000)
    fields = Fields(*(None if rng.integers(4) else names[rng.integers(4)] for names in (categories, identities)))
    people = CocoPeople(folder / "annotations.json", fields=fields)
    for index in range(len(people)):
        sample = people[index]
        assert sample.identities.shape == (len(sample.boxes),)
        assert sample.identities.max(initial=-1) < people.identities
        assert np.isfinite(sample.boxes).all()


def results(rng: Generator, folder: Path) -> None:
    """Hits whose names and numbers are odd, as JSON and as a page."""
    from personsearch import Query
    from personsearch.hits import Hit
    from personsearch.results import SearchResult

    names = ("a.jpg", "\x1b[31m", "\ud800.jpg", "<script>alert(1)</script>", "=1+1", "a" * 5000, "\u202egpj.exe", "a\nb.jpg")
    hits = tuple(
        Hit(rank, names[rng.integers(len(names))], 0, None, (1.0, 2.0, 3.0, 4.0), 0.5, float(rng.uniform(-1, 1)), 0.5) for rank in (1, 2)
    )
    result = SearchResult(hits, Query(np.zeros((40, 40, 3), np.uint8)))
    assert [hit["image"] for hit in json.loads(result.to_json())["hits"]] == [hit.image for hit in hits]
    repr(result)
    result.save_html(folder / "page.html")
    assert "<script>alert" not in (folder / "page.html").read_text()


def boxes(rng: Generator, folder: Path) -> None:
    """Odd boxes."""
    from personsearch import Query
    from personsearch.boxes import check_boxes

    values = [
        odd_value(rng) if rng.integers(9) == 0 else float(rng.uniform(-10, 80)) for _ in range(4 if rng.integers(3) else rng.integers(7))
    ]
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
        (Gallery.open, {"location": place}),
        (Gallery.exists, {"location": place}),
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
def _own_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-own-"))
    pictures = [{"id": number, "file_name": f"{number}.png", "width": 60, "height": 40, "camera": number} for number in range(3)]
    for picture in pictures:
        Image.new("RGB", (60, 40), (40, 80, 160)).save(folder / str(picture["file_name"]))
    people = [
        {
            "id": number,
            "image_id": number % 3,
            "category_id": 1,
            "bbox": [2, 3, 10 + number, 20],
            "person_id": number % 2,
            "attributes": {"occluded": False},
        }
        for number in range(6)
    ]
    content = {"images": pictures, "annotations": people, "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


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
    for one in (
        pictures,
        videos,
        evaluation,
        own_data,
        manifest,
        config,
        safetensors,
        model_folder,
        onnx,
        checkpoint,
        training_state,
        hub_names,
        gallery,
        results,
        boxes,
        options,
    )
}
