"""A folder of rendered scenes: JPEG files and one annotation file that COCO tools read."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from personsearch.errors import ConfigError
from personsearch.images import opencv
from personsearch.synthetic.scene import RenderedScene, generate_scene
from personsearch.synthetic.stage.lens import jpeg_encode
from personsearch.synthetic.world import World, loaded

cv2 = opencv()

log = logging.getLogger(__name__)
QUALITY = 95  # the lens has its own, lower JPEG; this one only stores
CHUNK = 4


def generate_dataset(world: World, out: Path, scenes: int, *, workers: int = 1, first: int = 0) -> Path:
    """Render scenes into `out/images` and describe them in `out/annotations.json`.

    The file is COCO's: `images` (`id`, `file_name`, `width`, `height`, and our `camera`), `annotations`
    (`id`, `image_id`, `category_id`, `bbox` x y w h of the whole person cut to the picture, `area`, `iscrowd`, and our
    `person_id`, `camera`, `visibility` 0..1, `visible_bbox` x y w h) and `categories` (1 = person).

    Args:
        world: Identities, cameras and size.
        out: Folder, made if missing.
        scenes: Number of scenes.
        workers: Number of processes; any number gives the same files.
        first: Seed of the first scene; go on with it where an earlier folder ended.

    Returns:
        The path of the annotation file.

    Raises:
        ConfigError: scenes or workers are not positive, or `out` already holds a data set.
        DataError: the folder of meshes or of backgrounds is missing or damaged.
    """
    if scenes < 1 or workers < 1:
        raise ConfigError(f"scenes and workers must be positive, got {scenes} and {workers}")
    target = out / "annotations.json"
    if target.exists():
        raise ConfigError(f"{out} already holds a data set; choose another folder or delete it")
    loaded(world)  # a missing folder is an error before any process starts
    (out / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in _records(world, out, scenes, workers, first):
        images.append(record["image"])
        annotations += [{"id": len(annotations) + k + 1, **row} for k, row in enumerate(record["annotations"])]
    info = {"description": "rendered people; meshes by MakeHuman (CC0)", "seed": world.seed, "first_scene": first}
    content = {"info": info, "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    target.write_text(json.dumps(content), encoding="utf-8")
    log.info("%d scenes with %d people in %s", len(images), len(annotations), out)
    return target


def _records(world: World, out: Path, scenes: int, workers: int, first: int) -> Iterator[dict[str, Any]]:
    """Render all scenes, in order."""
    render = partial(_render, world, out / "images", scenes, first)
    if workers == 1:
        yield from map(render, range(scenes))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        yield from pool.map(render, range(scenes), chunksize=CHUNK)


def _start_worker() -> None:
    # processes share the cores already
    cv2.setNumThreads(1)


def _render(world: World, folder: Path, scenes: int, first: int, index: int) -> dict[str, Any]:
    """Render and write one scene; its part of the annotation file."""
    # neighbours share a camera, whose empty place is then rendered once
    scene = generate_scene(first + index, world, camera=index * world.cameras // scenes)
    name = f"{first + index:06d}.jpg"
    (folder / name).write_bytes(jpeg_encode(scene.image, QUALITY).tobytes())
    return describe(scene, first + index + 1, f"images/{name}")


def describe(scene: RenderedScene, image_id: int, file_name: str) -> dict[str, Any]:
    """A scene as COCO rows: `image` and `annotations` (without ids)."""
    height, width = scene.image.shape[:2]
    image = {"id": image_id, "file_name": file_name, "width": width, "height": height, "camera": scene.camera}
    rows = []
    for k in range(len(scene.identities)):
        box, seen = _xywh(scene.boxes[k].tolist()), _xywh(scene.visible_boxes[k].tolist())
        rows.append(
            {
                "image_id": image_id,
                "category_id": 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "person_id": int(scene.identities[k]),
                "camera": scene.camera,
                "visibility": round(float(scene.visibility[k]), 4),
                "visible_bbox": seen,
            }
        )
    return {"image": image, "annotations": rows}


def _xywh(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]
