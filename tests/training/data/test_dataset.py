import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from personsearch.errors import DataError, ImageError
from personsearch.models.alignps import dense_input
from personsearch.models.rcnn import region_input
from personsearch.training.data.aspects import ORIENTATION, by_aspect
from personsearch.training.data.batches import AugmentRecipe, Loading, TrainItems, augment, collate, epoch_batches
from personsearch.training.data.dataset import CocoPeople, JoinedPeople, Sample
from tests.helpers.training_scenes import HEIGHT, WIDTH, MadeUpScenes

PERSON = {"id": 1, "name": "person"}


def annotation(image: int, person: int | None, box=(1, 2, 3, 4), **more) -> dict:
    return {"image_id": image, "category_id": 1, "bbox": list(box), **({} if person is None else {"person_id": person}), **more}


def coco(folder, annotations, **more):
    cv2.imwrite(str(folder / "a.png"), np.full((20, 30, 3), (10, 20, 30), np.uint8))
    images = [{"id": 7, "file_name": "a.png", "camera": 3}, {"id": 9, "file_name": "missing.png"}]
    file = folder / "annotations.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [PERSON], **more}))
    return file


def test_coco_by_hand(tmp_path) -> None:
    rows = [annotation(7, 932), annotation(7, -1, (0, 0, 5, 5)), annotation(9, 483), annotation(7, None)]
    people = CocoPeople(coco(tmp_path, rows), check_pictures=False)
    sample = people[0]
    assert (len(people), people.identities, sample.camera) == (2, 2, 3)
    assert sample.boxes.tolist() == [[1, 2, 4, 6], [0, 0, 5, 5], [1, 2, 4, 6]]
    assert sample.image[0, 0].tolist() == [30, 20, 10]  # RGB
    with pytest.raises(ImageError, match="missing"):
        people[1]


def test_identities_with_gaps_get_numbers_without(tmp_path) -> None:
    # PRW's training identities end with 483 and 932; left as they are, these two would be places of OIM's queue
    file = coco(tmp_path, [annotation(7, 932), annotation(7, 1), annotation(7, -1), annotation(7, 483)])
    assert CocoPeople(file, check_pictures=False)[0].identities.tolist() == [2, 0, -1, 1]


def test_who_does_not_count(tmp_path) -> None:
    rows = [
        annotation(7, 0, iscrowd=1),
        annotation(7, 1, visibility=0.2),
        annotation(7, 2, visibility=0.3),
        annotation(7, 3) | {"category_id": 2},
    ]
    file = coco(tmp_path, rows, categories=[PERSON, {"id": 2, "name": "dog"}])
    people = CocoPeople(file, min_visibility=0.3, check_pictures=False)
    assert people.identities == 1
    assert len(people[0].boxes) == 1


def test_a_picture_with_nobody(tmp_path) -> None:
    sample = CocoPeople(coco(tmp_path, []), check_pictures=False)[0]
    assert (sample.boxes.shape, sample.boxes.dtype, sample.identities.shape) == ((0, 4), np.float32, (0,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no lists"),
        ('{"images": [{"id": 1}], "annotations": []}', r"image without id and file_name: images\[0\] is \{'id': 1\}"),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}', r"annotations\[0\] is of image 1"),
        ('{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "bbox": [0, 0, 0, 1]}]}', "positive size"),
    ],
)
def test_malformed_files_are_told(tmp_path, content, message) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        CocoPeople(file)


def test_a_missing_file_is_told(tmp_path) -> None:
    with pytest.raises(DataError, match=r"none\.json is not there"):
        CocoPeople(tmp_path / "none.json")


def test_a_sample_needs_a_box_for_everyone() -> None:
    with pytest.raises(DataError, match="2 identities"):
        Sample(np.zeros((9, 9, 3), np.uint8), np.zeros((1, 4), np.float32), np.zeros(2, np.int64))


def test_joined_sets_share_no_identity() -> None:
    joined = JoinedPeople([MadeUpScenes(2), MadeUpScenes(3)])
    assert (len(joined), joined.identities) == (5, 8)
    assert joined[1].identities.tolist() == MadeUpScenes(2)[1].identities.tolist()
    second = MadeUpScenes(3)[1].identities
    assert joined[3].identities.tolist() == np.where(second < 0, -1, second + 4).tolist()
    with pytest.raises(IndexError):
        joined[5]


def test_mirrored_boxes_hold_the_same_pixels() -> None:
    sample = MadeUpScenes(1)[0]
    mirrored = augment(sample, AugmentRecipe(flip=1.0), np.random.default_rng(0))
    for (x1, y1, x2, y2), (a1, b1, a2, b2) in zip(sample.boxes.astype(int), mirrored.boxes.astype(int), strict=True):
        np.testing.assert_array_equal(mirrored.image[b1:b2, a1:a2], sample.image[y1:y2, x1:x2][:, ::-1])


def test_light_by_hand() -> None:
    image = np.array([[[100] * 3, [200] * 3]], np.uint8).repeat(8, axis=0)
    sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))

    class Greatest:
        uniform = staticmethod(lambda low, high: 1.0)
        random = staticmethod(lambda: 1.0)

    lit = augment(sample, AugmentRecipe(brightness=0.1, contrast=0.2), Greatest()).image
    assert lit[0, :, 0].tolist() == [99, 231]  # 1.1 * (150 +- 1.2 * 50)


