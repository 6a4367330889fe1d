"""Every address of the API, tried by who may not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from core.models import AuditEvent
from governance.models import CheckRun, Decision
from interfaces.reports import urls as reports
from interfaces.rest import urls

pytestmark = pytest.mark.django_db

# What anyone with an account may have: it is about themselves, or holds no secret.
FOR_EVERYBODY = {
    "me", "tokens", "stages", "audit-head", "schema", "docs", "webhook-events",
    "inbox", "inbox-tasks", "notifications", "notifications-read", "my-mail",
}  # fmt: skip
# What is read without signing in: editors fetch it, and it says nothing of this instance.
PUBLIC = {"policy-schema", "parameters-schema", "binding-schema", "data-contract-schema"}


def operations(values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, method and address of everything the API answers."""
    for pattern in [*urls.urlpatterns, *reports.API]:
        if pattern.name == "no-such-address":
            continue
        view = pattern.callback.view_class
        address = str(pattern.pattern)
        for parameter, value in values.items():
            for converter in ("name", "number", "uuid"):
                address = address.replace(f"<{converter}:{parameter}>", str(value))
        assert "<" not in address
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view, method):
                yield pattern.name, method, address


@pytest.fixture
def values(world, dana, ravi, rosa, review) -> dict[str, Any]:
    """What stands in the addresses: things that exist and that Mallory may not see."""
    request = world.in_review()
    review(ravi, request)
    review(rosa, request)
    return {
        "name": "credit.risk",
        "number": 1,
        "alias": "champion",
        "request_id": request.pk,
        "run_id": CheckRun.objects.get().pk,
        "event_id": AuditEvent.objects.latest("id").pk,
        "decision_id": Decision.objects.get().pk,
        "prefix": "cs_abcdefg",
        "delivery_id": uuid.uuid4(),
        "key_id": "sha256:0",
    }


@pytest.fixture
def review():
    from tests.cast import actor
    from workflows.commands import reviews as review_commands

    return lambda user, request: review_commands.submit_review(actor=actor(user), request_id=request.pk, verdict="approve")


# What some reads cannot do without.
_QUERIES = {
    "lineage": {"node": "model_version:credit.risk/1"},
    "statement": {"verdict": "approve", "meaning": "approval"},
}


def test_a_stranger_gets_nothing_but_the_request_to_sign_in(stranger, values) -> None:
    tried = list(operations(values))
    assert len(tried) > 60
    for name, method, address in tried:
        answer = stranger.get(address) if method == "get" else stranger._send(method, address, {}, {})
        assert answer.status_code == (200 if name in PUBLIC else 401), (name, method)


def test_an_outsider_sees_nothing_and_changes_nothing(api, mallory, values) -> None:
    outsider = api(mallory)
    before = set(AuditEvent.objects.values_list("id", flat=True))
    for name, method, address in operations(values):
        if name in FOR_EVERYBODY | PUBLIC:
            continue
        bodies: dict[str, Any] = {
            "models": {"name": "x"},
            "alias": {"version": 1},
            "versions": {"source": "runs:/x/model"},
            "version-card": {"sections": {}},
            "version-stage": {"stage": "Staging"},
            "promotion-requests": {"model": "credit.risk", "version": 1, "target": "Production", "reason": "x"},
            "reviews": {"verdict": "approve"},
            "resubmit": {"comment": "x"},
            "policies": {"document": "x"},
            "dataset-contract": {"document": "x"},
            "bindings": {"document": "x"},
            "parameter-sets": {"document": "x"},
            "policy-simulate": {"document": "x"},
            "webhooks": {"name": "x", "url": "https://hooks.example.org/", "events": ["*"]},
            "freezes": {"name": "x", "reason": "x", "starts": "2026-01-01T00:00", "duration_minutes": 60, "zone": "UTC"},
            "calendars": {"name": "x", "zone": "UTC", "weekdays": [0], "opens": "09:00", "closes": "17:00"},
            "emergencies": {
                "model": "credit.risk",
                "version": 1,
                "target": "Production",
                "reason": "x",
                "incident": "x",
                "minutes": 5,
            },
            "emergency-close": {"note": "x"},
            "model-events": {"cause": "drift", "detail": "x"},
            "waivers": {
                "model": "credit.risk",
                "policy": "credit",
                "requirement": "roc-auc",
                "reason": "x",
                "compensating_control": "x",
                "expires_at": "2099-01-01T00:00:00Z",
            },
            "findings": {"model": "credit.risk", "title": "x", "severity": "low"},
            "finding-close": {"comment": "x"},
            "finding-reopen": {"comment": "x"},
            "questionnaires": {"document": "x"},
            "model-tier": {"questionnaire": "materiality", "answers": {"exposure": "small"}},
            "delegations": {"delegate": "ravi", "ends_at": "2099-01-01T00:00:00Z", "reason": "x"},
            "request-threads": {"text": "x"},
            "version-threads": {"text": "x"},
            "thread-comments": {"text": "x"},
            "comment": {"text": "x"},
            "check-run-report": {
                "model": "credit.risk",
                "version": 1,
                "check": "acme/load-test",
                "revision": "1",
                "content_digest": f"sha256:{'0' * 64}",
                "outcome": "passed",
                "pipeline": {"name": "x"},
            },
            "signing-keys": {"name": "x", "public_key": "x", "owner": "x", "valid_to": "2099-01-01T00:00:00Z"},
            "signing-key-revoke": {"reason": "x"},
            "model": {"description": "x"},
            "version": {"description": "x"},
        }
        query = _QUERIES.get(name, {})
        if name == "datasets" and method == "post":
            answer = outsider.send("post", f"{address}?name=x&format=csv&target=y", b"y\n1\n", "text/csv")
        elif method == "get":
            answer = outsider.get(address, **query)
        else:
            answer = outsider._send(method, address, bodies.get(name), {})
        empty = answer.status_code == 200 and method == "get" and answer.json() == {"results": [], "next": None, "previous": None}
        assert answer.status_code in (403, 404) or empty, (name, method, answer.status_code, answer.content[:300])
    new = AuditEvent.objects.exclude(id__in=before)
    assert set(new.values_list("action", flat=True)) == {"access.refused"}


def test_what_does_not_exist_looks_like_what_is_hidden(api, mallory, values) -> None:
    absent = {**values, "name": "no-such", "request_id": 999, "run_id": uuid.uuid4(), "decision_id": uuid.uuid4()}
    outsider = api(mallory)
    for (name, method, there), (_, _, absent_address) in zip(operations(values), operations(absent), strict=True):
        if method != "get" or name in FOR_EVERYBODY | PUBLIC:
            continue
        query = _QUERIES.get(name, {})
        assert outsider.get(there, **query).status_code == outsider.get(absent_address, **query).status_code, name
