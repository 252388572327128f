"""The bundled embedder on PyTorch: a crop network."""

import torch

from personsearch.boxes import Array
from personsearch.models.folder import make_fast
from personsearch.models.nano.options import NanoReidOptions
from personsearch.models.nano.steps import CropEmbedder
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.options import parse


class NanoEmbedder(CropEmbedder):
    """The network as the `Embedder` of a two-step model.

    Args:
        network: Network with its weights; optimized in place and moved to `device`.
        options: Size of its crops.
        fingerprint: Digest of options and weights.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
    """

    def __init__(self, network: ReidNetwork, options: NanoReidOptions, *, fingerprint: str, device: str = "cpu") -> None:
        super().__init__(options, fingerprint=fingerprint)
        self.network = network.to(device).eval()
        make_fast(self.network, device)
        self.device = torch.device(device)

    def _rows(self, crops: Array) -> Array:
        with torch.inference_mode():
            rows: Array = self.network(torch.from_numpy(crops).permute(0, 3, 1, 2).to(self.device)).cpu().numpy()
        return rows


def crop_network(options: NanoReidOptions) -> ReidNetwork:
    """The network, with random weights.

    Raises:
        ConfigError: The options do not go together.
    """
    values = {"name": "nano", **options.model_dump(exclude={"mirrored"})}
    return ReidNetwork(parse(ReidConfig, values, "config.json: embedder"))
