"""The environment that a model asks for: the worker's own if it satisfies the model's pins, else one built from them and kept.

It is built from wheels alone, so nothing that the model names runs while it is built, and by uv, which may ask the configured index and
refuses the rest: addresses, version control, paths, options.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from core import foreign_yaml
from workflows.runner.results import printable

_MOST_BYTES = 1 << 20
_MOST_LINES = 1000
_LONGEST_MESSAGE = 1500
_READY = ".ready"
# What answers for a model needs these; a model that does not pin them gets what its other pins allow.
_PREDICTOR = ("mlflow", "pandas", "pyarrow")
# What a model that names mlflow alone may count on besides.
_WITH_MLFLOW = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
_PASSED_ON = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)


class EnvironmentFailed(Exception):
    """The environment cannot be had: a stable `code`, and a sentence that names the requirement and says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Asked:
    """What a model asks for. python: such as `3.11`, or "" for any. requirements: PEP 508, in the order of the file.

    mlflow: the version that saved it, or "": with it the model is loaded where its requirements name none.
    """

    python: str
    requirements: tuple[Requirement, ...]
    mlflow: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 in hex over all that decides what is built: requirements, Python and machine."""
        lines = sorted(str(each) for each in self.requirements)
        asked = [lines, self.mlflow, self.python or _own_python(), platform.system(), platform.machine()]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """An interpreter with the packages a model asks for. folder: None for the worker's own. said: how it came about, for the evidence."""

    python: Path
    folder: Path | None
    said: str


@dataclass(frozen=True)
class Builder:
    """Where environments are kept and how they are built.

    program: uv, or None where there is none. index: address of the package index, or "" for the one that uv's own settings name.
    """

    folder: Path
    program: Path | None
    index: str = ""
    timeout_seconds: float = 900.0


def asked_by(model_dir: Path) -> Asked:
    """Return what a model's files ask for. Raises EnvironmentFailed for what is no name and version, naming the line.

    `requirements.txt` counts, else what `conda.yaml` hands to pip, as MLflow does it; `python_env.yaml` names the Python.
    """
    python_env, conda, mlmodel = (_yaml(model_dir / name) for name in ("python_env.yaml", "conda.yaml", "MLmodel"))
    text = _text(model_dir / "requirements.txt")
    lines = text.splitlines() if text is not None else _of_conda(conda)
    if len(lines) > _MOST_LINES:
        raise EnvironmentFailed("requirement_refused", f"The model has more than {_MOST_LINES} requirement lines.")
    found = [_requirement(line) for line in map(_without_comment, lines) if line]
    python, saved_by = python_env.get("python") or _python_of_conda(conda), mlmodel.get("mlflow_version")
    applying = tuple(each for each in found if _applies(each))
    return Asked(_minor(python), applying, str(_version(saved_by, "mlflow")) if saved_by else "")


def unmet(asked: Asked) -> list[str]:
    """Return those of the requirements that the worker's own environment does not satisfy."""
    missing = [f"python=={asked.python}"] if asked.python not in ("", _own_python()) else []
    for each in asked.requirements:
        has = _installed(each.name)
        if not has or not each.specifier.contains(has, prereleases=True):
            missing.append(str(each))
    return missing


def _installed(name: str) -> str:
    """Return the version of a package in the worker's own environment, or "" for none.

    mlflow is mlflow-skinny, which has all the code that loads models, and what mlflow brings along that a model may compute with.
    """
    try:
        return version(name)
    except PackageNotFoundError:
        if canonicalize_name(name) == "mlflow" and all(map(_installed, _WITH_MLFLOW)):
            return _installed("mlflow-skinny")
        return ""


