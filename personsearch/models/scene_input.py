"""The input of a network for whole scenes as a NumPy array: what each family of papers does to a picture before its network."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.images import opencv

cv2 = opencv()

RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, for values 0..1
CAFFE_MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # of RGB, for values 0..255
PAD_TO = 32


@dataclass(frozen=True)
class SceneArray:
    """A network's input for one image."""

    pixels: Array  # (3, H, W) float32, normalised, zero-padded right and bottom
    resized: tuple[int, int]  # (height, width) after resizing, before padding
    original: tuple[int, int]  # (height, width) of the image


def dense_array(image: Array, short_side: int, long_side: int) -> SceneArray:
    """Resize an RGB uint8 image to fit short and long side (OpenCV, on uint8), subtract the mean, swap to BGR, pad to a multiple of 32."""
    original = (image.shape[0], image.shape[1])
    factor = min(long_side / max(original), short_side / min(original))
    height, width = (max(1, int(side * factor + 0.5)) for side in original)
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return _padded((resized - CAFFE_MEAN)[:, :, ::-1], original)


def region_array(image: Array, short_side: int, long_side: int) -> SceneArray:
    """Resize an RGB uint8 image to fit short and long side (bilinear on float), normalise, pad with zeros to a multiple of 32.

    `rcnn.region_input` does the same in PyTorch, up to rounding.
    """
    original = (image.shape[0], image.shape[1])
    height, width = region_size(original, short_side, long_side)
    resized = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    std = np.array(RGB_STD, np.float32)
    return _padded(resized * (1 / (255 * std)) - np.array(RGB_MEAN, np.float32) / std, original)


def region_size(original: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    """(height, width) of an image after resizing, rounded down."""
    factor = min(short_side / min(original), long_side / max(original))
    return max(1, int(original[0] * factor)), max(1, int(original[1] * factor))


def window_array(image: Array, short_side: int, long_side: int) -> SceneArray:
    """Normalise an RGB uint8 image, resize it to fit short and long side (OpenCV's bilinear on float), pad with zeros to a multiple of 32.

    Unlike `region_array` it rounds the new size, and the normalisation comes first and is computed in float64.
    """
    original = (image.shape[0], image.shape[1])
    shortest, longest = min(original), max(original)
    factor = long_side / longest if longest * (short_side / shortest) > long_side else short_side / shortest
    height, width = (max(1, round(side * factor)) for side in original)
    pixels = ((image / 255.0 - RGB_MEAN) / RGB_STD).astype(np.float32)
    if factor != 1:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return _padded(pixels, original)


def scene_of_crop(crop: Array) -> tuple[Array, Array]:
    """An artificial scene around a crop, for networks that were trained on scenes only.

    The crop is in the middle of a canvas of the crop's mean colour. The canvas is three times as high as the crop and
    has the 5:3 shape of the papers' 1500x900 inputs, so that the person has a usual size (a third of the height).

    Args:
        crop: Image of one person, (h, w, 3) uint8.

    Returns:
        The scene, uint8 (3h, W, 3) with W = max(5h, w), and the crop's box in it, (4,) float32 xyxy.
    """
    height, width = crop.shape[:2]
    scene = np.empty((3 * height, max(5 * height, width), 3), np.uint8)
    scene[:] = crop.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    top, left = height, (scene.shape[1] - width) // 2
    scene[top : top + height, left : left + width] = crop
    return scene, np.array([left, top, left + width, top + height], np.float32)


def _padded(resized: Array, original: tuple[int, int]) -> SceneArray:
    """A resized image (h, w, 3) as channels first, zero-padded right and bottom."""
    height, width = resized.shape[:2]
    pixels = np.zeros((3, -height % PAD_TO + height, -width % PAD_TO + width), np.float32)
    pixels[:, :height, :width] = resized.transpose(2, 0, 1)
    return SceneArray(pixels, (height, width), original)
