"""The bundled model: its detector on networks with known cells, its embedder, its folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.nano import steps
from personsearch.models.nano.detector import (
    CellPredictions,
    NanoDetector,
    NanoHead,
    NanoNetwork,
    cell_boxes,
    pixels_of,
)
from personsearch.models.nano.embedder import NanoEmbedder, crop_network
from personsearch.models.nano.model import DETECTOR, EMBEDDER, build
from personsearch.models.nano.steps import resize, resized
from personsearch.models.two_step import TwoStep
from tests.helpers.nano_models import CONFIG, OPTIONS, REID, lively, tensors, write
from tests.helpers.pictures import gradient

GREY = np.full((60, 90, 3), 128, np.uint8)


def make_detector(network: nn.Module | None = None, **changes) -> NanoDetector:
    options = OPTIONS.model_copy(update=changes)
    return NanoDetector(network or lively(NanoNetwork(options)), options, fingerprint="x")


def detect(detector: NanoDetector, *pictures: Array) -> list[tuple[Array, Array]]:
    return detector.detect([detector.prepare(picture) for picture in pictures])


class Known(nn.Module):
    """A network that predicts the same cells for every image."""

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        super().__init__()
        self.boxes, self.scores = torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores)

    def forward(self, pixels: Tensor) -> CellPredictions:
        return CellPredictions(self.scores.logit().repeat(len(pixels), 1), self.boxes.repeat(len(pixels), 1, 1))


# ---- the network ----


def test_the_network_predicts_cells_of_all_levels() -> None:
    network = NanoNetwork(OPTIONS).eval()
    with torch.inference_mode():
        cells = network(torch.zeros(2, 3, 64, 96))
    count = 8 * 12 + 4 * 6 + 2 * 3
    assert (cells.logits.shape, cells.boxes.shape) == ((2, count), (2, count, 4))
    assert (cells.boxes[..., 2:] > cells.boxes[..., :2]).all()


@pytest.mark.parametrize(("activation", "layer"), [("silu", nn.SiLU), ("hardswish", nn.Hardswish), ("relu", nn.ReLU)])
def test_a_network_has_the_activation_of_its_options(activation: str, layer: type[nn.Module]) -> None:
    network = NanoNetwork(OPTIONS.model_copy(update={"activation": activation}))
    assert {type(module) for module in network.modules()} & {nn.SiLU, nn.Hardswish, nn.ReLU} == {layer}


def test_boxes_of_cells_by_hand() -> None:
    """Cells of stride 8 in one row: a centre is the corner of the cell plus the shift, a side is exp of the prediction."""
    predicted = torch.zeros(1, 4, 1, 2)
    predicted[0, :, 0, 1] = torch.tensor([0.5, 0.25, np.log(2), np.log(4)])
    assert cell_boxes(predicted, 8)[0].numpy() == pytest.approx(np.array([[-4, -4, 4, 4], [12 - 8, 2 - 16, 12 + 8, 2 + 16]]), abs=1e-5)


def test_a_huge_side_stays_finite() -> None:
    assert cell_boxes(torch.full((1, 4, 2, 2), 1e4), 32).isfinite().all()


def test_scores_start_at_the_prior() -> None:
    head = NanoHead(4, 8, 8)
    nn.init.zeros_(head.score.weight)
    with torch.inference_mode():
        logits, _ = head(torch.rand(1, 4, 2, 3))
    torch.testing.assert_close(logits.sigmoid(), torch.full((1, 6), 0.01))


def test_pixels_are_blue_green_red() -> None:
    canvas = torch.tensor([[[1, 2, 3], [4, 5, 6]]], dtype=torch.uint8)[None]
    assert pixels_of(canvas).tolist() == [[[[3, 6]], [[2, 5]], [[1, 4]]]]
    assert pixels_of(canvas).dtype == torch.float32


# ---- the detector ----


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (64, 96), (500, 701), (1080, 1920), (9, 400), (33, 33), (2000, 8)])
def test_resizing_keeps_the_aspect_ratio_and_gives_whole_cells(size) -> None:
    view = resized(np.zeros((*size, 3), np.uint8), 64, 96)
    assert (view.canvas.dtype, view.image) == (np.uint8, size)
    assert all(side % 32 == 0 and side >= 32 for side in view.canvas.shape[:2])
    assert min(view.canvas.shape[:2]) <= 64
    assert max(view.canvas.shape[:2]) <= 96
    height, width = view.resized
    assert height <= view.canvas.shape[0]
    assert width <= view.canvas.shape[1]
    # at most one rounded pixel on either side
    assert abs(height * size[1] - width * size[0]) <= max(size)


def test_the_rest_of_the_canvas_is_grey() -> None:
    view = resized(np.zeros((50, 96, 3), np.uint8), 64, 96)
    assert (view.canvas.shape, view.resized) == ((64, 96, 3), (50, 96))
    assert (not view.canvas[:50].any(), (view.canvas[50:] == 114).all()) == (True, True)


def test_a_large_image_is_averaged() -> None:
    """Fine stripes become grey; picking single pixels would leave black and white."""
    stripes = np.zeros((512, 768, 3), np.uint8)
    stripes[:, ::2] = 255
    canvas = resized(stripes, 64, 96).canvas
    assert canvas.shape == (64, 96, 3)
    assert np.abs(canvas.astype(int) - 128).max() <= 1


def test_boxes_return_to_original_pixels() -> None:
    """400 x 200 pixels become 96 x 48; the whole of it, and its lower right quarter."""
    detector = make_detector(Known([[0, 0, 96, 48], [48, 24, 96, 48], [0, 0, 5, 5]], [0.9, 0.8, 0.05]))
    ((boxes, scores),) = detect(detector, np.zeros((200, 400, 3), np.uint8))
    np.testing.assert_allclose(boxes, [[0, 0, 400, 200], [200, 100, 400, 200]], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.9, 0.8], rtol=1e-5)
    assert (boxes.dtype, scores.dtype) == (np.float32, np.float32)


def test_overlapping_boxes_are_one_person_and_the_best_comes_first() -> None:
    """The first two overlap by 24 of 40: IoU 0.6."""
    known = Known([[0, 0, 32, 32], [8, 0, 40, 32], [64, 0, 80, 32]], [0.8, 0.9, 0.95])
    for nms_iou, expected in ((0.5, [0.95, 0.9]), (0.65, [0.95, 0.9, 0.8])):
        np.testing.assert_allclose(detect(make_detector(known, nms_iou=nms_iou), GREY)[0][1], expected, rtol=1e-5)


def test_detections_do_not_depend_on_the_batch() -> None:
    detector, noise = make_detector(), np.random.default_rng(0)
    pictures = [noise.integers(0, 255, size, dtype=np.uint8) for size in ((60, 90, 3), (90, 60, 3), (60, 90, 3), (64, 64, 3))]
    together = detect(detector, *pictures)
    for picture, (boxes, scores) in zip(pictures, together, strict=True):
        ((alone, alone_scores),) = detect(detector, picture)
        assert len(alone) > 0
        np.testing.assert_allclose(boxes, alone, atol=1e-3)
        np.testing.assert_allclose(scores, alone_scores, atol=1e-5)
    assert not np.array_equal(together[0][1], together[2][1])  # the image matters


def test_no_images_and_no_people() -> None:
    assert make_detector().detect([]) == []
    ((boxes, scores),) = detect(make_detector(score_threshold=1.0), GREY)
    assert (boxes.shape, scores.shape, boxes.dtype) == ((0, 4), (0,), np.float32)


def test_an_untrained_network_detects_nothing_on_grey() -> None:
    torch.manual_seed(0)
    assert [len(scores) for _, scores in detect(make_detector(NanoNetwork(OPTIONS)), GREY)] == [0]


# ---- the embedder ----


def make_embedder(**changes) -> NanoEmbedder:
    options = REID.model_copy(update=changes)
    return NanoEmbedder(lively(crop_network(options)), options, fingerprint="x")


def test_rows_are_the_network_output_for_normalised_crops() -> None:
    """A crop of the network's own size is not resized; the mean and deviation are those of ImageNet."""
    crop = np.random.default_rng(0).integers(0, 255, (32, 16, 3), dtype=np.uint8)
    plain = lively(crop_network(REID))
    values = (crop / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    with torch.inference_mode():
        expected = plain(torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]).numpy()
    rows = make_embedder().embed([crop])
    np.testing.assert_allclose(rows, expected, atol=1e-4)  # batch norms are merged into the convolutions
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert np.abs(make_embedder().embed([crop[..., ::-1]]) - expected).max() > 1e-3  # RGB, not BGR


