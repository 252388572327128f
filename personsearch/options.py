"""The choices of how a model runs."""

from typing import Literal, TypeAlias

Backend: TypeAlias = Literal["auto", "torch", "onnx"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
