"""Ten kills of the commands that write; `python -m tests.fuzz.kills` makes as many as wanted."""

import pytest

from tests.fuzz import kills


@pytest.mark.slow
def test_killed_commands_leave_nothing_half_done() -> None:
    counts = kills.kill_all(10, seed=1, names=[name for name in kills.SCENARIOS if name != "export"])
    assert sum(done for done, _ in counts.values()) == 10
    assert [line for _, faults in counts.values() for line in faults] == []


def test_a_half_scene_is_a_fault(tmp_path) -> None:
    """The check itself must be able to fail."""
    kills.prepare(tmp_path)
    from personsearch import Gallery

    Gallery.open(tmp_path / "gallery.lance").remove_person(str(tmp_path / "photos" / "01.png"), 0)
    with pytest.raises(AssertionError, match="half there"):
        kills._after_remove(tmp_path)


@pytest.mark.slow
def test_a_killed_export_leaves_nothing_half_done() -> None:
    ((done, faults),) = kills.kill_all(1, seed=1, names=["export"]).values()
    assert (done, faults) == (1, [])
