"""A made-up folder of the real pictures that the small model learns from, and a labeller whose boxes are known."""

from pathlib import Path

import numpy as np

from personsearch.boxes import Array
from tests.helpers.pictures import encode, write_video

Found = tuple[list[list[float]], list[float]]  # boxes xyxy, scores
RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (20, 20, 180)
WIDTH, HEIGHT = 160, 120  # of the labelled pictures
TALL, SMALL = (10, 20, 50, 100), (100, 20, 110, 100)  # labelled people; the second is too narrow for a crop
PHOTO, STREET, FRAME = (150, 200), (180, 240), (48, 64)  # height and width: by them the labeller knows the picture
FRAMES = 31  # of the video


def picture(height: int, width: int, people: list[tuple[int, ...]]) -> Array:
    """People with a red upper and a green lower half, on blue."""
    image = np.full((height, width, 3), BLUE, np.uint8)
    for x1, y1, x2, y2 in people:
        image[y1:y2, x1:x2] = RED
        image[(y1 + y2) // 2 : y2, x1:x2] = GREEN
    return image


def yolo_lines(people: list[tuple[int, ...]], number: int = 0) -> str:
    """Lines of people of a labelled picture, of class `number`."""
    rows = [((x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT) for x1, y1, x2, y2 in people]
    return "".join(f"{number} " + " ".join(f"{value:.6f}" for value in row) + "\n" for row in rows)


def write_pictures(data: Path) -> Path:
    """Write the folder and return it.

    Of coco128, by number: 0 two people, to be held out; 1 two people, one of them small; 2 one, but unlabelled;
    3 a dog; 4 one person, held out, the file is damaged; 5 no people. Then a photograph in two folders, and a video of red frames.
    """
    shown: list[list[tuple[int, ...]]] = [[TALL, (60, 10, 90, 110)], [TALL, SMALL], [TALL], [], [TALL], []]
    labels = [yolo_lines(people) for people in shown]
    labels[3] = yolo_lines([TALL], number=16)
    coco = data / "coco128"
    for folder in (coco / "images", coco / "labels", data / "photos", data / "street_photos", data / "videos"):
        folder.mkdir(parents=True)
    for number, people in enumerate(shown):
        content = encode(picture(HEIGHT, WIDTH, people), "JPEG", quality=95, subsampling=0)
        (coco / f"images/{number:03}.jpg").write_bytes(content[:200] if number == 4 else content)
        if number != 2:
            (coco / f"labels/{number:03}.txt").write_text(labels[number])
    for name, size in (("photos", PHOTO), ("street_photos", STREET)):
        (data / name / "one.jpg").write_bytes(encode(picture(*size, [TALL]), "JPEG", quality=95, subsampling=0))
    write_video(data / "videos/walk.mp4", [np.full((*FRAME, 3), RED, np.uint8)] * FRAMES, codec="mp4v")
    return data


class KnownLabeller:
    """Finds what is known of pictures of a size.

    Args:
        known: What `people` finds, by (height, width) of the picture.
    """

    def __init__(self, known: dict[tuple[int, int], Found]) -> None:
        self.known = known

    def people(self, image: Array) -> tuple[Array, Array]:
        return _arrays(self.known.get(image.shape[:2], ([], [])))


def _arrays(found: Found) -> tuple[Array, Array]:
    return np.array(found[0], np.float32).reshape(-1, 4), np.array(found[1], np.float32)
