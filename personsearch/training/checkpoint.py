"""What a training leaves behind: a state to resume, a model folder, and a log that can be plotted."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from personsearch.boxes import Array
from personsearch.convert import load_plain
from personsearch.errors import DataError, MissingExtraError, WeightsError, excerpt
from personsearch.options import from_json
from personsearch.weights import CONFIG_FILE, WEIGHTS_FILE, save_model

STATE_FILE = "training.pt"
LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"
MODEL_FOLDER = "model"


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a training; a crash leaves the old file or the new one, never half of one.

    Raises:
        OSError: The file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / STATE_FILE
    torch.save(dict(state), temporary := target.with_suffix(".new"))
    os.replace(temporary, target)


def load_state(folder: Path) -> dict[str, Any]:
    """The state of a training, tensors on the CPU; `step` is a whole number.

    Raises:
        DataError: The file is missing, damaged, or holds something else.
    """
    path = folder / STATE_FILE
    if not os.path.isfile(path):
        raise DataError(f"{folder} has no {STATE_FILE} to resume; start without resuming")
    try:
        state = load_plain(path)
    except WeightsError as error:
        reason = excerpt(error.__cause__, 120)
        raise DataError(f"{path} is damaged or not a training's state ({reason}); delete it and start again") from error
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise DataError(f"{path} is not the state of a training; delete it and start again")
    return dict(state)


def save_trained(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    """Write a model folder, each file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        save_model(Path(temporary), config, tensors)
        for name in (WEIGHTS_FILE, CONFIG_FILE):
            os.replace(Path(temporary) / name, folder / name)


class Log:
    """One JSON object a line: `step`, `epoch`, and numbers; pandas reads it with `read_json(path, lines=True)`.

    Args:
        folder: folder of the training.
        step: step from which the training continues; lines of later steps, from a run that was cut off, are dropped.
        board: TensorBoard's writer, which gets the same numbers; None: no TensorBoard.

    Raises:
        DataError: A line of the log is not a JSON object with its step.
    """

    def __init__(self, folder: Path, step: int, board: Any = None) -> None:
        self.board = board
        self.path = folder / LOG_FILE
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines() if step and self.path.is_file() else []
        earlier = [line for number, line in enumerate(lines, 1) if line.endswith("}") and self._step(line, number) <= step]
        folder.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(f"{line}\n" for line in earlier), encoding="utf-8")
        self._last: dict[str, float] = json.loads(earlier[-1]) if earlier else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.board is not None:
            self.board.close()

    def _step(self, line: str, number: int) -> int:
        values = from_json(line, f"{self.path}, line {number},", error=DataError)
        step = values.get("step") if isinstance(values, dict) else None
        if not isinstance(step, int):
            raise DataError(f"{self.path}, line {number}, has no step; delete the line")
        return step

    def measured(self, step: int) -> bool:
        """Whether the log that was gone on with ends with the measurement after this step; a step's own line has its `loss`."""
        return self._last.get("step") == step and "loss" not in self._last

    def write(self, **numbers: float) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(numbers) + "\n")
        if self.board is not None:
            for name in numbers.keys() - {"step", "epoch"}:
                self.board.add_scalar(name, float(numbers[name]), int(numbers["step"]))
            self.board.flush()


def open_board(folder: Path, step: int) -> Any:
    """TensorBoard's writer of torch for the folder of a training.

    Args:
        folder: Folder of the training.
        step: Step from which the training continues; TensorBoard hides what an interrupted run wrote of later steps.

    Raises:
        MissingExtraError: the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard is not installed; run: pip install 'personsearch[tensorboard]'") from error
    return SummaryWriter(str(folder / BOARD_FOLDER), purge_step=step + 1)
