"""Compare the states of two trainings."""

from typing import Any

import torch


def assert_same(first: Any, second: Any) -> None:
    """Bit for bit, however nested."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        for pair in zip(first, second, strict=True):
            assert_same(*pair)
    else:
        assert first == second
