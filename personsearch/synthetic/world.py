"""A world: numbered identities and numbered cameras, each drawn from the world's seed alone."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ConfigError, DataError
from personsearch.images import opencv
from personsearch.synthetic.body.assets import Assets, load_assets
from personsearch.synthetic.paint.raycast import Backdrop, look
from personsearch.synthetic.people.appearance import Appearance, draw_appearance, vary_one_item
from personsearch.synthetic.people.person import Person, build_person
from personsearch.synthetic.stage.camera import Camera, draw_camera
from personsearch.synthetic.stage.lens import Look, draw_look
from personsearch.synthetic.stage.scenery import Scenery, draw_scenery

cv2 = opencv()

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# every fourth identity is its neighbour but for one item
DOUBLES = 4
# streams of random numbers that must not meet
_IDENTITY, _CAMERA = range(2)


@dataclass(frozen=True)
class World:
    """What can be rendered. Two equal worlds give equal pictures.

    Attributes:
        assets: Folder of MakeHuman meshes, see `assets.load_assets`.
        seed: Seed of all identities and cameras.
        identities: Number of different people.
        cameras: Number of cameras, each with its own scenery.
        people: Fewest and most people in a scene.
        width: Width of a scene, in pixels.
        height: Height of a scene, in pixels.
        backgrounds: Folder of photographs without people; half of the cameras then look at one. None for rendered places only.
        smallest: Smallest height of a person, in pixels; people who are partly hidden show less.
    """

    assets: Path
    seed: int = 0
    identities: int = 500
    cameras: int = 40
    people: tuple[int, int] = (3, 14)
    width: int = 960
    height: int = 540
    backgrounds: Path | None = None
    smallest: float = 26

    def __post_init__(self) -> None:
        fewest, most = self.people
        if not 0 <= fewest <= most or self.identities < 1 or self.cameras < 1 or min(self.width, self.height) < 64:
            raise ConfigError(f"a world needs 0 <= fewest <= most people, identities, cameras and at least 64 x 64 pixels; got {self}")
        if self.backgrounds is not None and not background_files(self.backgrounds):
            raise DataError(f"{self.backgrounds} holds no picture ({', '.join(PICTURES)}); pass a folder of photographs without people")


@dataclass(frozen=True)
class CameraView:
    """A camera with all that stays the same in its pictures."""

    camera: Camera
    scenery: Scenery
    backdrop: Backdrop
    look: Look
    photograph: Array | None  # (H, W, 3) float32 linear light


def background_files(folder: Path) -> list[Path]:
    """The photographs of a folder, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)


def is_double(identity: int) -> bool:
    """Whether an identity differs from the one before it in a single item."""
    return identity % DOUBLES == DOUBLES - 1


def appearance(world: World, identity: int) -> Appearance:
    """How an identity of the world looks.

    Raises:
        ConfigError: the world has no such identity.
    """
    if not 0 <= identity < world.identities:
        raise ConfigError(f"identity {identity} is not in this world, which has {world.identities}, counted from 0")
    rng = np.random.default_rng((world.seed, _IDENTITY, identity))
    if is_double(identity):
        return vary_one_item(appearance(world, identity - 1), rng)
    return draw_appearance(load_assets(world.assets), rng)


@lru_cache(maxsize=64)
def person(world: World, identity: int) -> Person:
    """The mesh of an identity."""
    return build_person(appearance(world, identity), load_assets(world.assets))


@lru_cache(maxsize=16)
def view(world: World, camera: int) -> CameraView:
    """A camera of the world and the empty place before it.

    Raises:
        ConfigError: the world has no such camera.
    """
    if not 0 <= camera < world.cameras:
        raise ConfigError(f"camera {camera} is not in this world, which has {world.cameras}, counted from 0")
    rng = np.random.default_rng((world.seed, _CAMERA, camera))
    eye = draw_camera(world.width, world.height, rng)
    photograph = None
    if world.backgrounds is not None and rng.random() < 0.5:
        files = background_files(world.backgrounds)
        photograph = _photograph(files[int(rng.integers(len(files)))], world.width, world.height, rng)
    scenery = draw_scenery(rng, clutter_only=photograph is not None)
    return CameraView(eye, scenery, look(eye, scenery), draw_look(rng), photograph)


def loaded(world: World) -> Assets:
    """The assets of a world, read once per process."""
    return load_assets(world.assets)


def _photograph(path: Path, width: int, height: int, rng: np.random.Generator) -> Array:
    """A photograph cut at random to the picture's shape, as linear light."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path} cannot be read as a picture; remove it from the folder of backgrounds")
    scale = max(width / image.shape[1], height / image.shape[0]) * rng.uniform(1.0, 1.3)
    size = (max(width, int(image.shape[1] * scale)), max(height, int(image.shape[0] * scale)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = int(rng.integers(0, image.shape[1] - width + 1)), int(rng.integers(0, image.shape[0] - height + 1))
    cut = image[y : y + height, x : x + width, ::-1]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    return np.asarray((cut.astype(np.float32) / 255) ** 2.2)
