"""Adam for most tensors, and steps of equal length in all directions for matrices: small networks learn a map in fewer steps."""

from typing import Any

import torch
from torch import Tensor

KEEP = 0.95  # of the mean gradient of a matrix, per step
POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # of the iteration that makes all singular values about 1
ITERATIONS = 5
TINY = 1e-7


class MuonAdam(torch.optim.AdamW):
    """AdamW, but groups with `matrices=True` take Muon's steps: the mean gradient with all its singular values set to about 1.

    A convolution's weight is a matrix of its outputs. The weights decay as the rate says, relative to the group's `weight_decay`.

    Source: Jordan et al., Muon (kellerjordan.github.io/posts/muon).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is ever given
        """Change the tensors that have a gradient."""
        matrices = [group for group in self.param_groups if group.get("matrices")]
        for group in matrices:
            for tensor in group["params"]:
                if tensor.grad is not None:
                    self._turn(tensor, group)
        others = [group for group in self.param_groups if not group.get("matrices")]
        everything, self.param_groups = self.param_groups, others
        super().step()
        self.param_groups = everything

    def _turn(self, tensor: Tensor, group: dict[str, Any]) -> None:
        state = self.state[tensor]
        if not state:
            state |= {"mean": torch.zeros_like(tensor), "step": torch.zeros(())}  # AdamW asks for a step when it loads a state
        mean = state["mean"]
        mean.lerp_(tensor.grad, 1 - KEEP)
        ahead = torch.lerp(tensor.grad, mean, KEEP).flatten(1)  # type: ignore[arg-type]  # the caller has looked
        wide = max(1.0, len(ahead) / ahead.shape[1]) ** 0.5
        tensor.mul_(1 - group["lr"] * group["weight_decay"]).sub_((group["lr"] * wide * levelled(ahead)).view_as(tensor))


def levelled(matrix: Tensor) -> Tensor:
    """A matrix (N, M) with the same singular vectors, whose singular values are between about 0.7 and 1.2."""
    a, b, c = POLYNOMIAL
    upright = len(matrix) > matrix.shape[1]
    x = (matrix.T if upright else matrix) / (matrix.norm() + TINY)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.T if upright else x
    return result