def provide(asked: Asked, builder: Builder, progress: Callable[[str], object]) -> Environment:
    """Return an environment that satisfies what is asked, building it if nobody has. Raises EnvironmentFailed."""
    missing = unmet(asked)
    if not missing:
        return Environment(Path(sys.executable), None, "the worker's own, which satisfies the model's requirements")
    folder = builder.folder / asked.digest
    builder.folder.mkdir(parents=True, exist_ok=True)
    with (builder.folder / f"{asked.digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever else needs the same waits for it
        if not (folder / _READY).exists():
            progress(f"Building the model's environment: {_shortened(missing)} not in the worker's own")
            _build(asked, folder, builder)
    return Environment(folder / "bin" / "python", folder, f"built from the model's requirements, sha256:{asked.digest}")


def _build(asked: Asked, folder: Path, builder: Builder) -> None:
    if builder.program is None:
        raise EnvironmentFailed(
            "environment_unavailable",
            f"The model needs {_shortened(unmet(asked))}, which the worker's environment has not, and none is built here. Install uv on "
            "the hosts of checks (with MODEL_ENVIRONMENTS=build), or register the model with versions that they have.",
        )
    shutil.rmtree(folder, ignore_errors=True)
    lines = folder.with_suffix(".txt")
    lines.write_text(
        "".join(f"{each}\n" for each in [*map(str, asked.requirements), *_for_the_predictor(asked)]), encoding="utf-8"
    )
    python = sys.executable if asked.python in ("", _own_python()) else asked.python
    _uv(builder, "venv", "--quiet", "--no-project", "--no-python-downloads", "--python", python, str(folder))
    index = ["--default-index", builder.index] if builder.index else []
    wheels = ["--only-binary", ":all:", "--python", str(folder / "bin" / "python"), "--requirement", str(lines)]
    _uv(builder, "pip", "install", "--quiet", *index, *wheels)
    (folder / _READY).touch()


def _for_the_predictor(asked: Asked) -> list[str]:
    named = {canonicalize_name(each.name) for each in asked.requirements}
    lines = [name for name in _PREDICTOR if name not in named and f"{name}-skinny" not in named]
    return [f"mlflow=={asked.mlflow}" if name == "mlflow" and asked.mlflow else name for name in lines]


def _uv(builder: Builder, *arguments: str) -> None:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(builder.folder),
        "UV_CACHE_DIR": str(builder.folder / "cache"),
    }
    command = [str(builder.program), "--no-config", "--no-progress", "--color", "never", *arguments]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=builder.timeout_seconds,
            check=False,
            cwd=builder.folder,
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentFailed(
            "environment_failed", f"The model's environment was not built within {builder.timeout_seconds:g} seconds. Try again."
        ) from None
    if done.returncode:
        said = re.sub(r"\s+", " ", printable(done.stderr)).strip()[:_LONGEST_MESSAGE]
        raise EnvironmentFailed(
            "environment_failed",
            f"The model's environment cannot be built: {said} Register the model with requirements that the package index has as wheels.",
        )


def _requirement(line: str) -> Requirement:
    if line.startswith("-"):
        raise EnvironmentFailed(
            "requirement_refused", f"The requirement {line[:200]!r} is an option for pip. Name packages alone."
        )
    try:
        found = Requirement(line)
    except (InvalidRequirement, RecursionError) as cause:
        raise EnvironmentFailed(
            "requirement_refused",
            f"The requirement {line[:200]!r} is not the name and version of a package ({str(cause)[:200]}).",
        ) from None
    if found.url:
        raise EnvironmentFailed(
            "requirement_refused", f"The requirement {line[:200]!r} names an address. Name a version that the package index has."
        )
    return found


def _applies(requirement: Requirement) -> bool:
    try:
        return requirement.marker is None or requirement.marker.evaluate()
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, RecursionError) as cause:
        raise EnvironmentFailed(
            "requirement_refused",
            f"When the requirement {str(requirement)[:200]!r} applies cannot be told ({str(cause)[:200]}). Correct what follows the semicolon.",
        ) from None


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line).strip()


def _of_conda(conda: Mapping[str, Any]) -> list[str]:
    """Return what is handed to pip; what conda itself would install beside Python is refused, since there is no conda here."""
    lines: list[str] = []
    for dependency in _listed(conda.get("dependencies")):
        if isinstance(dependency, Mapping):
            lines += map(str, _listed(dependency.get("pip")))
        elif not re.match(r"(python|pip)\b", str(dependency)):
            raise EnvironmentFailed(
                "requirement_refused",
                f"The requirement {str(dependency)[:200]!r} is one for conda. Name it under pip in conda.yaml.",
            )
    return lines


def _python_of_conda(conda: Mapping[str, Any]) -> str:
    named = [re.match(r"python={1,2}([\d.]+)", str(each)) for each in _listed(conda.get("dependencies"))]
    return next((found[1] for found in named if found), "")


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _minor(text: object) -> str:
    given = _version(text, "Python") if text else None
    return f"{given.major}.{given.minor}" if given else ""


def _version(text: object, of: str) -> Version:
    try:
        return Version(str(text))
    except InvalidVersion:
        raise EnvironmentFailed("requirement_refused", f"The version {str(text)[:50]!r} of {of} is none.") from None


def _own_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _yaml(path: Path) -> Mapping[str, Any]:
    text = _text(path)
    try:
        parsed = foreign_yaml.load(text) if text else {}
    except ValueError as cause:
        raise EnvironmentFailed("requirement_refused", f"{path.name} cannot be read: {str(cause)[:200]}") from None
    return parsed if isinstance(parsed, Mapping) else {}


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    if path.stat().st_size > _MOST_BYTES:
        raise EnvironmentFailed("requirement_refused", f"{path.name} is larger than {_MOST_BYTES} bytes.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise EnvironmentFailed("requirement_refused", f"{path.name} is not UTF-8 text.") from None


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
