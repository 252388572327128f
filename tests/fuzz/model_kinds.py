"""Cases of models: their folders, networks, checkpoints and names."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from tests.fuzz.mutate import damage, damage_json, odd_value

DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "U8", "BOOL", "X9")
HUB_PARTS = ("a", "a-b", "..", ".b", "a--c", "a.git", "", "b" * 300, "\x1b[1m", "a b", "ä", "@", "a@b", "%2e")


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


def model_folder(rng: Generator, folder: Path) -> None:
    """A model folder with a damaged, missing or swapped file: its list of files, its card, and the model."""
    from personsearch.models import open_folder
    from personsearch.weights import card, contents
    from personsearch.weights.find import find_model

    model = find_model("nano")
    place = folder / "model"
    place.mkdir()
    files = sorted(file for file in model.iterdir() if file.is_file())
    target = files[rng.integers(len(files))]
    for file in files:
        if file != target:
            (place / file.name).symlink_to(file)
    kind = rng.integers(4)
    if kind == 0:
        (place / target.name).write_bytes(files[rng.integers(len(files))].read_bytes())
    elif kind == 1:
        (place / target.name).write_bytes(damage(target.read_bytes(), rng))
    elif kind == 2:
        (place / target.name).mkdir()
    contents.model_files(contents.in_folder(place))
    assert (card.copy_with_card(place, folder / "copy") / "config.json").is_file()
    open_folder(place, "cpu")


def training_state(rng: Generator, folder: Path) -> None:
    """A damaged state and log of a training."""
    import torch

    from personsearch.training.checkpoint import Log, load_state, save_state

    save_state(folder, {"step": 3, "learner": {"weight": torch.zeros(4, 4)}, "numbers": [1.5, "x", None]})
    (folder / "log.jsonl").write_text("".join(f'{{"step": {step}, "loss": 0.5}}\n' for step in range(1, 6)))
    name = ("training.pt", "log.jsonl")[rng.integers(2)]
    (folder / name).write_bytes(damage((folder / name).read_bytes(), rng))
    state = load_state(folder)
    assert isinstance(state["step"], int)
    Log(folder, 3).write(step=4, loss=0.1)


@cache
def _manifest() -> Any:
    return json.loads((Path(__file__).parents[2] / "weights_manifest.json").read_text())