@settings(max_examples=20)
@given(st.integers(8, 300), st.integers(8, 300), st.sampled_from([region_input, dense_input]))
def test_boxes_follow_the_picture_into_any_size(height, width, prepare) -> None:
    whole = Sample(np.zeros((height, width, 3), np.uint8), np.array([[0, 0, width, height]], np.float32), np.array([0]))
    item = TrainItems([whole], prepare, AugmentRecipe(sizes=((64, 96),)), 0)[0, 0]
    assert item.boxes[0].tolist() == pytest.approx([0, 0, item.scene.resized[1], item.scene.resized[0]], rel=1e-6)


def test_a_draw_gives_the_same_item_always_and_epochs_differ() -> None:
    items = TrainItems(MadeUpScenes(2), dense_input, AugmentRecipe(sizes=((64, 96), (96, 144)), brightness=0.3), 5)
    first, again, later = items[0, 1], items[0, 1], items[3, 1]
    assert torch.equal(first.scene.pixels, again.scene.pixels)
    assert first.scene.pixels.shape != later.scene.pixels.shape or not torch.equal(first.scene.pixels, later.scene.pixels)


def test_collate_pads_with_zeros_right_and_bottom() -> None:
    scenes = MadeUpScenes(2)
    small = TrainItems(scenes, dense_input, AugmentRecipe(sizes=((64, 96),)), 0)[0, 0]
    large = TrainItems(scenes, dense_input, AugmentRecipe(sizes=((HEIGHT, WIDTH),)), 0)[0, 1]
    batch = collate([small, large])
    assert batch.scenes.pixels.shape == (2, 3, HEIGHT, WIDTH)
    assert torch.equal(batch.scenes.pixels[0, :, :64, :96], small.scene.pixels)
    assert not batch.scenes.pixels[0, :, 64:].any()
    assert [len(one) for one in batch.boxes] == [len(one) for one in batch.identities] == [3, 4]


def test_a_batch_knows_its_pictures_if_all_items_do() -> None:
    scenes = MadeUpScenes(2)
    items = TrainItems(scenes, dense_input, AugmentRecipe(sizes=((64, 96),)), 0)
    outside = items.item(scenes[0], np.random.default_rng(0))
    assert outside.picture is None
    assert collate([items[0, 1], items[0, 0]]).pictures == [1, 0]
    assert collate([items[0, 1], outside]).pictures is None


def test_an_epoch_has_every_picture_once() -> None:
    batches = epoch_batches(7, 3, 0, 2)
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert sorted(batch for one in batches for batch in one) == [(2, number) for number in range(7)]
    assert epoch_batches(7, 3, 0, 2) == batches != epoch_batches(7, 3, 0, 3)


def test_a_batch_that_the_pictures_do_not_fill() -> None:
    """SeqNet's code leaves it out: CUHK-SYSU's 11,206 pictures in fives would end each epoch with a batch of one."""
    short = epoch_batches(7, 3, 0, 2)
    assert epoch_batches(7, 3, 0, 2, last="drop") == short[:2]
    assert epoch_batches(2, 3, 0, 2, last="drop") == epoch_batches(2, 3, 0, 2)
    filled = epoch_batches(7, 3, 0, 2, last="fill")
    assert [len(batch) for batch in filled] == [3, 3, 3]
    assert filled[:2] == short[:2]
    assert filled[2][0] == short[2][0]


def test_batches_of_one_aspect() -> None:
    groups = [np.array([0, 2, 4]), np.array([1, 3, 5, 6])]
    batches = epoch_batches(7, 2, 0, 1, groups=groups, last="fill")
    assert sorted(len(batch) for batch in batches) == [2, 2, 2, 2]
    assert all(len({number in groups[0] for _, number in batch}) == 1 for batch in batches)
    assert {number for batch in batches for _, number in batch} == set(range(7))
    assert batches != epoch_batches(7, 2, 0, 2, groups=groups, last="fill")


def test_pictures_by_aspect(tmp_path: Path) -> None:
    """The header says it, with EXIF's turn; a data set without files is decoded."""

    class Three:
        identities = 1

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Sample:
            return Sample(
                np.zeros([(20, 30, 3), (30, 20, 3), (20, 20, 3)][index], np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
            )

    tall, wide = by_aspect(Three())
    assert (tall.tolist(), wide.tolist()) == ([1, 2], [0])
    turned = Image.new("RGB", (30, 20))
    turned.getexif()[ORIENTATION] = 6
    turned.save(tmp_path / "turned.jpg", exif=turned.getexif())
    Image.new("RGB", (30, 20)).save(tmp_path / "wide.jpg")

    class Files(Three):
        def path(self, index: int) -> Path:
            return tmp_path / ["turned.jpg", "wide.jpg", "wide.jpg"][index]

    assert by_aspect(Files())[1].tolist() == [1, 2]


@pytest.mark.slow
def test_worker_processes_give_the_same_batches() -> None:
    items = TrainItems(MadeUpScenes(4), region_input, AugmentRecipe(sizes=((64, 96),)), 0)
    batches = epoch_batches(4, 2, 0, 0)
    for here, there in zip(Loading(items, 0)(batches), Loading(items, 1)(batches), strict=True):
        # a worker has one thread, and torch resizes differently by rounding with two
        torch.testing.assert_close(here.scenes.pixels, there.scenes.pixels, rtol=0, atol=1e-5)
        assert all(torch.equal(a, b) for a, b in zip(here.boxes, there.boxes, strict=True))
