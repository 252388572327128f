"""How crops of people change from step to step: shifted boxes (DKD's spatial-invariant augmentation), zero padding, random erasing."""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torchvision.transforms import RandomErasing

from personsearch.options import Settings


class ShiftRecipe(Settings):
    """How far a box moves from the true one."""

    padding: float = Field(default=10.0, ge=0)  # the paper's delta p, in pixels of the resized crop, on each side
    most: float | None = Field(default=40.0, ge=0)  # the paper's alpha, in pixels of the resized scene; None: no bound


class ErasingRecipe(Settings):
    """Random erasing (arXiv 1708.04896); the defaults are its paper's, which the strong baseline keeps."""

    share: float = Field(default=0.5, ge=0, le=1)  # of the crops that lose a rectangle
    area: tuple[float, float] = (0.02, 0.4)  # of the crop
    flattest: float = Field(default=0.3, gt=0, le=1)  # least height / width of the rectangle; the greatest is its inverse


def ranges(boxes: Tensor, recipe: ShiftRecipe, size: tuple[int, int]) -> Tensor:
    """(N, 2): r_w and r_h, how much wider and higher the loose box is than the true one.

    Args:
        boxes: (N, 4) xyxy pixels of the resized scene.
        recipe: padding and bound.
        size: (height, width) of a resized crop.

    Source: DKD, Sec. 2.3: r_h = min(2h x dp / H, alpha), r_w = min(2w x dp / W, alpha).
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    wider = 2 * sides * recipe.padding / sides.new_tensor([size[1], size[0]])
    return wider if recipe.most is None else wider.clamp(max=recipe.most)


def shifted(boxes: Tensor, recipe: ShiftRecipe, size: tuple[int, int]) -> Tensor:
    """(N, 4) boxes of the same sizes, each at a random place inside its loose box.

    The paper does not say whether a range counts once or on each side. Padding a crop of H by dp on both sides leaves a crop
    2 dp of room, which is its 2h x dp / H: so the range is all of the room, and a box moves by half of it at most. Its
    alpha is in pixels of the network's input, as its FSA divides by that one's stride.

    Source: DKD, Sec. 2.3, "Image-level" and "Feature-level spatial-invariant augmentation".
    """
    room = ranges(boxes, recipe, size)
    moves = (torch.rand_like(room) - 0.5) * room
    return boxes + moves.repeat(1, 2)


def padded(crops: Tensor, padding: int) -> Tensor:
    """(N, C, H, W) crops with `padding` zeros on every side, each cut back to its size at a random place: without context (R-1)."""
    height, width = crops.shape[2:]
    wide = F.pad(crops, (padding,) * 4)
    places = torch.randint(2 * padding + 1, (len(crops), 2)).tolist()
    cut = [one[:, top : top + height, left : left + width] for one, (top, left) in zip(wide, places, strict=True)]
    return torch.stack(cut) if cut else crops


def erased(crops: Tensor, recipe: ErasingRecipe) -> Tensor:
    """(N, C, H, W) crops, some with a rectangle of 0, the mean colour."""
    erase = RandomErasing(recipe.share, recipe.area, (recipe.flattest, 1 / recipe.flattest))
    return torch.stack([erase(one) for one in crops]) if len(crops) else crops
