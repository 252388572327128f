"""The small backbone; beside the authors' file in the test marked `extra`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from examples.nano.teacher import Teacher
from personsearch import images
from personsearch.models.nano.detector import pixels_of
from personsearch.models.parts.csp_darknet import Bottleneck, CrossStage, CSPDarknet, PyramidPool, _focus
from personsearch.models.parts.letterbox import letterbox
from personsearch.onnx_session import OnnxSession
from tests.helpers.bundled_files import write_yolox


def silent(network: nn.Module) -> nn.Module:
    """All weights zero: what comes out goes past the convolutions."""
    for tensor in network.parameters():
        nn.init.zeros_(tensor)
    return network


def numbers(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


def test_focus_by_hand() -> None:
    """Upper left, lower left, upper right, lower right pixel of each patch; in each of them the three colours."""
    green = torch.tensor([[0.0, 1, 2, 3], [4, 5, 6, 7]])
    patches = _focus(torch.stack([green + 10, green, green + 20])[None])
    assert patches.shape == (1, 12, 1, 2)
    assert patches[0, 1::3, 0].tolist() == [[0, 2], [4, 6], [1, 3], [5, 7]]
    assert patches[0, ::3, 0].tolist() == [[10, 12], [14, 16], [11, 13], [15, 17]]


@pytest.mark.parametrize("width", [8, 16])
def test_maps_have_the_strides_and_channels(width) -> None:
    network = CSPDarknet(width).eval()
    with torch.inference_mode():
        maps = network(torch.zeros(2, 3, 64, 96))
    assert [tuple(level.shape) for level in maps] == [(2, 4 * width, 8, 12), (2, 8 * width, 4, 6), (2, 16 * width, 2, 3)]
    assert network.channels == (4 * width, 8 * width, 16 * width)


def test_neck_follows_backbone() -> None:
    torch.manual_seed(0)
    network, pixels = CSPDarknet(8).eval(), torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        stages = network.stages(pixels)
        for output, expected in zip(network(pixels), network.neck(stages), strict=True):
            torch.testing.assert_close(output, expected, rtol=0, atol=0)
    assert [tuple(stage.shape[1:]) for stage in stages] == [(32, 8, 8), (64, 4, 4), (128, 2, 2)]


def conv(inputs: int, outputs: int, size: int = 1) -> int:
    return inputs * outputs * size * size + outputs


def depthwise(inputs: int, outputs: int) -> int:
    return inputs * 9 + inputs + conv(inputs, outputs)


def cross_stage(inputs: int, outputs: int, depth: int) -> int:
    half = outputs // 2
    return 2 * conv(inputs, half) + depth * (conv(half, half) + depthwise(half, half)) + conv(outputs, outputs)


def test_parameters_of_width_16() -> None:
    """By hand, layer by layer; the head that is not here has 103,039, and all of YOLOX-Nano 0.91 M (arXiv 2107.08430, Table 3)."""
    network = CSPDarknet(16)
    assert numbers(network.stem) == 12 * 16 * 9 + 16
    stages = [
        conv(12, 16, 3),
        depthwise(16, 32) + cross_stage(32, 32, 1),
        depthwise(32, 64) + cross_stage(64, 64, 3),
        depthwise(64, 128) + cross_stage(128, 128, 3),
        depthwise(128, 256) + conv(256, 128) + conv(4 * 128, 256) + cross_stage(256, 256, 1),
    ]
    down = conv(256, 128) + cross_stage(256, 128, 1) + conv(128, 64) + cross_stage(128, 64, 1)
    up = depthwise(64, 64) + cross_stage(128, 128, 1) + depthwise(128, 128) + cross_stage(256, 256, 1)
    assert numbers(network) == sum(stages) + down + up == 801_424


def test_the_shortcut_is_added() -> None:
    x = torch.rand(1, 4, 3, 5)
    torch.testing.assert_close(silent(Bottleneck(4, shortcut=True))(x), x)
    assert not silent(Bottleneck(4, shortcut=False))(x).any()


def test_half_of_the_channels_bypass_the_bottlenecks() -> None:
    """With an identity for `past` and for `merge` the second half is SiLU(SiLU(x)); nothing comes through the first."""
    stage = silent(CrossStage(2, 4, 1))
    stage.past[0].weight.data[:, :, 0, 0] = torch.eye(2)
    stage.merge[0].weight.data[:, :, 0, 0] = torch.eye(4)
    x = torch.rand(1, 2, 3, 3)
    output, silu = stage(x), torch.nn.functional.silu
    torch.testing.assert_close(output[:, 2:], silu(silu(x)))
    assert not output[:, :2].any()


def test_the_pool_sees_5_9_and_13_pixels() -> None:
    """A single bright pixel spreads over squares of these sides."""
    pool = silent(PyramidPool(2))
    pool.reduce[0].weight.data[0, 0] = 1
    pool.merge[0].weight.data[0, :, 0, 0] = 1
    x = torch.zeros(1, 2, 17, 17)
    x[0, 0, 8, 8] = 1
    bright = pool(x)[0, 0, 8]
    levels = bright.unique().tolist()
    assert [int((bright >= level).sum()) for level in levels] == [17, 13, 9, 5, 1]


def test_pretrained_weights_come_in_order(tmp_path: Path) -> None:
    """Every convolution has random numbers of its own, so that a wrong order gives other maps."""
    backbone, *levels = write_yolox(tmp_path / "yolox.onnx")
    teacher, pixels = Teacher(tmp_path / "yolox.onnx"), torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        for ours, theirs in zip(teacher.backbone(pixels), backbone(pixels), strict=True):
            torch.testing.assert_close(ours, theirs)
        parts = [level(maps) for level, maps in zip(levels, backbone(pixels), strict=True)]
        cells = teacher(pixels)
    torch.testing.assert_close(cells.logits.sigmoid(), torch.cat([scores for scores, _ in parts], dim=1), atol=1e-5, rtol=0)
    torch.testing.assert_close(cells.boxes, torch.cat([boxes for _, boxes in parts], dim=1))
    assert not any(tensor.requires_grad for tensor in teacher.parameters())


def test_a_file_with_too_few_convolutions_is_refused(tmp_path: Path) -> None:
    import onnx

    write_yolox(tmp_path / "yolox.onnx")
    model = onnx.load(str(tmp_path / "yolox.onnx"))
    del model.graph.node[-2:]
    onnx.save(model, str(tmp_path / "short.onnx"))
    with pytest.raises(ValueError, match="112, not 113"):
        Teacher(tmp_path / "short.onnx")


@pytest.mark.extra
def test_the_authors_file_gives_the_same_scores_and_boxes(shared: Path) -> None:
    file, size = shared / "teachers/yolox_nano_416x416.onnx", (416, 416)
    image = images.load(shared / "data/street_photos/humans_0.jpg")
    canvas = letterbox(image, (0, 0, image.shape[1], image.shape[0]), size).canvas
    pixels = pixels_of(torch.from_numpy(canvas)[None])
    rows = OnnxSession(file).run(pixels.numpy())[0][0]
    expected = rows[:, 4] * rows[:, 5]

    def scores(values: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return Teacher(file)(values).logits[0].sigmoid().numpy()

    assert expected.max() > 0.5  # there is a person
    np.testing.assert_allclose(scores(pixels), expected, atol=1e-3)  # float32 through 113 layers
    assert np.abs(scores(pixels.flip(1)) - expected).max() > 0.01  # the network expects BGR
    with torch.inference_mode():
        boxes = Teacher(file)(pixels).boxes[0].numpy()
    best = int(expected.argmax())
    stride, cells = next((s, o) for s, o in ((8, 0), (16, 52 * 52), (32, 52 * 52 + 26 * 26)) if best < o + (416 // s) ** 2)
    row, column = divmod(best - cells, 416 // stride)
    middle, half = (rows[best, :2] + (column, row)) * stride, np.exp(rows[best, 2:4]) * stride / 2
    np.testing.assert_allclose(boxes[best], [*(middle - half), *(middle + half)], atol=0.05)
