"""The re-identification adapter on a network whose feature is the mean of its input."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import ConfigError, WeightsError
from personsearch.models.two_step.reid_onnx import ReidEmbedder, ReidOptions
from tests.helpers.onnx_files import PERSON, reid, yolox

CROP = np.full((20, 6, 3), (51, 102, 204), np.uint8)  # 0.2, 0.4, 0.8 of 255


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_scale_mean_and_deviation_by_hand(tmp_path: Path, layout: str) -> None:
    file = reid(tmp_path / "reid.onnx", layout=layout)
    embedder = ReidEmbedder(file, ReidOptions(layout=layout, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.25)))
    assert embedder.embedding_dim == 3
    np.testing.assert_allclose(embedder.embed([CROP]), [[0.2, 0.5, 2.0]], rtol=1e-6)  # float32


def test_blue_first_and_0_to_255(tmp_path: Path) -> None:
    options = ReidOptions(channels="bgr", scale=1, mean=(4, 2, 1), std=(2, 1, 1))
    assert ReidEmbedder(reid(tmp_path / "reid.onnx"), options).embed([CROP]).tolist() == [[100, 100, 50]]


def test_defaults_are_torchreids(tmp_path: Path) -> None:
    features = ReidEmbedder(reid(tmp_path / "reid.onnx")).embed([CROP])
    np.testing.assert_allclose(features, [[(0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225]], rtol=1e-5)  # float32 sums


def test_resizing_keeps_rows_and_columns_apart(tmp_path: Path) -> None:
    crop = np.zeros((80, 40, 3), np.uint8)
    crop[:40, :, 0], crop[:, :20, 1] = 255, 255
    pixels = ReidEmbedder(reid(tmp_path / "reid.onnx"), ReidOptions(mean=(0, 0, 0), std=(1, 1, 1)))._pixels(crop)
    assert pixels[0, :, 1].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert pixels[1, 3].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("batch", [1, 4, "N"])
@pytest.mark.parametrize("count", [0, 1, 5, 33])
def test_any_number_of_crops_of_any_size(tmp_path: Path, batch: int | str, count: int) -> None:
    embedder = ReidEmbedder(reid(tmp_path / "reid.onnx", batch=batch), ReidOptions(scale=1, mean=(0, 0, 0), std=(1, 1, 1)))
    features = embedder.embed([np.full((1 + 3 * i, 1 + i % 3, 3), i, np.uint8) for i in range(count)])
    assert (features.shape, features.dtype) == ((count, 3), np.float32)
    assert features.tolist() == [[i, i, i] for i in range(count)]


def test_a_detector_file_is_refused_as_embedder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not a re-identification network: one crop should give \(1, D\), got \(1, 84, 7\)"):
        ReidEmbedder(yolox(tmp_path / "yolox.onnx", PERSON))


def test_options_that_do_not_fit_the_file(tmp_path: Path) -> None:
    fixed, free = reid(tmp_path / "fixed.onnx"), reid(tmp_path / "free.onnx", size=("H", 4))
    with pytest.raises(ConfigError, match=r'layout is "nhwc", but .* takes \(1, 3, 8, 4\)'):
        ReidEmbedder(fixed, ReidOptions(layout="nhwc"))
    with pytest.raises(ConfigError, match=r"size is \(4, 8\), but .* takes \(8, 4\)"):
        ReidEmbedder(fixed, ReidOptions(size=(4, 8)))
    with pytest.raises(ConfigError, match="takes inputs of any size; set size"):
        ReidEmbedder(free)
    assert ReidEmbedder(free, ReidOptions(size=(16, 4))).embed([CROP]).shape == (1, 3)


def test_fingerprint_depends_on_content_and_options(tmp_path: Path) -> None:
    file, copy, other = reid(tmp_path / "reid.onnx"), reid(tmp_path / "copy.onnx"), reid(tmp_path / "other.onnx", size=(4, 4))
    first = ReidEmbedder(file).fingerprint
    assert ReidEmbedder(copy).fingerprint == first
    assert len({first, ReidEmbedder(other).fingerprint, ReidEmbedder(file, ReidOptions(channels="bgr")).fingerprint}) == 3
