"""A model with GFN as a user of the command line has it: index, search, remove a person, export, evaluate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from personsearch import Gallery
from personsearch.cli import app as cli
from personsearch.gallery import scene_embeddings
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from personsearch.training.learners.base import tensors_of
from personsearch.weights import save_model
from tests.helpers.seqnet_golden import picture

BOX = (10, 10, 60, 110)


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if result.stdout.startswith("{") else result.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a tiny model, three pictures, and the annotations of a person in each."""
    torch.manual_seed(0)
    config = SeqNeXtConfig(
        name="tiny",
        backbone={"name": "convnext-tiny", "width": 0.125},
        short_side=160,
        long_side=256,
        embedding_dim=32,
        proposals={"after_nms": 40},
        gallery_filter={"pool": 8},
        keep_score=0.0,
        min_score=0.0,
    )
    network = SeqNeXt(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("layer_scale"):
                parameter.fill_(0.5)
    save_model(tmp_path / "model", config.model_dump(mode="json"), tensors_of(network.state_dict()))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.fromarray(picture(120, 160, number + 1)).save(pictures / f"{number}.png")
    images = [{"id": number, "file_name": f"{number}.png"} for number in range(3)]
    people = [{"image_id": number, "bbox": [10, 10, 50, 100], "person_id": 7 + (number == 2)} for number in range(3)]
    (pictures / "annotations.json").write_text(json.dumps({"images": images, "annotations": people}))
    return tmp_path


def hits_of(home: Path, model: Path, *options: object) -> dict[tuple[str, int], float]:
    """What each hit of a search was ranked by."""
    search = ("search", home / "pictures" / "0.png", home / "pictures", "--model", model, "--top-k", 500, "--json")
    result = run(*search, "--box", ",".join(map(str, BOX)), *options)
    return {(Path(hit["image"]).name, hit["row"]): hit["ranked_by"] for hit in result["hits"]}


@pytest.mark.slow
def test_search_remove_export_and_evaluate(home: Path) -> None:
    model, place = home / "model", home / "g.lance"
    report = run("index", home / "pictures", "--model", model, "--gallery", place)
    assert (report["images"], report["people"] > 30) == (3, True)
    plain, scened = (hits_of(home, model, "--gallery", place, *more) for more in ((), ("--scene-filter", "gfn")))
    factors = {name: {round(scened[hit] / plain[hit], 3) for hit in plain if hit[0] == name} for name, _ in plain}
    assert factors["0.png"] == {0.731}  # the query's own scene
    assert all(len(one) == 1 and 0.26 < min(one) < 0.7311 for name, one in factors.items() if name != "0.png")

    gallery = Gallery.open(place)
    image = next(name for name in gallery.people().images if name.endswith("1.png"))
    gallery.remove_person(image, row=0)
    people = gallery.people()
    scenes = dict(zip(dict.fromkeys(people.images.tolist()), np.abs(scene_embeddings(gallery, people)).sum(axis=1), strict=True))
    assert {Path(name).name: float(total) > 0 for name, total in scenes.items()} == {"0.png": True, "1.png": False, "2.png": True}

    run("export", model, home / "tiny.onnx")
    exported = hits_of(home, home / "tiny.onnx", "--scene-filter", "gfn")
    assert sorted(exported.values()) == pytest.approx(sorted(scened.values()), abs=1e-3)

    evaluate = ("evaluate", "--dataset", "coco", "--root", home / "pictures", "--model", model)
    measured = [run(*evaluate, *more) for more in ((), ("--scene-filter", "gfn"))]
    assert [one["search"][0]["ranked_by"] for one in measured] == ["cosine x score", "cosine x score x scene score"]
    assert measured[0]["search"][0]["queries"] == 2
