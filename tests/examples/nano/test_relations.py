"""The last layer of the crop network that learns how alike the teachers find two pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from examples.nano import relations
from examples.nano.crops import Backbone, config
from examples.nano.pool import files
from examples.nano.relations import learned_map, main, put_into, rows_of, unlike
from personsearch.errors import DataError, WeightsError
from personsearch.models.reid import ReidNetwork
from personsearch.training.checkpoint import load_state, save_state

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (64, 32)


def rows_with_a_common_part(pairs: int = 200) -> tuple[Tensor, Tensor]:
    """Rows of pairs, of which one direction varies a tenth as much as it should and all share a part; and the rows as they should be."""
    generator = torch.Generator().manual_seed(0)
    taught = torch.randn(pairs, 6, generator=generator).repeat_interleave(2, dim=0)
    rows = taught * torch.tensor([1, 1, 1, 1, 1, 0.1]) + torch.tensor([2.0, 0, 0, 0, 0, 0])
    return 5 * rows, taught


def test_a_common_part_of_all_rows_is_learned_away() -> None:
    rows, taught = rows_with_a_common_part()
    matrix, shift = learned_map(rows, taught)
    assert float(unlike(rows @ matrix.T + shift, taught)) < 0.3 * float(unlike(rows, taught))


def test_rows_that_are_right_stay_as_they_are() -> None:
    _, taught = rows_with_a_common_part()
    matrix, shift = learned_map(taught, taught)
    assert float((matrix - torch.eye(6)).abs().max()) < 0.02
    assert float(shift.abs().max()) < 0.02


def test_unlike_compares_the_first_pictures_with_the_second_ones() -> None:
    """By hand: cosines 1 and 0 of the rows, 0 and 1 taught, so that all four differ by one."""
    rows = torch.tensor([[1.0, 0], [2, 0], [0, 1], [0, 3]])
    taught = torch.tensor([[1.0, 0], [0, 1], [0, 1], [1, 0]])
    assert float(unlike(rows, taught)) == pytest.approx(1.0)
    assert float(unlike(rows, 7 * rows)) == pytest.approx(0.0)


def test_the_layer_makes_the_mapped_rows() -> None:
    torch.manual_seed(0)
    layer, matrix, shift, features = nn.Linear(5, 3), torch.randn(3, 3), torch.randn(3), torch.randn(4, 5)
    with torch.no_grad():
        wanted = layer(features) @ matrix.T + shift
        put_into(layer, matrix, shift)
        torch.testing.assert_close(layer(features), wanted)


def folders(folder: Path, *, common: float = 0.0) -> tuple[Path, Path]:
    """A pool of one part, whose rows all have `common` added, and a training."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pool, crops = folder / "pool", folder / "crops"
    pool.mkdir(parents=True)
    pictures, rows = files(pool, 0)
    np.save(pictures, rng.integers(0, 256, (24, 48, 24, 3), np.uint8))
    np.save(rows, rng.normal(size=(24, 8)) + common)
    save_state(crops, {"mean": ReidNetwork(config(*SIZE)).state_dict(), "learner": {"scale1": torch.ones(3)}, "step": 5})
    return pool, crops


def test_the_command_changes_the_last_layer_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The network of the state in --out has the rows of the one before, mapped; nothing else of the state changes."""
    pool, crops = folders(tmp_path)
    main(pool, crops, tmp_path / "out", *SIZE, backbone=Backbone.CROP, first=0, steps=40)
    old, new = load_state(crops), load_state(tmp_path / "out")
    changed = {name for name, tensor in new["mean"].items() if not torch.equal(tensor, old["mean"][name])}
    assert changed == {"neck.0.weight", "neck.0.bias"}
    assert new["step"] == 5
    assert torch.equal(new["learner"]["scale1"], torch.ones(3))
    before, after = capsys.readouterr().out.split("teachers' by ")[1].split(", and with the new layer by ")
    assert float(after) < float(before)


def test_what_all_rows_of_the_teachers_share_does_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    differences = []
    for name, common in (("as they are", 0.0), ("with more in common", 3.0)):
        pool, crops = folders(tmp_path / name, common=common)
        main(pool, crops, tmp_path / name / "out", *SIZE, backbone=Backbone.CROP, first=0, steps=1)
        differences.append(capsys.readouterr().out.split(", and")[0])
    assert differences[0] == differences[1]


def test_the_weight_keeps_the_map_near_the_identity() -> None:
    """Four pairs fit many maps."""
    rows, taught = rows_with_a_common_part(4)
    free, near = (learned_map(rows, taught, near=weight)[0] - torch.eye(6) for weight in (0.0, 1.0))
    assert float(near.norm()) < 0.3 * float(free.norm())


def test_a_training_of_another_network_is_refused(tmp_path: Path) -> None:
    pool, crops = folders(tmp_path)
    with pytest.raises(WeightsError, match="not a training of a crop network with the backbone omni for crops of 64 x 32"):
        main(pool, crops, tmp_path / "out", *SIZE, first=0)


def test_a_pool_without_the_wanted_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    with pytest.raises(DataError, match="has 0 parts, and --first is 27"):
        main(tmp_path / "pool", tmp_path, tmp_path / "out")


def test_rows_do_not_depend_on_how_many_go_through_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network, rng = ReidNetwork(config(*SIZE)).eval(), np.random.default_rng(1)
    pictures = rng.integers(0, 256, (5, 48, 24, 3), np.uint8)
    together = rows_of(network, pictures, np.random.default_rng(2))
    monkeypatch.setattr(relations, "AT_ONCE", 2)
    torch.testing.assert_close(rows_of(network, pictures, np.random.default_rng(2)), together, atol=1e-5, rtol=1e-5)
