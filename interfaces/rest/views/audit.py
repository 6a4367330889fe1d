"""What was done, who did it, and the proof that nothing was altered since."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import access, audit
from core.access import Permission
from core.audit import Event
from governance import ledger, queries
from governance.queries import AuditEventRow
from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, describe, read_query
from interfaces.rest.paging import page_size
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import DecisionDetail, Head, LedgerProblem, Verification
from registry import lineage
from registry.lineage import Direction, Graph
from workflows.queries import replays
from workflows.queries.replays import Replayed


class EventFilter(Input):
    action = serializers.CharField(required=False, help_text="An event's name, or its beginning such as `promotion`.")
    by = serializers.CharField(required=False, help_text="An account's name.")
    subject = serializers.CharField(required=False, help_text="`type`, or `type:id` such as `model_version:credit/3`.")
    scope = serializers.CharField(required=False, help_text="`model:<id>` or `experiment:<id>`.")
    before = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1, help_text="Only events before this id.")


class Walk(Input):
    node = serializers.CharField(help_text="Such as `run:<id>` or `model_version:<model>/<number>`.")
    direction = serializers.ChoiceField([d.value for d in Direction], default=Direction.BOTH.value)
    depth = serializers.IntegerField(default=10, min_value=1, max_value=lineage.MAX_DEPTH)
    as_of = serializers.DateTimeField(required=False)


class Events(Endpoint):
    @describe("list_audit_events", query=EventFilter, response=Listing[AuditEventRow], paged=True)
    def get(self, request: Request) -> Response:
        """List audit events, newest first; follow `next` for older ones."""
        asked = read_query(EventFilter, request, paged=True)
        size = page_size(request)
        rows = queries.audit_events(actor_of(request), before_id=asked.pop("before", None), limit=size + 1, **asked)
        following = None
        if len(rows) > size:
            parameters = request.query_params.copy()
            parameters["before"] = str(rows[size - 1].id)
            following = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
        return Response(Listing(rows[:size], following))


class OneEvent(Endpoint):
    @describe("read_audit_event", response=AuditEventRow)
    def get(self, request: Request, event_id: int) -> Response:
        """Read one audit event with its place in the ledger."""
        return Response(queries.audit_event(actor_of(request), event_id))


class LedgerHead(Endpoint):
    @describe("read_ledger_head", response=Head)
    def get(self, request: Request) -> Response:
        """Read the newest checkpoint; keep it elsewhere, and a rebuilt ledger will not match it."""
        return Response(reads.ledger_head())


class Verify(Endpoint):
    @describe("verify_ledger", response=Verification)
    def post(self, request: Request) -> Response:
        """Recompute every hash of the ledger and name what was altered; that it was asked is recorded."""
        actor = actor_of(request)
        access.require(actor, Permission.AUDIT_READ)
        report = ledger.verify()
        with transaction.atomic():
            audit.record(
                actor,
                Event.REPORT_READ,
                subject=("report", "ledger"),
                after={"size": report.size, "root": report.root_hash, "intact": report.intact},
            )
        problems = [LedgerProblem(p.kind, p.position, p.event_id, p.message) for p in report.problems]
        return Response(Verification(report.intact, report.size, report.root_hash, report.checkpoints, report.pending, problems))


class OneDecision(Endpoint):
    @describe("read_decision", response=DecisionDetail)
    def get(self, request: Request, decision_id: UUID) -> Response:
        """Read a decision with the facts the gate saw and the verdict it reached."""
        return Response(reads.decision(actor_of(request), decision_id))


class ReplayDecision(Endpoint):
    @describe("replay_decision", response=Replayed)
    def post(self, request: Request, decision_id: UUID) -> Response:
        """Recompute a decision from its stored facts and say whether it comes out the same. Changes nothing.

        Byte for byte under the gate's revision that decided; under another, each requirement's state is compared.
        """
        return Response(replays.replay(actor_of(request), decision_id))


class Lineage(Endpoint):
    @describe("walk_lineage", query=Walk, response=Graph)
    def get(self, request: Request) -> Response:
        """Walk the graph of how things came about, up to causes, down to effects, or both."""
        asked = read_query(Walk, request)
        direction = Direction(asked["direction"])
        return Response(
            lineage.walk(actor_of(request), asked["node"], direction=direction, depth=asked["depth"], as_of=asked.get("as_of"))
        )
