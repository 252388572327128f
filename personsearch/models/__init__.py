"""Models: one file per paper, layers they share in `parts`, faster forms in `fast`, the bundled model in `nano`."""

from personsearch.models.open import ARCHITECTURES, open_folder

__all__ = ["ARCHITECTURES", "open_folder"]
