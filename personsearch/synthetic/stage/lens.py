"""What a surveillance camera does to light: haze, exposure, colour, blur, noise, fewer pixels and JPEG."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.images import opencv

cv2 = opencv()


@dataclass(frozen=True)
class Look:
    """A camera's own rendering; the same in all its pictures."""

    exposure: float
    gamma: float
    white_balance: tuple[float, float, float]
    saturation: float
    contrast: float
    vignette: float
    blur: float  # sigma, pixels
    reduction: float  # sides are shrunk to this share and stretched again
    noise: float  # standard deviation at mid grey, 0..1
    quality: int  # of the JPEG
    haze: float  # share of the sky's colour 100 m away
    infrared: bool  # grey, as at night


def draw_look(rng: np.random.Generator) -> Look:
    """A random camera, from clean to poor."""
    poor = float(rng.beta(1.2, 2.0))
    balance = np.exp(rng.normal(0, 0.05, 3))
    return Look(
        exposure=float(np.exp(rng.normal(0, 0.18))),
        gamma=float(rng.uniform(0.85, 1.2)),
        white_balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        saturation=float(rng.uniform(0.6, 1.2)),
        contrast=float(rng.uniform(0.85, 1.2)),
        vignette=float(rng.uniform(0, 0.35)),
        blur=float(0.25 + 0.8 * poor * rng.random()),
        reduction=float(1.0 - 0.5 * poor * rng.random()),
        noise=float(0.003 + 0.025 * poor * rng.random()),
        quality=int(95 - 55 * poor * rng.random()),
        haze=float(rng.choice([0.0, rng.uniform(0.0, 0.5)])),
        infrared=bool(rng.random() < 0.03),
    )


def add_haze(color: Array, depth: Array, look: Look, sky: Array) -> Array:
    """(H, W, 3) light with the sky's colour mixed in by depth (H, W) metres."""
    if look.haze == 0.0:
        return color
    share = (1.0 - (1.0 - look.haze) ** (np.minimum(depth, 300.0) / 100.0)).astype(np.float32)[..., None]
    return np.asarray(color * (1 - share) + sky.astype(np.float32) * share)


def develop(color: Array, look: Look, rng: np.random.Generator) -> Array:
    """(H, W, 3) uint8 RGB of linear light (H, W, 3) float32, as the camera would deliver it after JPEG."""
    picture = color * np.float32(_metering(color) * look.exposure) * np.array(look.white_balance, np.float32)
    picture *= _vignette(color.shape[0], color.shape[1], look.vignette)
    picture = np.clip(picture, 0.0, 1.0) ** np.float32(look.gamma / 2.2)
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation = 0.0 if look.infrared else look.saturation
    picture = grey[..., None] + (picture - grey[..., None]) * np.float32(saturation)
    picture = 0.45 + (picture - 0.45) * np.float32(look.contrast)
    picture = _soften(picture, look, rng)
    height, width = grey.shape
    shot = rng.standard_normal((height, width), dtype=np.float32)[..., None] * np.float32(look.noise)
    chroma = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), dtype=np.float32) * np.float32(look.noise * 0.6)
    picture += shot + chroma.repeat(2, 0).repeat(2, 1)[:height, :width]
    image = (np.clip(picture, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return jpeg_decode(jpeg_encode(image, look.quality))


def jpeg_encode(image: Array, quality: int) -> Array:
    """(N,) uint8 JPEG bytes of an (H, W, 3) uint8 RGB picture."""
    return np.asarray(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def jpeg_decode(data: Array) -> Array:
    """(H, W, 3) uint8 RGB of JPEG bytes."""
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


def _metering(color: Array) -> float:
    """The gain that brings the picture's mean towards mid grey, as automatic exposure does, but not all the way."""
    mean = float(np.minimum(color, 1.5).mean())
    return float(np.clip((0.24 / max(mean, 1e-3)) ** 0.75, 0.4, 4.0))


def _vignette(height: int, width: int, strength: float) -> Array:
    """(H, W, 1) darker towards the corners."""
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return np.asarray(1.0 - np.float32(strength / 2) * (y[:, None, None] ** 2 + x[None, :, None] ** 2))


def _soften(picture: Array, look: Look, rng: np.random.Generator) -> Array:
    """Blur of the lens, now and then of motion, and the loss of a smaller sensor."""
    height, width = picture.shape[:2]
    picture = cv2.GaussianBlur(picture, (0, 0), look.blur)
    if rng.random() < 0.06:
        length = int(rng.integers(2, 6))
        kernel = np.full((1, length), 1 / length, np.float32)
        picture = cv2.filter2D(picture, -1, kernel if rng.random() < 0.8 else kernel.T)
    if look.reduction < 0.97:
        small = cv2.resize(picture, (int(width * look.reduction), int(height * look.reduction)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(picture)
