"""Models of two networks: any detector with any embedder (the [D; R] of the DKD paper), or any two models."""

from personsearch.models.two_step.combined import save_combined
from personsearch.models.two_step.folder import save_two_step
from personsearch.models.two_step.model import TwoStep, set_tiles
from personsearch.models.two_step.protocols import Detector, Embedder

__all__ = ["Detector", "Embedder", "TwoStep", "save_combined", "save_two_step", "set_tiles"]
