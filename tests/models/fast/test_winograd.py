import pytest
import torch
from torch import Tensor, nn

from personsearch.models.fast.winograd import OF_INPUT, OF_WEIGHT, TO_OUTPUT, WinogradConv, use_winograd


def conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def picture(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_the_matrices_convolve_a_row() -> None:
    row, weight = torch.tensor([2.0, -1.0, 3.0, 0.5, 4.0, -2.0]), torch.tensor([1.0, 2.0, -1.0])
    out = torch.tensor(TO_OUTPUT) @ ((torch.tensor(OF_WEIGHT) @ weight) * (torch.tensor(OF_INPUT) @ row))
    assert out.tolist() == pytest.approx([2 - 2 - 3, -1 + 6 - 0.5, 3 + 1 - 4, 0.5 + 8 + 2], abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (7, 7), (8, 12), (13, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_form_equals_the_convolution(size, bias) -> None:
    direct, x = conv(5, 3, bias=bias), picture(2, 5, *size)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv(direct)(x), direct(x), atol=1e-4, rtol=0)  # rounding of sums of 45 products near 1


def test_a_batch_in_parts_gives_the_same(monkeypatch) -> None:
    direct, x = conv(4, 4), picture(5, 4, 6, 9)
    with torch.no_grad():
        whole = WinogradConv(direct)(x)
        monkeypatch.setattr("personsearch.models.fast.winograd.AT_ONCE", 1)
        torch.testing.assert_close(WinogradConv(direct)(x), whole, atol=1e-5, rtol=0)  # another order of the same sums


def test_no_images_give_no_maps() -> None:
    with torch.no_grad():
        assert WinogradConv(conv(4, 3))(torch.zeros(0, 4, 7, 7)).shape == (0, 3, 7, 7)


def test_bfloat16_runs_the_direct_form() -> None:
    direct, x = conv(8, 8), picture(1, 8, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(WinogradConv(direct)(x), direct(x))


def test_only_wide_plain_convolutions_are_replaced() -> None:
    layers = [
        nn.Conv2d(256, 256, 3, padding=1),
        nn.Conv2d(256, 256, 3, padding=1, stride=2),
        nn.Conv2d(256, 256, 1),
        nn.Conv2d(8, 256, 3, padding=1),
    ]
    layers += [nn.Conv2d(256, 256, 3, padding=1, groups=2), nn.Conv2d(256, 256, 3)]
    network = nn.Sequential(*layers)
    use_winograd(network)
    assert [isinstance(layer, WinogradConv) for layer in network] == [True] + [False] * 5
