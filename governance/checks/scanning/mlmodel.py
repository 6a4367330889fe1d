"""Read the fields of MLmodel that name code or files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from governance.checks.base import Finding
from governance.checks.scanning import allowlist
from governance.checks.scanning.documents import leaves, shown

_KNOWN_LOADERS = frozenset(
    f"mlflow.{flavour}"
    for flavour in [
        *("catboost", "diviner", "fastai", "h2o", "johnsnowlabs", "keras", "langchain", "lightgbm", "mleap", "onnx", "openai"),
        *("paddle", "pmdarima", "prophet", "pytorch", "sentence_transformers", "shap", "sklearn", "spacy", "spark"),
        *("statsmodels", "tensorflow", "transformers", "xgboost"),
    ]
)
_CODE_LOADERS = ("mlflow.pyfunc.model", "mlflow.pyfunc.loaders")
_CODE_KEYS = frozenset({"code", "python_model", "model_code_path", "code_path", "code_paths"})
_FILE_KEYS = frozenset({"model_path", "pickled_model", "data", "model_data", "python_model", "model_code_path", "path", "uri"})
_MORE_PATHS = frozenset({"code", "conda", "virtualenv", "env", "serving_input_path", "model_binary", "pipeline", "tokenizer"})
_REMOTE_KEYS = frozenset({"trust_remote_code", "allow_dangerous_deserialization"})


def mlmodel_findings(parsed: Any, location: str) -> Iterator[Finding]:
    """Yield findings on the fields of MLmodel that name code or files."""
    flavours = parsed.get("flavors") if isinstance(parsed, Mapping) else None
    if not isinstance(flavours, Mapping) or not flavours:
        yield Finding("no-flavour", "medium", location, "MLmodel names no flavour, so no known loader can load it.")
        return
    for name, fields in flavours.items():
        place = f"{location}:flavors.{str(name)[:100]}"
        if isinstance(fields, Mapping):
            yield from _flavour(fields, place)
        else:
            yield Finding("no-flavour", "medium", place, f"The flavour is {shown(fields)}, which no loader can read.")
    example = parsed.get("saved_input_example_info")
    for key, value in leaves(example):
        if isinstance(value, str) and key.endswith("path") and _escapes(value):
            place = f"{location}:saved_input_example_info"
            yield Finding("path-escape", "high", place, f"{key} = {shown(value)} points outside of the model's folder.")


def _flavour(fields: Mapping[Any, Any], place: str) -> Iterator[Finding]:
    loader = fields.get("loader_module")
    if isinstance(loader, str) and loader.startswith(_CODE_LOADERS):
        message = f"{loader[:200]} loads a model that is Python code of its author. Review the code."
        yield Finding("custom-code", "medium", place, message)
    elif loader is not None and (not isinstance(loader, str) or loader not in _KNOWN_LOADERS):
        message = f"Loading imports {shown(loader)}, which is not a flavour of MLflow."
        yield Finding("unknown-loader", "high", place, message)
    origins = _origins(fields)
    for key, value in leaves(fields):
        if key in _CODE_KEYS and value:
            message = f"{key} = {shown(value)}: the model brings Python code. Review the code."
            yield Finding("custom-code", "medium", place, message)
        if key in _FILE_KEYS | _MORE_PATHS and isinstance(value, str) and _escapes(value) and (key, value) not in origins:
            yield Finding("path-escape", "high", place, f"{key} = {shown(value)} points outside of the model's folder.")
        if key in _REMOTE_KEYS and value:
            message = f"{key} = {shown(value)}: the loader is asked to run code that comes with the model or from elsewhere."
            yield Finding("remote-code", "high", place, message)
        if key == "skops_trusted_types":
            yield from _trusted(value, place)


def _origins(fields: Mapping[Any, Any]) -> set[tuple[str, str]]:
    """Return where MLflow notes that artifacts of a pyfunc model were copied from; its loader opens the copies, at their `path`."""
    artifacts = fields.get("artifacts") if fields.get("loader_module") == "mlflow.pyfunc.model" else None
    held = artifacts.values() if isinstance(artifacts, Mapping) else ()
    return {("uri", each["uri"]) for each in held if isinstance(each, Mapping) and isinstance(each.get("uri"), str)}


def _trusted(value: Any, place: str) -> Iterator[Finding]:
    for name in value if isinstance(value, list) else [value]:
        if name and not (isinstance(name, str) and allowlist.allows_type(name)):
            message = f"MLmodel asks the loader to trust {shown(name)}, which is not known."
            yield Finding("trusted-type", "high", place, message)


def _escapes(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/"))
    return "://" in path or parts.is_absolute() or ".." in parts.parts or path[1:2] == ":"


def code_folders(parsed: Any) -> set[str]:
    """Return the folders that MLmodel tells a loader to import from, as long as they lie in the model's own."""
    flavours = parsed.get("flavors") if isinstance(parsed, Mapping) else None
    held = flavours.values() if isinstance(flavours, Mapping) else ()
    named = [fields.get("code") for fields in held if isinstance(fields, Mapping)]
    return {each for each in named if isinstance(each, str) and each and not _escapes(each)}


def named_files(parsed: Any) -> set[str]:
    """Return the files that MLmodel tells a loader to open, whatever their names end with."""
    flavours = parsed.get("flavors") if isinstance(parsed, Mapping) else None
    pairs = leaves(flavours) if isinstance(flavours, Mapping) else []
    return {str(PurePosixPath(value)) for key, value in pairs if key in _FILE_KEYS and isinstance(value, str)}
