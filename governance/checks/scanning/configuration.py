"""Read the text files that tell MLflow what to install and what to import."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from governance.checks.base import Finding
from governance.checks.scanning import allowlist

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
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[A-Za-z0-9._,\s-]*\])?\s*(\(?[<>=!~][^;@/\\]*\)?)?\s*(;[^@/\\]*)?\Z")
_CHANNELS = frozenset({"conda-forge", "defaults", "nodefaults", "pytorch", "nvidia"})


def yaml_findings(text: str, location: str) -> list[Finding]:
    """Return a finding for every tag that a full YAML loader would turn into a Python object, and for broken YAML."""
    findings = []
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            tag = getattr(event, "tag", None) or ""
            if tag.startswith("tag:yaml.org,2002:python") or "python/" in tag:
                message = f"The tag {tag} makes a full YAML loader run Python code."
                findings.append(Finding("yaml-tag", "critical", location, message))
            elif tag and not tag.startswith("tag:yaml.org,2002:"):
                findings.append(Finding("yaml-tag", "medium", location, f"The tag {tag} is not part of plain YAML."))
    except (yaml.YAMLError, RecursionError) as cause:
        findings.append(Finding("unreadable", "medium", location, f"The YAML cannot be read: {cause}"))
    return findings


def mlmodel_findings(parsed: Any, location: str) -> Iterator[Finding]:
    """Yield findings on the fields of MLmodel that name code or files."""
    flavours = parsed.get("flavors") if isinstance(parsed, Mapping) else None
    if not isinstance(flavours, Mapping) or not flavours:
        yield Finding("no-flavour", "medium", location, "MLmodel names no flavour, so no known loader can load it.")
        return
    for name, fields in flavours.items():
        if isinstance(fields, Mapping):
            yield from _flavour(str(name), fields, location)


def _flavour(name: str, fields: Mapping[Any, Any], location: str) -> Iterator[Finding]:
    place = f"{location}:flavors.{name}"
    loader = fields.get("loader_module")
    if isinstance(loader, str) and loader.startswith(_CODE_LOADERS):
        yield Finding(
            "custom-code", "medium", place, f"{loader} loads a model that is Python code of its author. Review the code."
        )
    elif loader is not None and loader not in _KNOWN_LOADERS:
        yield Finding("unknown-loader", "high", place, f"Loading imports {loader!r}, which is not a flavour of MLflow.")
    origins = _origins(fields)
    for key, value in _leaves(fields):
        if key in _CODE_KEYS and value:
            yield Finding("custom-code", "medium", place, f"{key} = {value!r}: the model brings Python code. Review the code.")
        if key in _FILE_KEYS and isinstance(value, str) and _escapes(value) and (key, value) not in origins:
            yield Finding("path-escape", "high", place, f"{key} = {value!r} points outside of the model's folder.")
    for trusted in _listed(fields.get("skops_trusted_types")):
        if not allowlist.allows_type(str(trusted)):
            yield Finding("trusted-type", "high", place, f"MLmodel asks the loader to trust {trusted!r}, which is not known.")


def _origins(fields: Mapping[Any, Any]) -> set[tuple[str, str]]:
    """Return where MLflow notes that artifacts of a pyfunc model were copied from; its loader opens the copies, at their `path`."""
    artifacts = fields.get("artifacts") if fields.get("loader_module") == "mlflow.pyfunc.model" else None
    held = artifacts.values() if isinstance(artifacts, Mapping) else ()
    return {("uri", each["uri"]) for each in held if isinstance(each, Mapping) and isinstance(each.get("uri"), str)}


def _leaves(fields: Mapping[Any, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of all levels. MLmodel is a tree of a few levels; an alias could make it endless."""
    for key, value in fields.items():
        if isinstance(value, Mapping) and depth < 8:
            yield from _leaves(value, depth + 1)
        else:
            yield str(key), value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _escapes(path: str) -> bool:
    return "://" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts


def code_folders(parsed: Any) -> set[str]:
    """Return the folders that MLmodel tells a loader to import from, as long as they lie in the model's own."""
    flavours = parsed.get("flavors") if isinstance(parsed, Mapping) else None
    named = (
        [fields.get("code") for fields in flavours.values() if isinstance(fields, Mapping)]
        if isinstance(flavours, Mapping)
        else []
    )
    return {each for each in named if isinstance(each, str) and each and not _escapes(each)}


def named_files(parsed: Any) -> set[str]:
    """Return the files that MLmodel tells a loader to open, whatever their names end with."""
    flavours = parsed.get("flavors") if isinstance(parsed, Mapping) else None
    leaves = _leaves(flavours) if isinstance(flavours, Mapping) else []
    return {str(PurePosixPath(value)) for key, value in leaves if key in _FILE_KEYS and isinstance(value, str)}


def requirements_findings(text: str, location: str) -> Iterator[Finding]:
    """Yield a finding for each line that is more than the name and version of a package."""
    for number, line in enumerate(text.splitlines(), 1):
        requirement = re.sub(r"(^|\s)#.*", "", line).rstrip("\\").strip()
        if requirement and not requirement.startswith("--hash="):
            yield from requirement_findings(re.sub(r"\s--hash=\S+", "", requirement), f"{location}:{number}")


def requirement_findings(requirement: str, location: str) -> Iterator[Finding]:
    """Yield at most one finding on one requirement."""
    if requirement.startswith("-"):
        message = f"{requirement!r} is an option for pip: it can change where packages come from."
        yield Finding("requirement-option", "high", location, message)
    elif "://" in requirement or "@" in requirement or requirement.startswith((".", "/", "~", "file:", "git+")):
        message = f"{requirement!r} installs from an address or a path, not a version from the package index."
        yield Finding("requirement-address", "high", location, message)
    elif not _REQUIREMENT.match(requirement):
        yield Finding("requirement-form", "medium", location, f"{requirement!r} is not the name and version of a package.")


def environment_findings(parsed: Any, location: str) -> Iterator[Finding]:
    """Yield findings on conda.yaml or python_env.yaml: channels, packages, and what is handed to pip."""
    if not isinstance(parsed, Mapping):
        yield Finding("unreadable", "medium", location, "The environment is not a mapping.")
        return
    for channel in _listed(parsed.get("channels")):
        if channel not in _CHANNELS:
            yield Finding(
                "conda-channel", "medium", location, f"Packages come from the channel {channel!r}, which is not a usual one."
            )
    for dependency in [*_listed(parsed.get("dependencies")), *_listed(parsed.get("build_dependencies"))]:
        if isinstance(dependency, Mapping):
            for requirement in _listed(dependency.get("pip")):
                yield from requirement_findings(str(requirement), location)
        # MLflow writes this very line into python_env.yaml; the file it names is scanned on its own.
        elif dependency != "-r requirements.txt":
            yield from requirement_findings(str(dependency), location)
