"""Random damage to bytes and to JSON values, reproducible from a generator."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator

WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)

# Values of the wrong kind, out of range, or absurdly large
ODD_VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: -1,
    lambda: 0,
    lambda: 10**400,
    lambda: 1e308,
    lambda: math.nan,
    lambda: -math.inf,
    lambda: "",
    lambda: "x",
    lambda: "a" * 5000,
    lambda: "\x1b[31m\n\x00",
    lambda: "\ud800",
    lambda: b"\xff\x00",
    list,
    dict,
    lambda: [None],
    lambda: [[[]]],
    lambda: {"x": {"y": 1}},
    lambda: object(),
    lambda: 2.5,
    lambda: np.float64(2.5),
    lambda: np.zeros((0, 4)),
    lambda: np.zeros((2, 3, 4, 5)),
    lambda: np.array(["a", None], object),
)


def odd_value(rng: Generator) -> Any:
    """One of `ODD_VALUES`."""
    return ODD_VALUES[rng.integers(len(ODD_VALUES))]()


def damage(data: bytes, rng: Generator) -> bytes:
    """The bytes with one to four damages: flipped, cut, doubled, inserted or overwritten parts."""
    for _ in range(rng.integers(1, 5)):
        data = DAMAGES[rng.integers(len(DAMAGES))](bytearray(data) or bytearray(b"\x00"), rng)
    return data


def _flip(data: bytearray, rng: Generator) -> bytes:
    for at in rng.integers(len(data), size=rng.integers(1, 20)):
        data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _flip_head(data: bytearray, rng: Generator) -> bytes:
    at = int(rng.integers(min(len(data), 256)))
    data[at] = int(rng.integers(256))
    return bytes(data)


def _word(data: bytearray, rng: Generator) -> bytes:
    at = int(rng.integers(max(1, min(len(data), 2048) - 4)))
    order = "little" if rng.integers(2) else "big"
    data[at : at + 4] = WORDS[rng.integers(len(WORDS))].to_bytes(4, order)  # type: ignore[arg-type]
    return bytes(data)


def _cut(data: bytearray, rng: Generator) -> bytes:
    return bytes(data[: rng.integers(len(data) + 1)])


def _span(data: bytearray, rng: Generator) -> tuple[int, int]:
    first, last = sorted(rng.integers(len(data) + 1, size=2).tolist())
    return first, min(last, first + 4096)


def _drop(data: bytearray, rng: Generator) -> bytes:
    first, last = _span(data, rng)
    return bytes(data[:first] + data[last:])


def _double(data: bytearray, rng: Generator) -> bytes:
    first, last = _span(data, rng)
    return bytes(data[:last] + data[first:last] + data[last:])


def _insert(data: bytearray, rng: Generator) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return bytes(data[:at] + rng.bytes(int(rng.integers(1, 300))) + data[at:])


def _fill(data: bytearray, rng: Generator) -> bytes:
    first, last = _span(data, rng)
    data[first:last] = bytes([0xFF * int(rng.integers(2))]) * (last - first)
    return bytes(data)


DAMAGES = (_flip, _flip_head, _word, _cut, _drop, _double, _insert, _fill)


def damage_json(value: Any, rng: Generator) -> bytes:
    """JSON text of the value with up to three fields changed, removed or added, or with its text damaged or in another encoding."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(4)):
        _change_field(value, rng)
    text = json.dumps(value, default=repr).encode("utf-8", "surrogatepass")
    kind = rng.integers(24)
    if kind == 0:
        return damage(text, rng)
    if kind == 1:
        return b"\xef\xbb\xbf" + text
    if kind == 2:
        return text.decode("utf-8", "replace").encode("utf-16")
    if kind == 3:
        return b"[" * 100_000 + text
    return text


def _change_field(value: Any, rng: Generator) -> None:
    """Walk to a random field and change it."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        child = value[key]
        if isinstance(child, dict | list) and child and rng.integers(12):
            value = child
            continue
        if isinstance(value, dict) and rng.integers(4) == 0:
            del value[key]
        elif isinstance(value, dict) and rng.integers(6) == 0:
            value["added"] = odd_value(rng)
        elif isinstance(child, int | float) and not isinstance(child, bool) and rng.integers(2):
            value[key] = child + (-1, 1, 0.5, 100)[rng.integers(4)]  # often still valid
        elif isinstance(value, list) and rng.integers(3) == 0:
            value.append(copy.deepcopy(child))
        else:
            value[key] = odd_value(rng)
        return
