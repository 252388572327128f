"""GFN, the gallery filter network: an embedding of a whole scene, and the arithmetic that compares scenes for a person.

Source: Jaffe and Zakhor, Gallery Filter Network for Person Search (WACV 2023, arXiv 2210.12903); LukeJaffe/GFN@72e8d9e.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.boxes import Array
from personsearch.models.config import BackboneConfig
from personsearch.models.parts.heads import REGION_LEVEL, strongest
from personsearch.models.parts.layers import SHORTEST, ProjectedEmbedding
from personsearch.models.parts.resnet import LastStage, level_channels
from personsearch.options import Settings
from personsearch.ranking import SceneFilter


class GalleryFilterConfig(Settings):
    """What a config.json says about the gallery filter; the defaults are the released networks'."""

    pool: int = Field(default=56, ge=2, le=1024)  # cells along each side of the scene's map
    temperature: float = Field(default=0.2, gt=0)  # see `SceneFilter`


class GalleryFilter(nn.Module):
    """A res5 and an embedding of its own for whole scenes, and the batch norm of scenes that a person's embedding let through."""

    def __init__(self, backbone: BackboneConfig, dim: int, config: GalleryFilterConfig) -> None:
        super().__init__()
        self.config = config
        self.res5 = LastStage(backbone)
        self.embedding = ProjectedEmbedding([level_channels(backbone, REGION_LEVEL), self.res5.channels], dim)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, c4: Tensor) -> Tensor:
        """(B, D) unit rows of scenes.

        Args:
            c4: (B, C, H, W), stride 16, of the padded input: another padding gives another row.
        """
        if self.training:  # batch norm needs them all
            return self._row(c4)
        # Image by image: the map that is embedded may be larger than the scene's own
        return torch.cat([self._row(one) for one in torch.split(c4, 1)])

    def fuse(self, scenes: Tensor, people: Tensor) -> Tensor:
        """(I, Q, D), what each of (Q, D) people lets through of each of (I, D) scenes, for training; a search uses `arithmetic`."""
        gates = torch.sigmoid(F.normalize(people, eps=SHORTEST) / self.config.temperature)
        gated = F.normalize(scenes, eps=SHORTEST)[:, None] * gates[None]
        fused: Tensor = self.norm(gated.flatten(0, 1))
        return fused.view_as(gated)

    def _row(self, c4: Tensor) -> Tensor:
        cells = F.adaptive_max_pool2d(c4.float(), self.config.pool)
        row: Tensor = self.embedding([strongest(cells), strongest(self.res5(cells))])
        return row

    def arithmetic(self) -> SceneFilter:
        """What a search compares scenes with."""
        norm = self.norm
        scale = norm.weight.detach() / torch.sqrt(norm.get_buffer("running_var") + norm.eps)
        shift = norm.bias.detach() - norm.get_buffer("running_mean") * scale
        return SceneFilter(_numpy(scale), _numpy(shift), self.config.temperature)


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy()
    return array
