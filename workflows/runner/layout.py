"""What the two processes of a check are given: their command, their environment, and the little they may see."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import governance.checks
from governance.checks import predictor
from workflows.runner import bubblewrap, plugins
from workflows.runner.bubblewrap import Bind
from workflows.runner.environments import Environment
from workflows.runner.limits import Limits
from workflows.runner.outcome import Isolation


@dataclass(frozen=True)
class Job:
    """What is to be started. descriptors: those that it takes along."""

    command: list[str]
    environment: dict[str, str]
    cwd: Path
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What the measuring process reads besides the spec. others: further data sets by name. champion_dir: files to compare with.

    answers: what was noted of the models' answers, in the order of the files in the spec.
    """

    model_dir: Path | None
    dataset_path: Path | None
    others: Mapping[str, Path]
    champion_dir: Path | None = None
    answers: tuple[Path, ...] = ()

    def boxed(self) -> tuple[Inputs, list[Bind]]:
        """Return where they lie inside of a box, and what brings them there."""
        binds = []

        def inside(source: Path, *place: str) -> Path:
            target = bubblewrap.INPUT.joinpath(*place)
            binds.append(Bind(source.resolve(), target))
            return target

        moved = Inputs(
            inside(self.model_dir, "model") if self.model_dir else None,
            inside(self.dataset_path, "data", self.dataset_path.name) if self.dataset_path else None,
            {name: inside(path, "others", path.name) for name, path in self.others.items()},
            inside(self.champion_dir, "champion") if self.champion_dir else None,
            tuple(inside(path, "answers", path.name) for path in self.answers),
        )
        return moved, binds


@dataclass(frozen=True)
class Respondent:
    """A model that a process of its own answers for. name: how the measuring process calls it: model, again or champion."""

    name: str
    model_dir: Path
    environment: Environment


