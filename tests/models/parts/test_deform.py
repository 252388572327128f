import numpy as np
import pytest
import torch
import torch.nn.functional as F

from personsearch.models.fast.deform_cpu import DeformConvCPU
from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.deform_taps import tap_neighbours

FORMS = [DeformConv.eval, DeformConv.train, DeformConvCPU]  # torchvision's, the CPU form for training, the CPU form for inference


def centre_tap(dy: float, dx: float, mask_logit: float | None = None) -> DeformConv:
    """One channel; only the middle tap counts, and it looks (dy, dx) away."""
    conv = DeformConv(1, 1, modulated=mask_logit is not None)
    conv.weight.data.zero_()[0, 0, 1, 1] = 1
    conv.conv_offset.bias.data[8], conv.conv_offset.bias.data[9] = dy, dx
    if mask_logit is not None:
        conv.conv_offset.bias.data[18:] = mask_logit
    return conv


def random_conv(inputs: int, outputs: int, *, stride: int = 1, modulated: bool = True) -> DeformConv:
    generator = torch.Generator().manual_seed(0)
    conv = DeformConv(inputs, outputs, stride=stride, modulated=modulated, bias=modulated)
    for parameter in conv.parameters():
        parameter.data.normal_(generator=generator)
    return conv


@pytest.mark.parametrize("form", FORMS)
def test_a_moved_tap_interpolates_pixels(form) -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]])
    with torch.no_grad():
        assert form(centre_tap(0, 1))(x).tolist() == [[[[2, 0], [5, 0]]]]  # right neighbour; outside is 0
        assert form(centre_tap(1, 0))(x).tolist() == [[[[3, 5], [0, 0]]]]  # y comes first
        assert form(centre_tap(0.5, 0.5))(x)[0, 0, 0, 0].item() == 2.75  # mean of the four
        assert form(centre_tap(-0.5, 0))(x)[0, 0, 0, 0].item() == 0.5  # half of it outside
        assert form(centre_tap(0, 0, mask_logit=0.0))(x).tolist() == [[[[0.5, 1], [1.5, 2.5]]]]  # sigmoid(0) = half weight


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stride", [1, 2])
def test_without_offsets_it_is_a_convolution(form, stride) -> None:
    conv = random_conv(3, 40, stride=stride, modulated=False)
    conv.conv_offset.weight.data.zero_()
    conv.conv_offset.bias.data.zero_()
    x = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        # Sums of 27 products of about 1 in another order: float32 rounding only.
        torch.testing.assert_close(form(conv)(x), F.conv2d(x, conv.weight, stride=stride, padding=1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("modulated", "stride", "batch", "outputs"), [(True, 1, 1, 64), (False, 1, 3, 40), (True, 2, 2, 5)])
def test_the_cpu_form_is_torchvisions(modulated, stride, batch, outputs) -> None:
    conv = random_conv(6, outputs, stride=stride, modulated=modulated)  # offsets of about 7 pixels: many leave the image
    x = torch.randn(batch, 6, 11, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(DeformConvCPU(conv)(x), conv.eval()(x), atol=1e-4, rtol=0)  # rounding of sums of 54 products


@pytest.mark.parametrize(("modulated", "stride"), [(True, 1), (False, 2)])
def test_training_on_a_cpu_has_torchvisions_gradients(modulated, stride) -> None:
    conv = random_conv(6, 5, stride=stride, modulated=modulated).double()
    grads = []
    for mode in (False, True):
        x = torch.randn(2, 6, 11, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
        y = conv.train(mode)(x)
        (y * torch.arange(y.numel()).view(y.shape).cos()).sum().backward()
        grads.append([x.grad, *(parameter.grad for parameter in conv.parameters())])
        conv.zero_grad()
    for plain, fast in zip(*grads, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(fast, plain, atol=1e-4 * plain.abs().max().item(), rtol=0)  # shares and sums are float32


def test_training_on_a_cpu_leaves_torchvisions_operator_alone(monkeypatch) -> None:
    def slow(*_: object, **__: object) -> None:
        raise RuntimeError("the operator ran")

    monkeypatch.setattr("personsearch.models.parts.deform.deform_conv2d", slow)
    conv, x = random_conv(3, 4), torch.zeros(1, 3, 5, 5)
    conv.train()(x)
    with pytest.raises(RuntimeError, match="the operator ran"):
        conv.eval()(x)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stride", [1, 2])
def test_no_images_give_no_maps(form, stride) -> None:
    """A deformable res5 gets no regions from an empty scene."""
    with torch.no_grad():
        assert form(random_conv(3, 40, stride=stride))(torch.zeros(0, 3, 14, 14)).shape == (0, 40, 14 // stride, 14 // stride)


def test_the_cpu_form_runs_under_bfloat16_autocast() -> None:
    conv = random_conv(6, 8)
    x = torch.randn(1, 6, 11, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast, plain = DeformConvCPU(conv)(x).float(), conv.eval()(x).float()
    error = (fast - plain).abs().mean() / plain.abs().mean()
    assert error < 0.05  # eight bits of mantissa, also in the offsets


def test_neighbours_of_a_cell_share_it() -> None:
    offset = torch.zeros(1, 18, 2, 2)
    offset[0, 9] = 0.25  # x of the middle tap
    rows, shares = tap_neighbours(offset, None, torch.Size([2, 2]), 1)
    middle = slice(4 * 4, 4 * 4 + 4)
    assert rows[0, middle].tolist() == [cell * 9 + 4 for cell in (0, 1, 2, 3)]
    assert shares[0, middle].tolist() == [0.75, 0.25, 0, 0]
    assert np.allclose(shares[3, :4], [1, 0, 0, 0])  # the top left tap of the last cell is cell 0
