"""verify_ledger and sequence_ledger."""

from __future__ import annotations

from core.models import AuditEvent
from tests.conftest import _triggers_away


def test_an_intact_ledger_verifies_and_an_altered_row_is_named(run, refused) -> None:
    run("create_user", "dana")
    run("create_user", "ravi", "--role", "reviewer")
    assert "3 newer events have no place" in run("verify_ledger")
    assert run("sequence_ledger") == "3 events were given their place\n"
    assert run("sequence_ledger") == "0 events were given their place\n"
    assert "intact: 3 events" in run("verify_ledger")

    event = AuditEvent.objects.order_by("id")[1]
    with _triggers_away():
        AuditEvent.objects.filter(pk=event.pk).update(body=event.body.replace("ravi", "rudi"))
    error = refused("verify_ledger")
    assert error.returncode == 1
    assert f"audit event {event.pk} at position 1 was altered" in str(error)