class Pipes:
    """A pipe for requests to a model and one for its answers."""

    def __init__(self) -> None:
        self.requests_out, self.requests_in = os.pipe()
        self.answers_out, self.answers_in = os.pipe()
        self._open = [self.requests_out, self.requests_in, self.answers_out, self.answers_in]

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ends that this process holds, so that each of the two learns when the other has ended."""
        while self._open:
            os.close(self._open.pop())


def measuring(
    folder: Path, spec: Mapping[str, Any], inputs: Inputs, isolation: Isolation, limits: Limits, pipes: Mapping[str, Pipes]
) -> Job:
    """Lay out the input and output folders. They belong to this process's user, which is the child's user as well.

    pipes: those to each respondent, by its name.
    """
    for name in ("in", "out", "tmp"):
        (folder / name).mkdir(mode=0o700)
    boxed = isolation is Isolation.BUBBLEWRAP
    seen, binds = inputs.boxed() if boxed else (inputs, [])
    spec_file = folder / "in" / "spec.json"
    spec_file.write_text(json.dumps(_with_paths(spec, seen)), encoding="utf-8")
    descriptors = tuple(end for each in pipes.values() for end in (each.answers_out, each.requests_in))
    named = [f"{name}:{each.answers_out}:{each.requests_in}" for name, each in pipes.items()]
    arguments = [str(bubblewrap.interpreter()), "-s", "-P", "-m", "governance.checks.execute"]
    if not boxed:
        arguments += [str(spec_file), str(folder / "out"), *named]
        return Job(arguments, _environment(folder / "tmp", [_project(), *plugins.outside()]), folder / "tmp", descriptors)
    arguments += [str(bubblewrap.INPUT / "spec.json"), str(bubblewrap.OUTPUT), *named]
    brought, places = _plugins()
    environment = _environment(Path("/tmp"), [bubblewrap.CODE, *places])  # noqa: S108  # inside of the sandbox
    binds = [
        *_code(),
        *brought,
        *binds,
        Bind(spec_file, bubblewrap.INPUT / "spec.json"),
        Bind(folder / "out", bubblewrap.OUTPUT, writable=True),
    ]
    command = bubblewrap.command(arguments, binds=binds, environment=environment, scratch_bytes=limits.file_bytes)
    return Job(command, {}, folder / "tmp", descriptors)


def predicting(folder: Path, respondent: Respondent, isolation: Isolation, limits: Limits, pipes: Pipes, *, soon: bool) -> Job:
    """Return the job that a model answers from: of everything else it sees its own files alone. soon: it will surely be asked."""
    answering, model_dir = respondent.environment, respondent.model_dir
    scratch, alone = folder / f"{respondent.name}-tmp", folder / f"{respondent.name}-code"
    scratch.mkdir(mode=0o700)
    alone.mkdir(mode=0o700)
    descriptors = (pipes.requests_out, pipes.answers_in)
    boxed = isolation is Isolation.BUBBLEWRAP
    code = Path(shutil.copy(predictor.__file__, alone))  # what lies beside it would be importable
    inside_code, inside_model = (bubblewrap.CODE / code.name, bubblewrap.INPUT / "model") if boxed else (code, model_dir)
    arguments = [str(answering.python), "-s", str(inside_code), str(inside_model), *map(str, descriptors)]
    arguments += ["--soon"] if soon else []
    # Asked again, a model must not find its sets of texts in the same order by our doing.
    seed = {"PYTHONHASHSEED": "1"} if respondent.name == "again" else {}
    if not boxed:
        return Job(arguments, _environment(scratch) | seed, scratch, descriptors)
    command = bubblewrap.command(
        arguments,
        binds=[Bind(code, inside_code), Bind(model_dir.resolve(), inside_model)],
        environment=_environment(Path("/tmp")) | seed,  # noqa: S108  # inside of the sandbox
        scratch_bytes=limits.file_bytes,
        packages=answering.folder,
    )
    return Job(command, {}, scratch, descriptors)


def _with_paths(spec: Mapping[str, Any], seen: Inputs) -> dict[str, Any]:
    dataset, answers = spec.get("dataset"), spec.get("answers")
    if answers:
        files = [{**each, "path": str(path)} for each, path in zip(answers["files"], seen.answers, strict=True)]
        spec = {**spec, "answers": {**answers, "files": files}}
    return {
        **spec,
        "model_dir": str(seen.model_dir) if seen.model_dir else None,
        "dataset": {**dataset, "path": str(seen.dataset_path)} if dataset and seen.dataset_path else None,
        "others": {name: str(path) for name, path in seen.others.items()},
        "champion_dir": str(seen.champion_dir) if seen.champion_dir else None,
    }


def _code() -> list[Bind]:
    code = Path(governance.checks.__path__[0])
    return [
        Bind(code.parent / "__init__.py", bubblewrap.CODE / "governance" / "__init__.py"),
        Bind(code, bubblewrap.CODE / "governance" / "checks"),
    ]


def _plugins() -> tuple[list[Bind], list[Path]]:
    """Return what brings plug-ins from outside of the interpreter's packages into a box, and where they are imported from there."""
    binds, places = [], []
    for number, (folder, names) in enumerate(plugins.outside().items()):
        places.append(bubblewrap.PLUGINS / str(number))
        binds += [Bind(folder / name, places[-1] / name) for name in sorted(names)]
    return binds, places


def _project() -> Path:
    return Path(governance.checks.__path__[0]).parents[1]


def _environment(scratch: Path, code: Iterable[Path] = ()) -> dict[str, str]:
    """Return the whole environment of a child: no secret of the worker is in it. code: where it imports from besides its packages."""
    imported_from = os.pathsep.join(map(str, code))
    one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        **dict.fromkeys(one_thread, "1"),
        "PATH": "/nowhere",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **({"PYTHONPATH": imported_from} if imported_from else {}),
        # Arrow's own allocator sets a GiB of addresses aside at its first use, which is half of the limit.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_TRACKING_URI": f"file:{scratch}",
        "GIT_PYTHON_REFRESH": "quiet",
    }
