"""Pictures in memory: their names, digests and pixels."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.errors import ImageError
from personsearch.sources import open_source, read_frame
from tests.helpers.pictures import encode, gradient


@pytest.mark.parametrize("one", [gradient(), encode(gradient(), "PNG"), Image.fromarray(gradient())], ids=["array", "bytes", "pil"])
def test_one_picture_in_memory(one: Any) -> None:
    source = open_source(one)
    (frame,) = source.items[0].frames()
    assert (source.roots, source.key()) == ((), None)
    assert np.array_equal(frame.pixels, gradient())
    assert source.items[0].image == f"image-000000-{source.items[0].fingerprint()[:8]}"
    assert (source.items[0].size, source.items[0].modified_ns) == (None, None)


def test_an_array_of_pictures() -> None:
    stack = np.stack([gradient(), gradient()[::-1]])
    source = open_source(stack)
    assert [np.array_equal(next(item.frames()).pixels, one) for item, one in zip(source.items, stack, strict=True)] == [True, True]


def test_arrays_are_named_by_number_and_content() -> None:
    a, b = gradient(), gradient()[::-1]
    first, again, other = (open_source(arrays) for arrays in ([a, b], [a.copy(), b.copy()], [b, a]))
    assert first.items == again.items
    assert not {item.image for item in first.items} & {item.image for item in other.items}
    assert first.items[0].fingerprint() == other.items[1].fingerprint() != first.items[1].fingerprint()
    assert open_source([a.reshape(40, 24, 3)]).items[0].fingerprint() != first.items[0].fingerprint()


def test_pixels_of_a_picture_in_memory_are_not_stored() -> None:
    with pytest.raises(ImageError, match="its pixels are not stored"):
        read_frame(open_source(gradient()).items[0].image, 0)
