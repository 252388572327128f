"""Deterministic uint8 test images (H, W, 3), channel order as cv2.imread gives it (B, G, R)."""

import numpy as np


def synth(h, w, seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    y = np.arange(h, dtype=np.float64)[:, None]
    x = np.arange(w, dtype=np.float64)[None, :]
    cells = rng.integers(0, 256, (h // 60 + 1, w // 40 + 1, 3)).astype(np.float64)
    noise = rng.standard_normal((h, w, 3))
    blocks = np.repeat(np.repeat(cells, 60, axis=0), 40, axis=1)[:h, :w]
    img = np.empty((h, w, 3))
    for c in range(3):
        wave = 50.0 * np.sin(x / (17.0 + 5 * c) + c) * np.cos(y / (23.0 + 7 * c)) + 30.0 * np.sin((x + 2.0 * y) / (61.0 + 11 * c))
        img[:, :, c] = 0.6 * blocks[:, :, c] + 0.4 * 128.0 + wave
    img += 10.0 * noise
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)
