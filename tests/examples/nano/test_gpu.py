"""The training on a GPU, in small on the CPU: the pack, the parts, the loop that goes on, the weights that come back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from examples.nano import gpu
from examples.nano.crops import config
from examples.nano.gpu_training import SHARPNESS, DevicePool, Size, factor, relation, train_for
from examples.nano.pool import Counts, files
from examples.nano.real_people import PEOPLE_FILE, PIECES_FILE
from examples.nano.teachers import REID
from personsearch.boxes import Array
from personsearch.errors import DataError, DeviceError
from personsearch.models.config import OMNI
from personsearch.models.reid import ReidNetwork
from personsearch.training.checkpoint import load_state
from tests.helpers.synthetic_folder import write_assets

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Size(height=64, width=32, pairs=2, bank=8)
ROWS = 300  # of a teacher's row, more than the targets have


def write_pool(folder: Path, parts: int = 1) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(parts):
        pictures, rows = files(folder, part)
        np.save(pictures, rng.integers(0, 255, (8, 160, 80, 3), dtype=np.uint8))
        np.save(rows, rng.standard_normal((8, ROWS)).astype(np.float16))


def test_a_pack_holds_what_a_training_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real"
    real.mkdir()
    for seed, name in enumerate((PEOPLE_FILE, PIECES_FILE)):
        np.save(real / name, np.full((3, 320, 160, 3), (200, 60 * seed, 30), np.uint8))
    for name in REID:
        for suffix in (".xml", ".bin"):
            (tmp_path / f"{name}{suffix}").write_bytes(b"x")
    gpu.pack(real, write_assets(tmp_path / "assets"), tmp_path, tmp_path / "pack.tar")
    home = gpu.unpacked(tmp_path / "pack.tar", tmp_path / "out/pack")
    people = np.load(home / PEOPLE_FILE)
    assert people.shape == (3, 320, 160, 3)
    assert np.abs(people.astype(int) - (200, 0, 30)).max() < 4  # JPEG
    assert sorted(path.stem for path in (home / "teachers").glob("*.xml")) == sorted(REID)
    assert gpu.unpacked(tmp_path / "gone.tar", tmp_path / "out/pack") == home  # a second run needs no file
    monkeypatch.setattr(gpu, "LARGEST", 1000)
    with pytest.raises(DataError, match="MiB"):
        gpu.pack(real, tmp_path / "assets", tmp_path, tmp_path / "pack.tar")


def test_workers_share_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def write(part: int, *rest: object) -> None:
        made.append(part)
        write_pool(tmp_path / "pool", 0)
        np.save(files(tmp_path / "pool", part)[1], np.zeros(1))

    monkeypatch.setattr(gpu, "write_part", write)
    monkeypatch.setattr(gpu, "ReidTeachers", lambda folder: None)
    for first in (0, 1, 0):
        gpu.write_parts(first, 2, tmp_path, tmp_path / "pool", Counts(), last=5)
    assert made == [0, 2, 4, 1, 3]  # the third worker found its parts there


def test_a_batch_has_pairs_their_rows_and_a_bank(tmp_path: Path) -> None:
    write_pool(tmp_path, parts=2)
    pictures, rows, bank = DevicePool(tmp_path, "cpu").draw(SMALL, np.random.default_rng(0))
    assert (pictures.shape, rows.shape, bank.shape) == ((4, 3, 64, 32), (4, ROWS), (8, ROWS))
    assert (pictures.min() >= 0, pictures.max() <= 255) == (True, True)


def test_time_decides_the_rate() -> None:
    assert [factor(step, share) for step, share in ((0, 0), (99, 0), (500, 0.6), (500, 0.8), (500, 1.0), (500, 1.2))] == pytest.approx(
        [0.01, 1, 1, 0.5, 0, 0]
    )


def test_a_training_goes_on_and_its_weights_come_back(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool")
    keywords: dict[str, Any] = {"device": "cpu", "alive": lambda: True}
    assert train_for(0.0, tmp_path, SMALL, **keywords) == 1  # a training makes one step, however little time it has
    state = load_state(tmp_path / "state")
    assert state["seconds"] > 0
    first = load_state(tmp_path / "weights")["mean"]
    assert train_for(1e6, tmp_path, SMALL, **keywords, most_steps=3) == 3
    assert load_state(tmp_path / "state")["seconds"] > state["seconds"]
    last = load_state(tmp_path / "weights")["mean"]
    ReidNetwork(config(64, 32, OMNI)).load_state_dict(last)
    assert any(not torch.equal(tensor, last[name]) for name, tensor in first.items())


def test_without_a_part_and_without_workers_the_training_ends(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without a part"):
        train_for(1.0, tmp_path, SMALL, device="cpu", alive=lambda: False)


def test_without_cuda_quick_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="--quick"):
        gpu.train(tmp_path / "pack.tar", tmp_path)


@pytest.mark.extra
def test_the_whole_command_in_small(shared: Path, tmp_path: Path) -> None:
    """Real teachers and meshes, one worker, one step."""
    real = tmp_path / "real"
    real.mkdir()
    crops: Array = np.random.default_rng(0).integers(0, 255, (5, 320, 160, 3), dtype=np.uint8)
    for name in (PEOPLE_FILE, PIECES_FILE):
        np.save(real / name, crops)
    gpu.pack(real, shared / "assets/makehuman", shared / "teachers", tmp_path / "pack.tar")
    gpu.train(tmp_path / "pack.tar", tmp_path / "out", minutes=0.0, workers=1, quick=True)
    assert load_state(tmp_path / "out/weights")["step"] == 1


def test_relation_is_nothing_where_neighbours_agree() -> None:
    bank = torch.nn.functional.normalize(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))
    assert relation(bank[:3], bank[:3], bank).item() == pytest.approx(0, abs=1e-6)
    assert relation(bank[:3], bank[3:6], bank).item() > 0.1


def test_relation_by_hand() -> None:
    """Cosines 1 and 0 are wanted, 0 and 1 are there: log odds of 15 either way, so that the divergence is 15 (2 p - 1)."""
    wanted = torch.sigmoid(torch.tensor(SHARPNESS))
    found = relation(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]), torch.eye(2))
    assert found.item() == pytest.approx((SHARPNESS * (2 * wanted - 1)).item())
