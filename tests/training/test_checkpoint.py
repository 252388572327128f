"""The state and the log of a training: resumed, or refused with what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from personsearch.errors import DataError
from personsearch.training.checkpoint import BOARD_FOLDER, LOG_FILE, STATE_FILE, Log, load_state, open_board, save_state


def test_a_state_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 3, "weights": torch.arange(3)})
    state = load_state(tmp_path)
    assert (state["step"], state["weights"].tolist()) == (3, [0, 1, 2])


@pytest.mark.parametrize("content", [{"weights": torch.ones(1)}, {"step": "3"}, {"step": None}, [3], torch.ones(1), 3])
def test_a_file_without_a_step_is_not_a_state(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / STATE_FILE)
    with pytest.raises(DataError, match="is not the state of a training; delete it and start again"):
        load_state(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\x80\x02}q\x00(X\x04\x00\x00\x00step", b"\x80\x02h\x05.", b"\x80\x02X\x02\x00\x00\x00\xff\xfe."]
)
def test_damaged_states_are_data_errors(tmp_path: Path, content: bytes) -> None:
    """They were a KeyError, an IndexError and a UnicodeDecodeError."""
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(DataError, match=rf"{STATE_FILE} is damaged or not a training's state .*; delete it and start again"):
        load_state(tmp_path)


def test_every_cut_of_a_state_is_a_data_error(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 3, "weights": torch.ones(4)})
    whole = (tmp_path / STATE_FILE).read_bytes()
    for size in range(0, len(whole), 37):
        (tmp_path / STATE_FILE).write_bytes(whole[:size])
        with pytest.raises(DataError):
            load_state(tmp_path)


@pytest.mark.parametrize("line", ['{"stop": 1}', "{}", "{x}", '{"step": "1"}', '{"step": {}}'])
def test_a_damaged_line_of_the_log_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / LOG_FILE).write_text(json.dumps({"step": 1}) + f"\n{line}\n")
    with pytest.raises(DataError, match=r"log\.jsonl, line 2,"):
        Log(tmp_path, 5)


def test_later_lines_of_the_log_are_dropped(tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).write_text("".join(f'{{"step": {step}, "loss": 1}}\n' for step in (1, 2, 3)) + '{"step": 4, "lo')
    Log(tmp_path, 2).write(step=3, loss=2.0)
    assert [json.loads(line)["loss"] for line in (tmp_path / LOG_FILE).read_text().splitlines()] == [1, 1, 2]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads: (step, number) of each name."""
    events = EventAccumulator(str(folder / BOARD_FOLDER)).Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_reads_the_numbers_of_the_log(tmp_path: Path) -> None:
    with Log(tmp_path, 0, open_board(tmp_path, 0)) as log:
        log.write(step=1, epoch=0, loss=1.5)
        log.write(step=2, epoch=0, loss=0.5)
        log.write(step=2, epoch=0, mAP=0.25)
    assert scalars(tmp_path) == {"loss": [(1, 1.5), (2, 0.5)], "mAP": [(2, 0.25)]}


def test_tensorboard_hides_what_a_run_that_was_cut_off_wrote_later(tmp_path: Path) -> None:
    with Log(tmp_path, 0, open_board(tmp_path, 0)) as log:
        for step in (1, 2, 3):
            log.write(step=step, loss=float(step))
    (file,) = (tmp_path / BOARD_FOLDER).iterdir()
    file.rename(file.with_name(file.name.replace("tfevents.", "tfevents.0")))  # files of one second are read by name
    with Log(tmp_path, 1, open_board(tmp_path, 1)) as log:
        log.write(step=2, loss=20.0)
    assert scalars(tmp_path) == {"loss": [(1, 1.0), (2, 20.0)]}


def test_tensorboard_hides_a_run_that_was_cut_off_before_its_first_state(tmp_path: Path) -> None:
    with Log(tmp_path, 0, open_board(tmp_path, 0)) as log:
        for step in (1, 2, 3):
            log.write(step=step, loss=float(step))
    (file,) = (tmp_path / BOARD_FOLDER).iterdir()
    file.rename(file.with_name(file.name.replace("tfevents.", "tfevents.0")))  # files of one second are read by name
    with Log(tmp_path, 0, open_board(tmp_path, 0)) as log:
        log.write(step=1, loss=10.0)
    assert scalars(tmp_path) == {"loss": [(1, 10.0)]}
