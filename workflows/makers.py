"""Who had a part in what is decided on, over the whole provenance of a version."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from core.models import User
from governance.models import ModelCard
from registry.models import ModelVersion
from tracking.models import LoggedModel, Run
from workflows.rules.separation_of_duties import Maker

# A run and the runs that it was nested in, as MLflow's clients note it in a tag.
_RUNS = """WITH RECURSIVE chain(id, depth) AS (
    SELECT id, 0 FROM tracking_run WHERE id = %s
    UNION
    SELECT r.id, chain.depth + 1 FROM chain
    JOIN tracking_runtag t ON t.run_id = chain.id AND t.key = 'mlflow.parentRunId'
    JOIN tracking_run r ON r.id = t.value
    WHERE chain.depth < 20
) SELECT id, depth FROM chain"""


def makers_of(version: ModelVersion, *, requested_by: User | None) -> tuple[Maker, ...]:
    """Return everyone in a version's provenance who may not decide on it, with the part each had.

    Five statements, and one or two more for what was imported.

    Who asked; who registered this version, or another with the very same content; who ran its training or a run around it; who
    logged the model; who wrote its model card.
    """
    makers: list[Maker] = []
    if requested_by is not None:
        makers.append(_maker(requested_by, "asked for this promotion"))
    if version.created_by is not None:
        makers.append(_maker(version.created_by, "registered this version"))
    elif version.user_id_text:
        makers += _said([version.user_id_text], "registered this version")
    if version.run_id:
        makers += _of_runs(version.run_id)
    if version.logged_model_id:
        logged = LoggedModel.objects.select_related("created_by__responsible").filter(pk=version.logged_model_id)
        makers += _created(logged, "logged this model")
    if version.content_digest:
        same = ModelVersion.objects.filter(content_digest=version.content_digest).exclude(pk=version.pk)
        makers += _created(same.select_related("created_by__responsible").order_by("pk")[:100], "registered the same content")
    for card in ModelCard.objects.filter(version=version).select_related("written_by__responsible").order_by("revision"):
        if card.written_by is not None:
            makers.append(_maker(card.written_by, "wrote its model card"))
    return tuple(dict.fromkeys(makers))


def _of_runs(run_id: str) -> list[Maker]:
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, [run_id])
        depths = dict(cursor.fetchall())
    runs = list(Run.objects.select_related("created_by__responsible").filter(pk__in=list(depths)))
    imported = [run.user_id_text for run in runs if run.created_by is None and run.user_id_text]
    return _said(imported, "ran its training") + [
        _maker(run.created_by, "ran its training" if run.pk == run_id else "ran the run around its training")
        for run in sorted(runs, key=lambda run: depths[run.pk])
        if run.created_by is not None
    ]


def _said(names: list[str], part: str) -> list[Maker]:
    """Return the accounts here of which another server said that they had a part, in what was imported from it.

    Nobody proved those names, and so they give no rights; but whoever bears one stands back from deciding.
    """
    if not names:
        return []
    users = User.objects.select_related("responsible").filter(username__in=names).order_by("username")
    return [_maker(user, f"{part} at the server it came from") for user in users]


def _created(rows: Iterable[LoggedModel | ModelVersion], part: str) -> list[Maker]:
    return [_maker(row.created_by, part) for row in rows if row.created_by is not None]


def _maker(user: User, part: str) -> Maker:
    return Maker(user.username, part, user.responsible.username if user.responsible else "")