def test_a_mirrored_crop_has_the_same_row_if_both_are_looked_at() -> None:
    crop = np.random.default_rng(0).integers(0, 255, (32, 16, 3), dtype=np.uint8)
    once, both = make_embedder(), make_embedder(mirrored=True)
    sums = once.embed([crop]) + once.embed([crop[:, ::-1]])
    np.testing.assert_allclose(both.embed([crop]), sums / np.linalg.norm(sums), atol=1e-6)
    np.testing.assert_allclose(both.embed([crop[:, ::-1]]), both.embed([crop]), atol=1e-6)
    assert np.abs(once.embed([crop]) - once.embed([crop[:, ::-1]])).max() > 1e-3


def test_rows_do_not_depend_on_the_batch(monkeypatch) -> None:
    crops = [gradient(40 + 5 * k, 20 + k)[:, :: (-1) ** k] for k in range(5)]
    embedder = make_embedder()
    together = embedder.embed(crops)
    monkeypatch.setattr(steps, "CROPS_AT_ONCE", 2)
    np.testing.assert_allclose(embedder.embed(crops), together, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([embedder.embed([crop]) for crop in crops]), together, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_no_crops() -> None:
    rows = make_embedder().embed([])
    assert (rows.shape, rows.dtype) == ((0, 24), np.float32)


def test_a_large_crop_is_averaged_and_every_crop_gets_the_size() -> None:
    checks = np.indices((128, 64)).sum(axis=0)[..., None].repeat(3, axis=2) % 2 * 255
    assert (np.abs(resize(checks.astype(np.uint8), 32, 16).astype(int) - 128) <= 1).all()
    for size in ((1, 1), (5, 200), (200, 5), (32, 16)):
        assert resize(np.zeros((*size, 3), np.uint8), 32, 16).shape == (32, 16, 3)


# ---- the folder ----


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("small"))


