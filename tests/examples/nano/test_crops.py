"""How the crop network of the bundled models is trained: targets and losses by hand, what a batch is made of, going on bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from examples.nano import crops, draw
from examples.nano.assemble import assemble, merged
from examples.nano.crops import CropLearner, batch_of, begin_from, config, load_features, relation, turned
from examples.nano.detector import OPTIONS
from examples.nano.draw import Pool
from examples.nano.hints import HINTS, basis_of
from examples.nano.imitation import student
from examples.nano.loop import Schedule, train
from examples.nano.pool import files
from examples.nano.targets import Targets
from personsearch.errors import WeightsError
from personsearch.models import open_folder
from personsearch.models.reid import ReidNetwork
from personsearch.training.checkpoint import save_state
from personsearch.weights import read_config
from tests.helpers.bundled_files import assert_goes_on

pytestmark = pytest.mark.usefixtures("one_thread")


def write_pool(folder: Path, parts: int = 2, pictures: int = 300) -> Path:
    """Pictures whose first pixel is their part and number, as their rows are."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for part in range(parts):
        content = rng.integers(0, 255, (pictures, 32, 16, 3), dtype=np.uint8)
        rows = rng.normal(size=(pictures, 260)).astype(np.float16)
        content[:, 0, 0, 0], content[:, 0, 0, 1] = part, np.arange(pictures) % 256
        rows[:, 0], rows[:, 1] = part, np.arange(pictures) % 256
        for path, array in zip(files(folder, part), (content, rows), strict=True):
            np.save(path, array)
    return folder


def write_hints(folder: Path, parts: int = 2, pictures: int = 300) -> Path:
    """Maps whose numbers are those of their pictures, in the sizes of crops of 64 x 32."""
    folder.mkdir(exist_ok=True)
    for part in range(parts):
        for number, hint in enumerate(HINTS):
            maps = np.zeros((pictures, *CELLS[hint.layer], hint.dim), np.float16)
            maps += np.arange(pictures)[:, None, None, None] % 256 / 256
            np.save(folder / f"hint_{number}_{part:04}.npy", maps)
    return folder


CELLS = {6: (8, 4), 13: (4, 2), 18: (2, 1)}  # of the layers' maps


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "PAIRS", 2)
    monkeypatch.setattr(crops, "BANK", 8)


# ---- targets ----


def test_targets_are_centred_rows_in_their_main_directions() -> None:
    """Rows vary most along the second axis, then along the first, and not along the third."""
    targets = Targets(3, 2)
    rows = np.array([[5, 3, 1], [7, 3, 1], [6, 9, 1], [6, -3, 1]], np.float32)
    targets.fit(rows)
    found = targets(torch.tensor([[6.0, 8, 1], [9, 3, 1], [6, -7, 1], [9, 3, 50]]))
    assert found.norm(dim=1).tolist() == pytest.approx([1] * 4)
    assert (found @ found.T)[0].tolist() == pytest.approx([1, 0, -1, 0], abs=1e-6)
    assert abs(found[0, 0].item()) == pytest.approx(1)


def test_cosines_of_targets_are_those_of_centred_rows() -> None:
    rows = np.random.default_rng(0).normal(1, 1, (50, 6)).astype(np.float32)
    targets = Targets(6, 6)
    targets.fit(rows)
    centred = rows - rows.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    found = targets(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-5)


# ---- the pool ----


def test_pictures_belong_to_their_rows_and_come_in_pairs(tmp_path: Path) -> None:
    pool = Pool(write_pool(tmp_path))
    pictures, rows, hints = pool.draw(20, np.random.default_rng(0))
    assert hints == []
    assert [picture[0, 0, :2].tolist() for picture in pictures] == rows[:, :2].tolist()
    assert (rows[::2, 1] % 2 == 0).all()
    assert (rows[1::2, :2] == rows[::2, :2] + (0, 1)).all()
    assert set(rows[:, 0]) == {0, 1}


def test_a_pool_grows_and_a_part_without_rows_is_not_there(tmp_path: Path) -> None:
    pool = Pool(write_pool(tmp_path, parts=1))
    write_pool(tmp_path, parts=3)
    files(tmp_path, 2)[1].unlink()
    assert (pool.refresh(), len(pool.pictures)) == (2, 2)


