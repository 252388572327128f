"""Two-step models: any detector with any embedder (the [D; R] of the DKD paper)."""

from personsearch.models.two_step.model import TwoStep, save_two_step

__all__ = ["TwoStep", "save_two_step"]
