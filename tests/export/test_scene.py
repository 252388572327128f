"""Exported networks find what PyTorch finds: golden-filled ones, other sizes, and empty pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from personsearch.backends import OnnxSceneModel
from personsearch.errors import ConfigError, WeightsError
from personsearch.export import export_folder
from personsearch.export.scene import export_network
from personsearch.models import open_folder
from personsearch.models.alignps import AlignPS, AlignPSConfig
from personsearch.models.config import BackboneConfig, SceneConfig
from personsearch.models.dkd import DKD, DKDConfig
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.models.scene import SceneModel, SceneNetwork
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.models.trident import Trident, TridentConfig
from personsearch.searcher import PersonSearcher
from personsearch.training.initialise import spread_offsets
from personsearch.weights import WEIGHTS_FILE, read_config
from tests.helpers import alignps_golden, seqnet_golden

# The bounds to the authors' code, ten times its own spread between float32 and float64
BOXES, SCORES, EMBEDDINGS = 2e-3, 5e-5, 2e-5
SMALL = {"short_side": 288, "long_side": 480}
pytestmark = pytest.mark.slow


BACKBONE = BackboneConfig(name="resnet18", width=0.25)
REGIONS: dict[str, Any] = {"backbone": BACKBONE, "embedding_dim": 16, "keep_score": 0.0, "short_side": 96, "long_side": 160}
# Without group norm in the backbone, that of the towers divides by next to nothing: rounding then moves scores by 1e-3
GROUPS = BACKBONE.model_copy(update={"norm": "group"})
DENSE: dict[str, Any] = {"backbone": GROUPS, "channels": 32, "short_side": 96, "long_side": 160, "max_people": 12, "min_class_score": 0.0}
FPN = {"backbone": BACKBONE, "channels": 16, "lateral_deform": False, "output_deform": False, "aggregation": "sum"}
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "oim": (RCNN, RCNNConfig, REGIONS | {"architecture": "oim"}),
    "nae+": (RCNN, RCNNConfig, REGIONS | {"pixelwise": True}),
    "seqnet": (SeqNet, SeqNetConfig, REGIONS | SMALL),  # so large that black has cells of one value
    "trident": (Trident, TridentConfig, REGIONS),
    "dkd": (DKD, DKDConfig, REGIONS),
    "alignps": (AlignPS, AlignPSConfig, DENSE),
    "alignps of three levels": (AlignPS, AlignPSConfig, DENSE | FPN | {"levels": (3, 4, 5)}),
    "roi-alignps": (ROIAlignPS, ROIAlignPSConfig, DENSE),
    "roi-alignps, its first branch": (ROIAlignPS, ROIAlignPSConfig, DENSE | {"branch": "alignps"}),
    "roi-alignps, its second branch": (ROIAlignPS, ROIAlignPSConfig, DENSE | {"branch": "roi"}),
    "roi-alignps without people": (ROIAlignPS, ROIAlignPSConfig, DENSE | {"min_class_score": 0.9999}),
}


def build(name: str, **changes: Any) -> tuple[SceneNetwork, SceneConfig]:
    """A tiny network, the same each time; dense heads start with one score everywhere and no offsets, so they get stronger ones."""
    kind, schema, values = CASES[name]
    config = schema(**values | changes)
    torch.manual_seed(0)
    network = kind(config).eval()
    if isinstance(network, AlignPS):
        spread_offsets(network)
        with torch.no_grad():
            network.head.class_logits.weight.mul_(10)
    return network, config


def between(name: str, pictures: list[Any]) -> tuple[float, Any]:
    """A threshold below what the best of `pictures` scores, and a picture of one colour that scores less."""
    model = SceneModel(build(name)[0], name=name, fingerprint="", min_score=0)

    def best(*some: Any) -> float:
        return max(float(found.scores[0]) for found in model.detect([model.prepare(one) for one in some]))

    low, colour = min((best(np.full_like(pictures[0], value)), value) for value in (0, 117))
    high = best(*pictures)
    assert low < high - 1e-3
    return low + (high - low) / 10, np.full_like(pictures[0], colour)


def small_folder(home: Path, converted: Path) -> Path:
    (home / WEIGHTS_FILE).symlink_to(converted / WEIGHTS_FILE)
    (home / "config.json").write_text(json.dumps(read_config(converted) | SMALL))
    return home


def differences(torch_model: Any, onnx_model: Any, picture: Any) -> tuple[float, float, float, float]:
    """Greatest of boxes, scores, embeddings, and embeddings at given boxes."""
    wanted = np.array([[10, 20, 60, 150], [100, 30, 140, 120], [0, 0, 300, 230]], np.float32)
    one, two = ([model.prepare(picture)] for model in (torch_model, onnx_model))
    (ours,), (theirs,) = torch_model.detect(one), onnx_model.detect(two)
    if theirs.boxes.shape != ours.boxes.shape:
        return np.inf, np.inf, np.inf, np.inf
    # the nearest box is the same person: two whose scores differ by rounding may change places
    theirs = theirs.take(np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(axis=2).argmin(axis=1) if len(ours) else np.zeros(0, int))
    pairs = [(ours.boxes, theirs.boxes), (ours.scores, theirs.scores), (ours.embeddings, theirs.embeddings)]
    pairs.append((torch_model.embed(one, [wanted])[0], onnx_model.embed(two, [wanted])[0]))
    boxes, scores, rows, given = (float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    return boxes, scores, rows, given


def agree(found: tuple[float, float, float, float]) -> bool:
    return found[0] < BOXES and found[1] < SCORES and max(found[2:]) < EMBEDDINGS


@pytest.mark.parametrize("name", ["roi_alignps", "alignps_plus", "seqnet"])
def test_an_exported_network_finds_what_pytorch_finds(name: str, tmp_path: Path) -> None:
    golden = seqnet_golden.converted() if name == "seqnet" else alignps_golden.converted(name)
    folder = small_folder(tmp_path, golden)
    file = export_folder(folder, tmp_path / "out.onnx")
    searcher = PersonSearcher.from_pretrained(file, backend="onnx", device="cpu")
    opened, exported = open_folder(folder, "cpu"), searcher.model
    picture = alignps_golden.picture()
    assert agree(differences(opened, exported, picture))
    assert agree(differences(opened, exported, np.ascontiguousarray(picture[:200])))  # another shape of the input
    assert len(exported.detect([exported.prepare(picture)])[0].boxes) > 0
    assert exported.embed([exported.prepare(picture)], [np.zeros((0, 4), np.float32)])[0].shape == (0, exported.embedding_dim)
    assert exported.fingerprint != opened.fingerprint
    assert exported.embed_crops([picture[20:120, 30:70]]).shape == (1, exported.embedding_dim)


@pytest.mark.parametrize("name", CASES)
def test_every_network_is_exported_and_finds_nobody_too(name: str, tmp_path: Path) -> None:
    """Pictures of any size, alone and in a batch; and the comparison fails for another weight."""
    picture = alignps_golden.picture()
    odd = [picture, picture[:200], picture[:151, :233], np.ascontiguousarray(picture[:, :120])]
    splits = "keep_score" in CASES[name][1].model_fields and name != "nae+"  # whose best always scores 1
    least, quiet = between(name, odd) if splits else (0.0, picture)
    changes = {"keep_score": least} if splits else {}
    network, config = build(name, **changes)
    plain = SceneModel(network, name=name, fingerprint="", min_score=0)
    exported = OnnxSceneModel(export_network(build(name, **changes)[0], config, tmp_path / "tiny.onnx"))
    assert all(agree(differences(plain, exported, one)) for one in odd)
    batch = exported.detect([exported.prepare(one) for one in odd])
    assert [one.boxes.shape for one in batch] == [one.boxes.shape for one in plain.detect([plain.prepare(one) for one in odd])]
    assert (max(map(len, batch)) > 5) == (name != "roi-alignps without people")
    if splits:
        assert agree(differences(plain, exported, quiet))
        (empty,) = exported.detect([exported.prepare(quiet)])
        assert empty.embeddings.shape == (0, network.embedding_dim)
    with torch.no_grad():
        for one in network.parameters():
            one.mul_(1 + 0.1 * torch.rand_like(one))
    assert not all(agree(differences(plain, exported, one)) for one in odd)


def test_where_proposals_tie_rounding_decides() -> None:
    """All that PyTorch and ONNX Runtime differ in on a black picture: noise of one rounding moves PyTorch's own proposals as far.

    Not every noise does; which ones, rounding decides too.
    """
    moved = {}
    for name, picture in (("scene", alignps_golden.picture()), ("black", np.zeros((240, 320, 3), np.uint8))):
        network: Any = build("seqnet")[0]
        prepared = network.prepare(picture)
        frame = torch.tensor([[prepared.resized[1], prepared.resized[0]] * 2], dtype=torch.float32)
        with torch.inference_mode():
            c4 = network(prepared.pixels[None])
            logits, deltas = network.rpn.predict(c4)
            noises = [torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed)) * 1e-7 for seed in range(20)]
            one, *others = (
                network.rpn.select(scores, deltas, network.rpn.anchors(c4), frame)[0]
                for scores in (logits, *(logits + noise for noise in noises))  # logits are of size 0.1
            )
        moved[name] = max(float(torch.cdist(one, other).amin(dim=1).max()) for other in others)  # to the nearest: order says nothing
    assert moved["scene"] < 1 < moved["black"]


def test_what_is_no_exported_file_is_refused(tmp_path: Path) -> None:
    network, config = build("oim")
    with pytest.raises(ConfigError, match=r"ends in \.onnx"):
        export_network(network, config, tmp_path / "out.bin")
    with pytest.raises(ConfigError, match="personsearch export"):
        PersonSearcher.from_pretrained(tmp_path, backend="onnx")
    with pytest.raises(WeightsError, match="no file"):
        PersonSearcher.from_pretrained(tmp_path / "none.onnx", backend="onnx", device="cpu")