def test_a_share_of_the_pairs_is_from_the_street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(write_pool(tmp_path, parts=4), street=0.5)
    assert np.bincount(pool.parts(4000, np.random.default_rng(0)), minlength=4).tolist() == pytest.approx([1000] * 4, rel=0.15)
    monkeypatch.setattr(draw, "STREET_FROM", 3)
    assert np.bincount(pool.parts(4000, np.random.default_rng(0))).tolist() == pytest.approx([500, 500, 500, 2500], rel=0.15)


def test_a_bank_is_a_stretch_of_rows(tmp_path: Path) -> None:
    pool = Pool(write_pool(tmp_path))
    bank = pool.bank(16, np.random.default_rng(0))
    assert (np.diff(bank[:, 1].astype(int)) % 256 == 1).all()
    assert len(pool.bank(10**6, np.random.default_rng(0))) == 300


# ---- losses ----


def test_relation_is_nothing_where_neighbours_agree() -> None:
    bank = torch.nn.functional.normalize(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))
    assert relation(bank[:3], bank[:3], bank).item() == pytest.approx(0, abs=1e-6)
    assert relation(bank[:3], bank[3:6], bank).item() > 0.1


def test_relation_by_hand() -> None:
    """Cosines 1 and 0 are wanted, 0 and 1 are there: log odds of 15 either way, so that the divergence is 15 (2 p - 1)."""
    wanted = torch.sigmoid(torch.tensor(crops.SHARPNESS))
    found = relation(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]), torch.eye(2))
    assert found.item() == pytest.approx((crops.SHARPNESS * (2 * wanted - 1)).item())


def test_a_batch_is_normalised_and_part_of_it_mirrored() -> None:
    picture = np.zeros((20, 10, 3), np.uint8)
    picture[:, :5] = (255, 0, 0)
    batch = batch_of([picture] * 2, (20, 10), np.array([False, True]))
    assert batch.shape == (2, 3, 20, 10)
    red, black = (1 - 0.485) / 0.229, -0.485 / 0.229
    assert batch[:, 0, 3, 1].tolist() == pytest.approx([red, black], abs=1e-3)
    assert batch[:, 0, 3, 8].tolist() == pytest.approx([black, red], abs=1e-3)
    assert batch_of([picture], (10, 5), np.array([False])).shape == (1, 3, 10, 5)


# ---- the training ----


def learner_of(folder: Path, *, frozen: int = 0) -> CropLearner:
    torch.manual_seed(0)
    return CropLearner(ReidNetwork(config(64, 32)), Pool(write_pool(folder / "pool"), write_hints(folder / "hints")), frozen=frozen)


@pytest.mark.usefixtures("small")
def test_first_layers_stay_as_they_are(tmp_path: Path) -> None:
    learner = learner_of(tmp_path, frozen=3)
    before = {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}
    train(learner, tmp_path / "out", Schedule(1, 0.1, warmup=1))
    moved = {name for name, tensor in learner.network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith(("backbone.features.0.", "backbone.features.1.", "backbone.features.2.")) for name in moved)
    assert any(name.startswith("backbone.features.3.") for name in moved)


def test_rows_beside_maps_are_the_networks(tmp_path: Path) -> None:
    learner = learner_of(tmp_path, frozen=3).eval()
    crops_ = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        rows, maps = learner.rows_and_maps(crops_)
        torch.testing.assert_close(rows, learner.network(crops_), atol=1e-4, rtol=0)
    assert [tuple(one.shape[2:]) for one in maps] == list(CELLS.values())


def test_a_part_without_hints_is_not_there_yet(tmp_path: Path) -> None:
    pool = Pool(write_pool(tmp_path / "pool"), write_hints(tmp_path / "hints", parts=1))
    assert len(pool.rows) == 1
    write_hints(tmp_path / "hints")
    assert pool.refresh() == 2
    _, rows, hints = pool.draw(5, np.random.default_rng(0))
    for maps, hint in zip(hints, HINTS, strict=True):
        assert maps.shape == (10, *CELLS[hint.layer], hint.dim)
        np.testing.assert_allclose(maps[:, 0, 0, 0], rows[:, 1] / 256, atol=1e-3)


