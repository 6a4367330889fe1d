"""Where the files of a version to be registered lie, by MLflow's rules on ``source``, and whether the actor may take them from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from artifacts import paths
from core import access
from core.access import Actor, Permission
from core.errors import Invalid, NotFound
from core.sql import fetch
from registry import names, rows
from registry.models import AliasAssignment, ModelVersion, Stage, StageAssignment
from registry.sql import columns, instances
from tracking.models import Experiment, LoggedModel, Run

MAX_SOURCE = 2048

# What MLflow's own senders give as the source of a prompt, which has no files.
_PROMPT_SOURCES = ("dummy-source", "prompt-template")


@dataclass(frozen=True)
class Source:
    """A source that was found good. ``run`` and ``logged_model`` are there if they are here and the actor may see them."""

    source: str
    storage_location: str
    run_id: str = ""
    logged_model_id: str = ""
    run: Run | None = None
    logged_model: LoggedModel | None = None
    copied_from: ModelVersion | None = None

    @property
    def folder(self) -> str | None:
        """The folder in our artifact tree, or None if the files lie elsewhere."""
        return paths.path_of(self.storage_location)


def resolve(actor: Actor, source: str, run_id: str | None, logged_model_id: str | None, *, prompt: bool = False) -> Source:
    """Return where a source leads. None for an id means that none was given.

    The actor must be able to read what a source in our own tree names: whoever may read the version may read its files.
    Raises Invalid for a source that is refused, NotFound for a version or logged model that is absent or hidden.
    """
    if prompt:
        if source not in _PROMPT_SOURCES:
            raise Invalid(f"The source of a prompt must be one of {', '.join(_PROMPT_SOURCES)}.")
        return Source(source, "", run_id or "", logged_model_id or "")
    scheme = _scheme(source)
    if scheme == "models":
        name, _, rest = _path(source).partition("/")
        if rest or "@" in name:
            return _from_version(actor, source, name, rest, run_id, logged_model_id)
        return _from_logged_model(actor, source, name, run_id, logged_model_id)
    logged_model = _logged_model(actor, logged_model_id) if logged_model_id else None
    if scheme == "runs":
        return _from_run(actor, source, run_id, logged_model_id)
    if scheme == paths.SCHEME:
        return _from_tree(actor, source, run_id, logged_model)
    run_id = run_id or (logged_model.source_run_id if logged_model else "")
    return Source(source, source, run_id, logged_model_id or "", _run(actor, run_id), logged_model)


def _scheme(source: str) -> str:
    """Return a source's scheme. Raises Invalid for one that is too long, local, names a host, or climbs out of its folder."""
    if len(source) > MAX_SOURCE:
        raise Invalid(f"A source has at most {MAX_SOURCE} characters.")
    try:
        parts = urlsplit(source)
    except ValueError:
        raise Invalid(f"Invalid model version source: {source!r} is no address.") from None
    scheme = parts.scheme.lower()
    if len(scheme) < 2 or scheme == "file":  # one letter is a Windows drive
        raise Invalid(
            f"Invalid model version source: {source!r} is a local path. Upload the files to a run or a logged model of this server."
        )
    plain = source
    while (once := unquote_plus(plain)) != plain:
        plain = once
    if "\x00" in plain or any(segment in (".", "..") for segment in re.split(r"[/\\]", plain)):
        raise Invalid(f"Invalid model version source: {source!r} must be an absolute address without '.' or '..' segments.")
    if scheme in paths.NAMES_A_HOST or (scheme in (paths.SCHEME, "runs", "models") and parts.netloc):
        raise Invalid(f"Invalid model version source: {source!r} names a host, and this server trusts none.")
    if not parts.path.startswith("/"):
        raise Invalid(f"Invalid model version source: {source!r} names no path below its root.")
    return scheme


def _from_logged_model(actor: Actor, source: str, model_id: str, run_id: str | None, given: str | None) -> Source:
    if not model_id or given != model_id:
        raise _must_identify(source, "model_id")
    logged = _logged_model(actor, model_id)
    run_id = run_id or logged.source_run_id
    return Source(source, logged.artifact_uri, run_id, model_id, _run(actor, run_id), logged)


def _from_version(actor: Actor, source: str, name: str, rest: str, run_id: str | None, logged_model_id: str | None) -> Source:
    origin = _version(actor, name, rest)
    if origin.model.is_prompt:
        raise Invalid(f"Invalid model version source: {source!r} is a prompt.")
    if (run_id is not None and run_id != origin.run_id) or logged_model_id not in (None, "", origin.logged_model_id):
        raise Invalid(f"Invalid model version source: run_id and model_id must be those of {source!r}, or not be given.")
    return Source(
        f"models:/{origin.model.name}/{origin.number}",
        origin.storage_location,
        origin.run_id,
        origin.logged_model_id,
        _run(actor, origin.run_id),
        _visible_logged_model(actor, origin.logged_model_id),
        copied_from=origin,
    )


