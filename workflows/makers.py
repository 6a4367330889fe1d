"""Who had a part in what is decided on, over the whole provenance of a version."""

from __future__ import annotations

from core.models import User
from core.sql import fetch
from registry.models import ModelVersion
from workflows.rules.separation_of_duties import Maker

# One statement, since it is asked at every decision. A run's line goes up through the runs that it was nested in, as MLflow's
# clients note it in a tag. rank: the order in which parts are told. said: the name that another server gave of what was imported from
# it; nobody proved it, so it gives no rights, but the account here that bears it stands back from deciding.
_MAKERS = """WITH RECURSIVE line(id, depth) AS (
    SELECT id, 0 FROM tracking_run WHERE id = %(run)s
    UNION
    SELECT r.id, line.depth + 1 FROM line
    JOIN tracking_runtag t ON t.run_id = line.id AND t.key = 'mlflow.parentRunId'
    JOIN tracking_run r ON r.id = t.value
    WHERE line.depth < 20
), same(id, part, user_id) AS (
    SELECT id, 'registered the same content', created_by_id FROM registry_modelversion
    WHERE %(digest)s <> '' AND content_digest = %(digest)s AND id <> %(version)s
    UNION ALL SELECT id, 'registered the same address', created_by_id FROM registry_modelversion
    WHERE %(digest)s = '' AND content_digest = '' AND source = %(source)s AND id <> %(version)s
    ORDER BY id LIMIT 100
), parts(rank, nth, part, user_id, said) AS (
    SELECT 1, 0, 'asked for this promotion', CAST(%(asker)s AS bigint), ''
    UNION ALL SELECT 2, 0, 'registered this version', CAST(%(creator)s AS bigint), %(said)s
    UNION ALL SELECT 3, line.depth, CASE line.depth WHEN 0 THEN 'ran its training' ELSE 'ran the run around its training' END,
        r.created_by_id, r.user_id_text FROM line JOIN tracking_run r ON r.id = line.id
    UNION ALL SELECT 4, 0, 'logged this model', created_by_id, '' FROM tracking_loggedmodel WHERE id = %(logged)s
    UNION ALL SELECT 5, id, part, user_id, '' FROM same
    UNION ALL SELECT 6, revision, 'wrote its model card', written_by_id, '' FROM governance_modelcard
    WHERE version_id = %(version)s
    UNION ALL SELECT 7, 0, 'reported evidence on it', r.reported_by_id, '' FROM governance_report r
    JOIN workflows_requestcheck c ON c.run_id = r.run_id WHERE c.request_id = CAST(%(request)s AS bigint)
    UNION ALL SELECT 7, 0, 'reported evidence on it', r.reported_by_id, '' FROM governance_report r
    JOIN governance_checkrun c ON c.id = r.run_id WHERE CAST(%(request)s AS bigint) IS NULL AND c.version_id = %(version)s
)
SELECT u.username, CASE WHEN parts.user_id IS NULL THEN parts.part || ' at the server it came from' ELSE parts.part END,
    COALESCE(owner.username, '')
FROM parts JOIN core_user u ON u.id = parts.user_id OR (parts.user_id IS NULL AND u.username = parts.said)
LEFT JOIN core_user owner ON owner.id = u.responsible_id
ORDER BY parts.rank, parts.nth"""


def makers_of(version: ModelVersion, *, requested_by: User | None, request: int | None = None) -> tuple[Maker, ...]:
    """Return everyone in a version's provenance who may not decide on it, with the part each had; one statement.

    Who asked; who registered this version, or another with the very same content; who ran its training or a run around it; who
    logged the model; who wrote its model card; who reported evidence that the request with this id relies on or, without one, any on
    the version.
    """
    given = {
        "version": version.pk,
        "asker": requested_by.pk if requested_by else None,
        "creator": version.created_by_id,
        "said": version.user_id_text,
        "run": version.run_id or "",
        "logged": version.logged_model_id or "",
        "digest": version.content_digest or "",
        "source": version.source,
        "request": request,
    }
    return tuple(dict.fromkeys(Maker(*row) for row in fetch(_MAKERS, given)))