def test_a_float16_folder_gives_the_saved_model(folder: Path) -> None:
    model = open_folder(folder, "cpu")
    assert isinstance(model, TwoStep)
    assert (model.name, model.min_score, model.embedding_dim) == ("small", 0.2, 24)
    network, picture = lively(build(CONFIG)[0]), gradient(60, 90)
    for tensor in network.state_dict().values():
        tensor.copy_(tensor.half())
    ((boxes, scores),) = detect(make_detector(network), picture)
    ((opened, opened_scores),) = detect(model.detector, picture)
    assert len(boxes) > 0
    np.testing.assert_allclose(opened, boxes, atol=1e-2)
    np.testing.assert_allclose(opened_scores, scores, atol=1e-4)


def test_a_searcher_of_the_folder_detects_and_embeds(folder: Path) -> None:
    searcher, picture = PersonSearcher.from_pretrained(folder, device="cpu"), gradient(60, 90)
    people = searcher.detect(picture)
    assert len(people.boxes) > 0
    assert people.embeddings.shape == (len(people.boxes), 24)
    assert (people.boxes >= 0).all()
    assert (people.boxes <= (90, 60, 90, 60)).all()
    rows = searcher.embed(picture, people.boxes[:2])
    np.testing.assert_allclose(rows, people.embeddings[:2], atol=1e-4)


@pytest.mark.slow
def test_the_fingerprint_follows_options_and_weights(folder: Path, tmp_path: Path) -> None:
    other = tensors()
    other[f"{EMBEDDER}neck.0.weight"] = other[f"{EMBEDDER}neck.0.weight"] + np.float16(0.5)
    changed = [
        write(tmp_path / "weights", other),
        write(tmp_path / "size", config=CONFIG.model_copy(update={"detector": OPTIONS.model_copy(update={"long_side": 128})})),
        write(tmp_path / "iou", config=CONFIG.model_copy(update={"detector": OPTIONS.model_copy(update={"nms_iou": 0.4})})),
        write(tmp_path / "crop", config=CONFIG.model_copy(update={"embedder": REID.model_copy(update={"height": 64})})),
    ]
    prints = {open_folder(path, "cpu").fingerprint for path in (folder, *changed)}
    assert len(prints) == 5
    renamed = write(tmp_path / "name", config=CONFIG.model_copy(update={"name": "other", "trained_on": "x"}))
    assert open_folder(renamed, "cpu").fingerprint in prints


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{DETECTOR}more.weight": np.ones(1, np.float16)}, r"1 unexpected \(.*more.weight"),
        ({"elsewhere.weight": np.ones(1, np.float16)}, r"unexpected.*elsewhere.weight"),
        ({f"{DETECTOR}heads.0.box.bias": np.ones(5, np.float16)}, r"of another shape \(.*heads.0.box.bias \(5,\), not \(4,\)"),
        ({f"{EMBEDDER}neck.0.weight": None}, r"1 missing \(.*neck.0.weight"),
    ],
)
def test_wrong_tensors_are_refused(change, message, tmp_path: Path) -> None:
    arrays = {name: array for name, array in (tensors() | change).items() if array is not None}
    with pytest.raises(WeightsError, match=message):
        open_folder(write(tmp_path, arrays), "cpu")


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace("nms_iou", "nms_io"))
    with pytest.raises(ConfigError, match=r"detector\.nms_io"):
        open_folder(tmp_path, "cpu")