def _from_run(actor: Actor, source: str, run_id: str | None, logged_model_id: str | None) -> Source:
    named, _, path = _path(source).partition("/")
    if not named or named != run_id or logged_model_id:
        raise _must_identify(source, "run_id")
    run = _run(actor, named)
    if run is None:  # a run elsewhere: the version is kept, but what it holds is not known here
        return Source(source, source, named)
    # Since MLflow 3 a model that a run logged lies with the logged model; the run's own folder holds what else it uploaded.
    logged = (
        LoggedModel.objects.filter(source_run_id=run.pk, name=path, deleted_ms__isnull=True).order_by("-created_ms", "id").first()
    )
    if logged is not None and logged.experiment_id == run.experiment_id:
        return Source(source, logged.artifact_uri, named, "", run, logged)
    return Source(source, f"{run.artifact_uri.rstrip('/')}/{path}".rstrip("/"), named, "", run)


def _from_tree(actor: Actor, source: str, run_id: str | None, logged: LoggedModel | None) -> Source:
    if logged is not None:
        if not _within(source, logged.artifact_uri):
            raise _must_identify(source, "model_id")
        run_id = run_id or logged.source_run_id
        return Source(source, source, run_id, logged.pk, _run(actor, run_id), logged)
    run = _run(actor, run_id)
    if run is None or not _within(source, run.artifact_uri):
        raise _must_identify(source, "run_id")
    return Source(source, source, run.pk, "", run)


def _version(actor: Actor, name: str, rest: str) -> ModelVersion:
    """Return the version that ``name/3``, ``name/latest``, ``name/Production`` or ``name@alias`` means."""
    if rest.isdigit():
        return rows.version(actor, Permission.MODEL_READ, name, rest)
    if not rest:
        name, _, alias = name.rpartition("@")
        if alias.lower() == "latest":
            return _version(actor, name, alias)
        names.known_alias(alias)
        model = rows.model(actor, Permission.MODEL_READ, name)
        assigned = AliasAssignment.objects.filter(model=model, alias=alias, valid_to__isnull=True).first()
        if assigned is None:
            raise Invalid(f"The model {name!r} has no alias {alias!r}.")
        return rows.version(actor, Permission.MODEL_READ, name, assigned.version.number)
    model = rows.model(actor, Permission.MODEL_READ, name)
    standing = StageAssignment.objects.filter(model=model, valid_to__isnull=True, version__deleted_at__isnull=True)
    if rest.lower() != "latest":
        if not Stage.objects.filter(name__iexact=rest).exists():
            raise Invalid(f"{rest!r} is neither a version nor a stage.")
        standing = standing.filter(stage__name__iexact=rest)
    newest = standing.select_related("version").order_by("-version__number").first()
    if newest is None:
        raise NotFound(f"The model {name!r} has no version {rest}.")
    return rows.version(actor, Permission.MODEL_READ, name, newest.version.number)


def _run(actor: Actor, run_id: str | None) -> Run | None:
    if not run_id:
        return None
    granted, parameters = access.granted_sql(actor, Permission.EXPERIMENT_READ, Experiment, "r.experiment_id")
    statement = f"SELECT {columns(Run, 'r')} FROM tracking_run r WHERE r.id = %s AND {granted}"
    return next(iter(instances(Run, fetch(statement, [run_id, *parameters]))), None)


def _visible_logged_model(actor: Actor, model_id: str) -> LoggedModel | None:
    if not model_id:
        return None
    present = LoggedModel.objects.filter(pk=model_id, deleted_ms__isnull=True)
    return access.visible(actor, present, Permission.EXPERIMENT_READ, "experiment").first()


def _logged_model(actor: Actor, model_id: str) -> LoggedModel:
    found = _visible_logged_model(actor, model_id)
    if found is None:
        raise NotFound(f"There is no logged model {model_id!r}, or you may not see it.")
    return found


def _within(source: str, root: str) -> bool:
    """Return whether a source lies in or below a folder of the tree."""
    folder, above = paths.path_of(source), paths.path_of(root)
    return bool(folder is not None and above and paths.is_within(folder, above))


def _path(source: str) -> str:
    return source.partition(":")[2].lstrip("/")


def _must_identify(source: str, field: str) -> Invalid:
    return Invalid(f"Invalid model version source: {field!r} must name what holds {source!r}.")
