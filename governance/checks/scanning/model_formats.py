"""In which formats a model itself can be kept. Settings, texts and tables go with any of them."""

from __future__ import annotations

from typing import Literal, get_args

ModelFormat = Literal[
    "pickle", "skops", "safetensors", "onnx", "numpy", "ubjson", "catboost", "keras", "hdf5", "tensorflow", "torch", "torchscript",
    "gguf", "archive", "code",
]  # fmt: skip
MODEL_FORMATS: tuple[str, ...] = get_args(ModelFormat)
