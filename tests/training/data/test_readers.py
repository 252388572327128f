"""The readers of data sets, as data sets to learn from."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from personsearch.cli import app as cli
from personsearch.datasets.people import Picture
from personsearch.errors import ConfigError, DataError
from personsearch.training.checkpoint import MODEL_FOLDER
from personsearch.training.data.readers import (
    CropPeople,
    PartPeople,
    PicturePeople,
    is_crops,
    part_of,
    read_crops,
    read_people,
    read_pictures,
)
from personsearch.training.run import train
from tests.helpers.dataset_folders import write_cuhk_sysu, write_prw
from tests.helpers.fakes import scene
from tests.helpers.training_scenes import QUIET, MadeUpScenes, recipe_of

pytestmark = pytest.mark.usefixtures("one_thread")


def picture(path: Path, boxes: list[list[float]], identities: list[int]) -> Picture:
    Image.fromarray(scene()).save(path)  # 120 x 200
    return Picture(path, np.array(boxes, np.float32).reshape(-1, 4), np.array(identities, np.int64), camera=4)


def write_train_frames(root: Path) -> Path:
    write_prw(root)
    for name in ("c1s1_000001", "c2s1_000002"):
        Image.fromarray(scene()).save(root / "frames" / f"{name}.jpg")
    return root


def write_crops(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30 + number, 12, 3), 10 * number, np.uint8)).save(root / name, format="PNG")
    return root


def test_boxes_are_cut_to_the_picture_and_keep_their_identities(tmp_path) -> None:
    boxes = [[-5, -5, 10, 20], [200, 0, 260, 90], [190, 100, 210, 130]]
    people = PicturePeople([picture(tmp_path / "a.png", boxes, [9, 4, -1])])
    sample = people[0]
    assert sample.boxes.tolist() == [[0, 0, 10, 20], [190, 100, 200, 120]]  # the second is wholly outside
    assert (sample.identities.tolist(), people.identities, sample.camera) == ([1, -1], 2, 4)


def test_every_box_as_a_person_of_its_own(tmp_path) -> None:
    inside, outside = [0, 0, 9, 9], [300, 0, 310, 9]
    first, empty = picture(tmp_path / "a.png", [inside, outside, inside], [7, 7, -1]), picture(tmp_path / "b.png", [], [])
    people = PicturePeople([first, empty, picture(tmp_path / "c.png", [inside], [7])], individuals=True)
    assert people.identities == 4
    assert [people[number].identities.tolist() for number in range(3)] == [[0, 2], [], [3]]
    assert PicturePeople([], individuals=True).identities == 0


def test_crops_known_and_unknown(tmp_path) -> None:
    root = write_crops(tmp_path, "0.png", "1.png", "2.png", "3.png", "4.png")
    people = CropPeople(sorted(root.iterdir()), np.array([70, -1, 30, -1, 70]), [1, 2, 3, None, 5])
    assert (len(people), people.identities, people.named) == (5, 4, False)
    assert [people[number].identities.tolist() for number in range(5)] == [[1], [2], [0], [3], [1]]
    assert people[2].boxes.tolist() == [[0, 0, 12, 32]]
    assert people[4].camera == 5
    assert CropPeople(sorted(root.iterdir())).identities == 5
    assert CropPeople([], np.zeros(0, np.int64)).identities == 0


def test_readers_by_name(tmp_path) -> None:
    prw = read_people([("prw", write_train_frames(tmp_path / "prw"))])
    assert (len(prw), prw.identities) == (2, 2)
    assert prw[1].identities.tolist() == [0, 1, -1]
    assert prw[1].boxes.tolist() == [[30, 20, 50, 100], [80, 20, 100, 80], [150, 20, 170, 70]]
    assert read_pictures("prw", tmp_path / "prw", individuals=True).identities == 4
    crops = read_crops("crops", write_crops(tmp_path / "crops", "ann/1.png", "bob/1.png", "bob/2.png"))
    assert (len(crops), crops.identities, crops.named) == (3, 2, True)
    unnamed = read_crops("luperson", tmp_path / "crops")
    assert (len(unnamed), unnamed.identities, unnamed.named) == (3, 3, False)


def test_other_readers_of_whole_pictures(tmp_path) -> None:
    sysu = read_people([("cuhk-sysu", write_cuhk_sysu(tmp_path / "sysu"))])
    assert (len(sysu), sysu.identities, sysu[0].identities.tolist()) == (1, 1, [0])
    own = tmp_path / "own"
    for folder in ("images", "labels"):
        (own / folder).mkdir(parents=True)
    Image.fromarray(scene()).save(own / "images" / "a.png")  # 120 x 200
    (own / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.5\n")
    assert read_people([("yolo", own)])[0].boxes.tolist() == [[90, 30, 110, 90]]
    row = {"image_id": 1, "bbox": [10, 20, 30, 200], "person_id": 7}
    content = {"images": [{"id": 1, "file_name": "images/a.png"}], "annotations": [row]}
    (own / "annotations.json").write_text(json.dumps(content))
    sample = read_people([("coco", own)])[0]
    assert (sample.boxes.tolist(), sample.identities.tolist()) == ([[10, 20, 40, 120]], [0])


def test_other_readers_of_crops(tmp_path) -> None:
    write_crops(
        tmp_path, *(f"{part}/0007_c2s1_000451_0{k}.jpg" for part in ("bounding_box_train", "query", "bounding_box_test") for k in (1, 2))
    )
    market = read_crops("market1501", tmp_path)
    assert (len(market), market.identities, market.named, market[1].camera) == (2, 1, True, 2)
    unknown = read_crops("unlabelled-crops", tmp_path)
    assert (len(unknown), unknown.identities, unknown.named) == (6, 6, False)


def test_sets_in_a_row_share_nobody(tmp_path) -> None:
    root = write_train_frames(tmp_path / "prw")
    both = read_people([("prw", root), ("prw", root)])
    assert (len(both), both.identities) == (4, 4)
    assert both[3].identities.tolist() == [2, 3, -1]


def test_names_that_do_not_fit_are_told(tmp_path) -> None:
    assert is_crops("market1501")
    with pytest.raises(ConfigError, match=r"unknown data set 'market'; whole pictures: prw, .*crops: .*market1501"):
        is_crops("market")
    with pytest.raises(ConfigError, match="market1501 holds crops"):
        read_people([("market1501", tmp_path)])
    with pytest.raises(DataError, match="download PRW"):
        read_people([("prw", tmp_path / "nowhere")])


def test_a_share_of_the_pictures() -> None:
    whole = MadeUpScenes(8)
    half, quarter, other = part_of(whole, 0.5, 3), part_of(whole, 0.25, 3), part_of(whole, 0.5, 4)
    assert isinstance(half, PartPeople)
    assert isinstance(quarter, PartPeople)
    assert isinstance(other, PartPeople)
    assert (len(half), len(quarter), half.identities) == (4, 2, 4)
    assert set(quarter._pictures) < set(half._pictures)
    assert other._pictures != half._pictures
    assert part_of(whole, 1.0, 3) is whole
    assert len(part_of(whole, 0.01, 3)) == 1
    assert np.array_equal(half[1].image, whole[half._pictures[1]].image)


def test_train_on_a_data_set_by_name(tmp_path) -> None:
    root, recipe = write_train_frames(tmp_path / "prw"), tmp_path / "recipe.json"
    recipe.write_text(recipe_of("nae", epochs=1).model_dump_json())
    model = train(recipe, [("prw", root)], tmp_path / "out", QUIET)
    assert (model / "model.safetensors").is_file()


@pytest.mark.slow
def test_train_on_a_data_set_by_name_on_the_command_line(tmp_path) -> None:
    root, recipe, out = write_train_frames(tmp_path / "prw"), tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(recipe_of("nae", epochs=1).model_copy(update={"share": 0.5}).model_dump_json())
    named = ["--dataset", "prw", "--root", str(root), "--device", "cpu"]
    result = CliRunner().invoke(cli.app, ["train", str(recipe), str(out), *named])
    assert json.loads(result.stdout) == {"folder": str(out / MODEL_FOLDER)}
    assert len((out / "log.jsonl").read_text().splitlines()) == 1
    for places, options in [([root, out], named), ([out], ["--dataset", "prw"]), ([out], []), ([out], ["--root", str(root)])]:
        wrong = CliRunner().invoke(cli.app, ["train", str(recipe), *map(str, places), *options])
        assert isinstance(wrong.exception, ConfigError)
        assert "RECIPE OUT with one --root DIR for each --dataset" in str(wrong.exception)
