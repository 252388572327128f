"""Export models as ONNX files."""

from personsearch.export.nano import export_nano
from personsearch.export.scene import export_folder

__all__ = ["export_folder", "export_nano"]
