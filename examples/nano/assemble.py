"""From the two trainings to a model folder: float16 weights and config.

`python -m examples.nano.assemble --reid DIR --detector DIR --out DIR`; then `personsearch export DIR DIR` adds
the ONNX files, and `examples.nano.calibrate` the calibration.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from examples.nano.command import run
from personsearch.boxes import Array
from personsearch.models.nano.model import DETECTOR, EMBEDDER, NanoConfig
from personsearch.training.checkpoint import load_state
from personsearch.training.learners.base import tensors_of
from personsearch.weights import save_model

TRAINED_ON = "rendered people; coco128; a video of Intel and public-domain and MIT photographs, labelled by YOLOX-nano"


def assemble(reid: Path, detector: Path, out: Path, *, min_score: float) -> Path:
    """The model of two states, the running means of their weights."""
    tensors: dict[str, Array] = {}
    for prefix, training in ((DETECTOR, detector), (EMBEDDER, reid)):
        mean = load_state(training)["mean"]
        tensors |= {prefix + name: array.astype(np.float16) for name, array in tensors_of(mean).items()}
    config = NanoConfig(name="nano", trained_on=TRAINED_ON, min_score=min_score)
    save_model(out, config.model_dump(mode="json"), tensors)
    return out


def main(
    reid: Annotated[Path, typer.Option(help="Folder of the crop network's training.")],
    detector: Annotated[Path, typer.Option(help="Folder of the detector's training.")],
    out: Annotated[Path, typer.Option(help="The model folder to make.")],
    min_score: float = 0.48,
) -> None:
    """Make the model folder."""
    assemble(reid, detector, out, min_score=min_score)


if __name__ == "__main__":
    run(main)
