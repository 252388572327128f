"""The files beside an ONNX file that hold its weights."""

import os
import re
from pathlib import Path

from personsearch.errors import WeightsError


def external_names(path: Path) -> list[str]:
    """Paths, relative to its folder, of the files with external weights of an ONNX file."""
    # onnx.proto: TensorProto.external_data is a list of (key, value) strings, each after its length
    names = set()
    content = path.read_bytes()
    for match in re.finditer(rb"\n\x08location\x12([\x01-\x7f])", content):
        names.add(content[match.end() : match.end() + match.group(1)[0]].decode("utf-8", errors="replace"))
    return sorted(names)


def external_files(path: Path) -> list[Path]:
    """The files of `external_names`.

    Raises:
        WeightsError: a file is missing.
    """
    files = [path.parent / name for name in external_names(path)]
    for file in files:
        if not os.path.isfile(file):
            raise WeightsError(f"{path} needs its weights in {file}, which is missing; put the file there")
    return files
