"""One posed person seen by a camera: colour, depth and silhouette in a window of the picture."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.kernels.raster import rasterize
from personsearch.synthetic.kernels.textures import noise_tile
from personsearch.synthetic.paint.shading import MaterialTables, ScreenMesh, shade
from personsearch.synthetic.people.person import Person, PosedPerson
from personsearch.synthetic.stage.camera import Camera
from personsearch.synthetic.stage.lighting import Light, ShadowMap

SAMPLES = 2  # per pixel and side


@dataclass(frozen=True)
class Sprite:
    """A person drawn at `SAMPLES` samples per pixel and side; the window may leave the picture."""

    left: int  # first column and row of the window, samples of the picture
    top: int
    color: Array  # (h, w, 3) float32 linear light, valid where `drawn`
    depth: Array  # (h, w) float32, -1 / metres; inf where nothing was drawn
    drawn: Array  # (h, w) bool: the whole silhouette

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Extents of the silhouette, xyxy pixels of the picture, also where it leaves the picture."""
        return mask_box(self.drawn, self.left, self.top)


def mask_box(mask: Array, left: int = 0, top: int = 0) -> tuple[float, float, float, float]:
    """The extents of a mask of samples in pixels, xyxy; zeros when it is empty.

    Args:
        mask: (h, w) bool.
        left: Column of the mask's first sample in the picture's samples.
        top: Row of the same.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    ends = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
    x1, y1, x2, y2 = (float(end) / SAMPLES for end in ends)
    return x1, y1, x2, y2


def draw_sprite(person: Person, posed: PosedPerson, at: Array, camera: Camera, light: Light, shadow: ShadowMap) -> Sprite:
    """Render a person at position `at` (3,); all of the person must be in front of the camera."""
    world = posed.vertices + at
    screen = camera.project(world, SAMPLES)
    left, top = (int(np.floor(screen[:, axis].min())) for axis in (0, 1))
    right, bottom = (int(np.ceil(screen[:, axis].max())) for axis in (0, 1))
    screen[:, :2] -= (left, top)
    shape = (max(bottom - top, 1), max(right - left, 1))
    depth, nearest = np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int32)
    rasterize(screen, person.triangles, depth, nearest)
    color = np.zeros((*shape, 3), np.float32)
    mesh = ScreenMesh(screen, world, posed.normals, person.flat, person.limb, person.triangles, person.material, person.part)
    tables = MaterialTables(person.materials, person.tiles, noise_tile())
    shade(mesh, tables, light.arrays(shadow, camera.position), nearest, color)
    return Sprite(left, top, color, depth, nearest >= 0)
