"""Another precision than float32: asked for by name, with galleries of its own, refused where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seqnet_golden import picture

from personsearch import PersonSearcher
from personsearch.errors import ConfigError, PersonSearchError
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import save_model

CONFIG = SeqNetConfig(backbone={"name": "resnet18", "width": 0.125}, short_side=96, long_side=160, embedding_dim=16, keep_score=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in SeqNet(CONFIG).state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(tmp_path, CONFIG.model_dump(mode="json"), tensors)
    return tmp_path


def test_bfloat16_moves_features_a_little_and_has_its_own_gallery(folder) -> None:
    exact, rough = (PersonSearcher.from_pretrained(folder, device="cpu", precision=one) for one in ("float32", "bfloat16"))
    boxes = [np.array([[10, 10, 60, 90], [60, 5, 90, 80]], np.float32)]
    one, other = (searcher.model.embed([searcher.model.prepare(picture(96, 160, 0))], boxes)[0] for searcher in (exact, rough))
    cosines = (one * other).sum(axis=1)
    assert not np.array_equal(one, other)
    assert cosines.min() > 0.98  # eight bits of mantissa
    assert rough.model.fingerprint == f"{exact.model.fingerprint}-bfloat16"


def test_where_there_is_no_such_precision(folder) -> None:
    with pytest.raises(ConfigError, match="a CPU has bfloat16"):
        PersonSearcher.from_pretrained(folder, device="cpu", precision="float16")
    with pytest.raises(ConfigError, match="leave it out for this model"):
        PersonSearcher.from_pretrained(device="cpu", precision="bfloat16")
    with pytest.raises(ConfigError, match="ONNX Runtime in float32"):
        PersonSearcher.from_pretrained("model.onnx", device="cpu", precision="bfloat16")
    with pytest.raises(ConfigError, match="leave one of them out"):
        PersonSearcher.from_pretrained(device="cpu", backend="onnx", precision="bfloat16")
    with pytest.raises(PersonSearchError, match="precision"):
        PersonSearcher.from_pretrained(folder, device="cpu", precision="int8")
