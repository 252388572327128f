"""What the trainings of the small model take: rendered crops, the teacher's rows, and the whole command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.nano import pack as module
from examples.nano import reid as reid_training
from examples.nano import variants
from examples.nano.command import run
from examples.nano.pack import REID, REID_INPUT, main, teacher_rows, write_rendered_crops
from examples.nano.pictures import listed, view
from examples.nano.reid import draw, read_pack
from personsearch.errors import ConfigError, DataError, WeightsError
from personsearch.models.two_step.reid_onnx import ReidEmbedder
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.world import World
from tests.helpers.bundled_pictures import FRAME, PHOTO, STREET, TALL, KnownLabeller, write_pictures
from tests.helpers.onnx_files import reid
from tests.helpers.synthetic_folder import write_assets


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture
def in_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)


@pytest.mark.usefixtures("in_twos")
def test_rendered_crops_are_written_whole_and_in_order(assets: Path, tmp_path: Path) -> None:
    """Five identities, two at a time: each has its own crops, and the last, odd one too."""
    world = World(assets, seed=1, identities=5, cameras=3)
    crops = write_rendered_crops(world, tmp_path / "crops.npy", views=2)
    written = np.load(tmp_path / "crops.npy")
    assert (written.dtype, written.shape) == (np.uint8, (5, 2, 128, 64, 3))
    np.testing.assert_array_equal(written, crops)
    for one in render_person_crops(world, range(5), views=2, height=128, width=64):
        np.testing.assert_array_equal(written[one.identity], one.images)
    assert len(np.unique(written.reshape(10, -1), axis=0)) == 10


def test_rendered_crops_are_the_worlds(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed decides; how many are rendered at a time does not."""
    world, other = (World(assets, seed=seed, identities=3, cameras=3) for seed in (1, 2))
    first = write_rendered_crops(world, tmp_path / "first.npy", views=1)
    monkeypatch.setattr(module, "AT_ONCE", 1)
    write_rendered_crops(world, tmp_path / "again.npy", views=1)
    assert (tmp_path / "first.npy").read_bytes() == (tmp_path / "again.npy").read_bytes()
    assert (write_rendered_crops(other, tmp_path / "other.npy", views=1) != first).any(axis=(1, 2, 3, 4)).all()


@pytest.mark.slow
@pytest.mark.usefixtures("in_twos")
def test_rendered_crops_are_the_same_from_any_number_of_workers(assets: Path, tmp_path: Path) -> None:
    world = World(assets, seed=1, identities=5, cameras=3)
    one = write_rendered_crops(world, tmp_path / "one.npy", views=2)
    np.testing.assert_array_equal(one, write_rendered_crops(world, tmp_path / "two.npy", views=2, workers=2))


def test_missing_meshes_are_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is no folder of MakeHuman meshes; MakeHuman publishes them"):
        write_rendered_crops(World(tmp_path / "nowhere", seed=1, identities=2, cameras=1), tmp_path / "crops.npy")
    assert not (tmp_path / "crops.npy").exists()


def test_teacher_rows_are_unit_rows_in_the_order_of_the_crops(tmp_path: Path) -> None:
    """The tiny network's feature is the crop's mean colour, which the true one takes as BGR too: (3, 0, 4) is (.8, 0, .6)."""
    embedder = ReidEmbedder(reid(tmp_path / "reid.onnx", layout="nhwc"), REID_INPUT)
    colours = np.uint8([[[30, 0, 40], [0, 0, 200]], [[90, 0, 120], [60, 80, 0]], [[0, 7, 0], [1, 0, 0]]])
    crops = np.tile(colours[:, :, None, None], (1, 1, 128, 64, 1))
    rows = teacher_rows(embedder, crops)
    assert rows.dtype == np.float32
    expected = [[0.8, 0, 0.6], [1, 0, 0], [0.8, 0, 0.6], [0, 0.8, 0.6], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert teacher_rows(embedder, crops[:0]).shape == (0, 3)


# ---- the commands ----


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures and the crops' teacher; the boxes' teacher is known to find one person in each photograph."""
    folder = tmp_path / "shared"
    write_pictures(folder / "data")
    (folder / "teachers").mkdir()
    reid(folder / "teachers" / REID, layout="nhwc")
    found = {size: ([list(map(float, TALL))], [0.9]) for size in (PHOTO, STREET)} | {FRAME: ([[0.0, 0, 20, 30]], [0.6])}
    monkeypatch.setattr(module, "Labeller", lambda file: KnownLabeller(found, found))
    return folder


def test_the_commands_write_what_the_trainings_take(assets: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, pack2 = tmp_path / "pack", tmp_path / "pack2"
    main(shared, assets, pack, identities=8, views=2, workers=1)
    assert sorted(path.name for path in (pack / "backgrounds").iterdir()) == ["003.jpg", "005.jpg"]
    rows = json.loads((pack / "photos.json").read_text())
    assert len(rows) == 3 + 8 + 2
    assert view(listed(pack / "photos.json")[-1], np.random.default_rng(0)).canvas.any()
    learned = read_pack(pack)
    assert (learned.crops.shape, learned.features.shape) == ((8, 2, 128, 64, 3), (16, 3))
    assert (len(learned.real), len(learned.real_features)) == (9, 9)
    assert np.load(pack / "heldout_images.npy").shape == (2, 128, 64, 3)
    assert np.load(pack / "heldout_meta.npy").tolist() == [[1, 0], [1, 0]]
    embedder = ReidEmbedder(shared / "teachers" / REID, REID_INPUT)
    np.testing.assert_array_equal(learned.real_features, teacher_rows(embedder, learned.real))

    for _ in range(2):  # again over what is there
        variants.main(pack, shared, pack2, reframe=1, recolour=2, pieces=5)
    second = read_pack(pack2)
    assert (len(second.real), len(second.real_features)) == (9 * 3 + 5, 9 * 3 + 5)
    np.testing.assert_allclose(np.linalg.norm(second.real_features, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(second.crops, learned.crops)
    for name in ("PAIRS", "VIEWS"):
        monkeypatch.setattr(reid_training, name, 2)
    crops, identities, teacher = draw(second, np.random.default_rng(0), 7)
    assert len(crops) == len(teacher) == len(identities) + 7


def test_variants_leave_the_pack_alone(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    with pytest.raises(ConfigError, match="give another folder"):
        variants.main(tmp_path / "pack", shared, tmp_path / "shared/../pack")
    with pytest.raises(DataError, match=r"has no real_images\.npy; make it with .*nano\.pack"):
        variants.main(tmp_path / "pack", shared, tmp_path / "pack2")
    assert not (tmp_path / "pack2").exists()


def test_what_is_missing_is_told_before_the_long_work(
    assets: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="no folder of MakeHuman meshes"):
        main(shared, tmp_path / "nowhere", tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
    shutil.rmtree(shared / "data/videos")
    with pytest.raises(DataError, match="videos"):
        main(shared, assets, tmp_path / "pack", identities=1, views=1)
    (shared / "teachers" / REID).unlink()
    with pytest.raises(WeightsError, match=rf"{REID} is no file"):
        main(shared, assets, tmp_path / "pack")
    # as a command: one line
    monkeypatch.setattr("sys.argv", ["pack", "--shared", str(shared), "--assets", str(assets), "--out", str(tmp_path / "pack")])
    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"error: {shared / 'teachers' / REID} is no file; pass the path of an ONNX file\n"