def test_hints_of_mirrored_pictures_are_mirrored() -> None:
    maps = np.arange(8, dtype=np.float16).reshape(2, 1, 4, 1)
    assert turned(maps, np.array([False, True]))[:, 0, 0].tolist() == [[0, 1, 2, 3], [7, 6, 5, 4]]


def test_a_basis_keeps_what_varies_most() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(50, 4, 2, 3)) * (1, 10, 0.1) + 5
    mean, directions = basis_of(maps, 2)
    reduced = (maps - mean) @ directions
    assert reduced.std() == pytest.approx(1, abs=1e-6)
    assert abs(np.corrcoef(reduced[..., 0].ravel(), maps[..., 1].ravel())[0, 1]) == pytest.approx(1, abs=1e-3)
    assert abs(np.corrcoef(reduced[..., 1].ravel(), maps[..., 0].ravel())[0, 1]) == pytest.approx(1, abs=1e-2)


def test_a_training_begins_with_the_weights_of_an_older_network(tmp_path: Path) -> None:
    """Its first norm was a batch norm, and its pooling the mean: what is missing stays as it was made."""
    learner = learner_of(tmp_path)
    plain = ReidNetwork(config(64, 32).model_copy(update={"crop_norm": False, "pooling": "mean"}))
    targets = {f"targets.{name}": torch.rand_like(part) for name, part in learner.targets.state_dict().items()}
    save_state(tmp_path / "before", {"mean": plain.state_dict(), "learner": targets, "step": 5})
    begin_from(learner, tmp_path / "before")
    state = learner.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in plain.state_dict().items() if name in state)
    assert state["pool.weight"].unique().item() == pytest.approx(0.5)
    assert torch.equal(learner.targets.mean, targets["targets.mean"])


def test_a_training_of_another_network_is_an_error(tmp_path: Path) -> None:
    learner = learner_of(tmp_path)
    targets = {f"targets.{name}": part for name, part in learner.targets.state_dict().items()}
    save_state(tmp_path / "before", {"mean": {"other.weight": torch.ones(1)}, "learner": targets, "step": 5})
    with pytest.raises(WeightsError, match="training of another network"):
        begin_from(learner, tmp_path / "before")


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_training_goes_on_where_it_stopped_and_makes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(out: Path) -> Any:
        return train(learner_of(tmp_path, frozen=2), out, Schedule(2, 0.01, warmup=1, save_every=1))

    whole = assert_goes_on(run, tmp_path, monkeypatch)
    save_state(tmp_path / "detector", {"mean": student(OPTIONS).state_dict(), "step": 0})
    first = assemble(whole, tmp_path / "detector", tmp_path / "model", size=(64, 32), min_score=0.3)
    again = assemble(whole, first, tmp_path / "again", size=(64, 32), min_score=0.3, name="small", tiles=(1, 3))  # the model's detector
    assert (first / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    model = open_folder(first, "cpu")
    assert (model.name, model.min_score, model.embedding_dim) == ("nano", 0.3, 256)
    other = read_config(again)
    assert (other["name"], other["detector"]["tiles"], other["detector"]["activation"]) == ("small", [1, 3], OPTIONS.activation)
    rows = model.embed_crops([np.full((60, 30, 3), 90, np.uint8)])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)


def test_merged_batch_norms_change_nothing() -> None:
    torch.manual_seed(0)
    network, other = ReidNetwork(config(32, 32)).eval(), ReidNetwork(config(32, 32)).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    state = merged(network)
    other.load_state_dict(state)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(other(pixels), network(pixels), atol=1e-4, rtol=0)
    assert {state[name].unique().item() for name in state if name.endswith("running_mean")} == {0}


def test_a_start_from_features(tmp_path: Path) -> None:
    """Their names differ, their order is ours; their last layer is wider."""
    torch.manual_seed(0)
    network, other = ReidNetwork(config(32, 32)), ReidNetwork(config(32, 32).model_copy(update={"crop_norm": False}))
    features = other.backbone.features.state_dict()
    wide = {name: torch.cat([tensor, tensor]) if name.startswith("18.") and tensor.ndim else tensor for name, tensor in features.items()}
    torch.save({f"theirs.{number}": tensor for number, tensor in enumerate(wide.values())}, tmp_path / "features.pt")
    load_features(network, tmp_path / "features.pt")
    assert all(torch.equal(tensor, features[name]) for name, tensor in network.backbone.features.state_dict().items())
