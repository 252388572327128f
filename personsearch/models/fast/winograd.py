"""Wide 3x3 convolutions for CPUs with a quarter of the products: Winograd's F(4x4, 3x3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTPUTS, INPUTS = 4, 6  # along each side of a tile
MIN_CHANNELS = 256  # from here on the saved products cost more than the transforms
AT_ONCE = 1 << 22  # numbers of a transformed input; 16 MB stay in the cache

# Lavin and Gray's matrices: transforms of a row of inputs, of a row of weights, and back to a row of outputs
OF_INPUT = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
OF_WEIGHT = ((1 / 4, 0, 0), (-1 / 6,) * 3, (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))
TO_OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


class WinogradConv(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1, for inference in float32.

    A tile of 4 x 4 outputs takes 36 products for each pair of channels, where the direct form takes 144. Rounding errors are
    about four times as large. Under autocast the transforms would lose digits, so the direct form runs.

    Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (arXiv 1509.09308), Sec. 4.3, nested for two dimensions.
    """

    to_tile: Tensor
    from_tile: Tensor
    transformed: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.direct = conv
        row, back = torch.tensor(OF_INPUT), torch.tensor(TO_OUTPUT)
        weight = torch.tensor(OF_WEIGHT, dtype=torch.float64)
        transformed = torch.einsum("yi,xj,ocij->yxco", weight, weight, conv.weight.detach().double())
        self.register_buffer("to_tile", torch.kron(row, row), persistent=False)
        self.register_buffer("from_tile", torch.kron(back, back), persistent=False)
        self.register_buffer("transformed", transformed.flatten(0, 1).float().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H, W) of (B, inputs, H, W), in channels-last memory."""
        if torch.is_autocast_enabled("cpu"):
            output: Tensor = self.direct(x)
            return output
        numbers = x[:1].numel() * INPUTS**2 // OUTPUTS**2
        outputs = [self._tiles(part) for part in torch.split(x, max(1, AT_ONCE // max(1, numbers)))]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _tiles(self, x: Tensor) -> Tensor:
        (batch, channels, height, width), outputs = x.shape, self.transformed.shape[2]
        down, across = -(-height // OUTPUTS), -(-width // OUTPUTS)
        around = (0, 0, 1, across * OUTPUTS + 1 - width, 1, down * OUTPUTS + 1 - height)
        tiles = F.pad(x.permute(0, 2, 3, 1), around).unfold(1, INPUTS, OUTPUTS).unfold(2, INPUTS, OUTPUTS)
        tiles = self.to_tile @ tiles.permute(4, 5, 0, 1, 2, 3).reshape(INPUTS**2, -1)
        products = torch.bmm(tiles.view(INPUTS**2, -1, channels), self.transformed)
        maps = (self.from_tile @ products.view(INPUTS**2, -1)).view(OUTPUTS, OUTPUTS, batch, down, across, outputs)
        maps = maps.permute(2, 3, 0, 4, 1, 5).reshape(batch, down * OUTPUTS, across * OUTPUTS, outputs)[:, :height, :width]
        if self.direct.bias is not None:
            maps += self.direct.bias
        return maps.permute(0, 3, 1, 2)


def use_winograd(network: nn.Module) -> None:
    """Replace every wide 3x3 convolution by this form, in place; batch norms must have been merged."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and _pays(child):
                setattr(module, name, WinogradConv(child))


def _pays(conv: nn.Conv2d) -> bool:
    plain = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
    return plain and min(conv.in_channels, conv.out_channels) >= MIN_CHANNELS
