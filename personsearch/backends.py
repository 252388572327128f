"""The engine that runs a model: PyTorch, or ONNX Runtime on an exported file or the ONNX files of a folder.

PyTorch is imported for a model that runs on it, and for no other.
"""

import logging
from pathlib import Path

from personsearch.errors import ConfigError, DeviceError
from personsearch.models import open_folder
from personsearch.models.base import PersonModel
from personsearch.models.exported import OnnxSceneModel
from personsearch.models.nano.onnx import has_onnx, open_onnx_folder
from personsearch.models.onnx_device import resolve_onnx_device
from personsearch.models.two_step import set_tiles
from personsearch.options import Backend, Precision

logger = logging.getLogger(__name__)

ONNX_SUFFIX = ".onnx"


def open_path(
    path: Path, *, device: str, backend: Backend, precision: Precision, compiled: bool, tiles: tuple[int, int] | None
) -> PersonModel:
    """The model of an exported file or of a folder, whose detector searches tiles too if there are any.

    Raises:
        ConfigError, WeightsError, DeviceError, CompilerError: see `open_file`, `open_model` and `set_tiles`.
    """
    opened = open_file if path.name.endswith(ONNX_SUFFIX) else open_model
    model = opened(path, device, backend, precision=precision, compiled=compiled)
    if tiles is not None:
        set_tiles(model, tiles)
    return model


def open_file(file: Path, device: str, backend: Backend, *, precision: Precision = "float32", compiled: bool = False) -> PersonModel:
    """The model of an exported file.

    Raises:
        ConfigError: an option needs PyTorch.
        WeightsError, DeviceError: see `OnnxSceneModel`.
    """
    if backend == "torch" or compiled or precision != "float32":
        raise ConfigError(f"{file} runs on ONNX Runtime in float32; leave backend, precision and compiled out, or open the model's folder")
    return OnnxSceneModel(file, device=device)


def open_model(folder: Path, device: str, backend: Backend, *, precision: Precision = "float32", compiled: bool = False) -> PersonModel:
    """The model of a folder; "auto" takes ONNX Runtime on a CPU where the folder has files for it, else PyTorch.

    Raises:
        ConfigError: `backend` is "onnx" and the folder has no ONNX files; or as in `models.open_folder`.
        ConfigError, CompilerError: `precision` or `compiled` does not fit, see `set_precision` and `compile_model`.
    """
    if compiled or precision != "float32":
        if backend == "onnx":
            raise ConfigError('precision and compiled need PyTorch; leave them or backend="onnx" out')
        model = open_folder(folder, device)
        if precision != "float32":
            from personsearch.models.scene import set_precision

            set_precision(model, precision)
        if compiled:
            from personsearch.models.fast.compiled import compile_model

            compile_model(model)
        logger.info("opened %s with PyTorch in %s%s", folder, precision, ", compiled" if compiled else "")
        return model
    if backend == "onnx" and not has_onnx(folder):
        raise ConfigError(f'backend="onnx": {folder} has no ONNX files; run: personsearch export {folder} model.onnx, and pass model.onnx')
    if has_onnx(folder) and (backend == "onnx" or (backend == "auto" and not _torch_has_cuda(device))):
        logger.info("opening %s with ONNX Runtime, device %s", folder, device)
        return open_onnx_folder(folder, device)
    logger.info("opening %s with PyTorch, device %s", folder, device)
    return open_folder(folder, device)


def _torch_has_cuda(device: str) -> bool:
    """Whether `device` is CUDA, and PyTorch is installed and can use it; PyTorch is not imported on a machine without CUDA."""
    if resolve_onnx_device(device) == "cpu":
        return False
    try:
        from personsearch.models.device import resolve_device

        return resolve_device(device) != "cpu"
    except (ModuleNotFoundError, DeviceError):
        return False
