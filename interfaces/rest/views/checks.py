"""What can be measured, what was measured, and with what result."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance import queries
from governance.models import CheckState
from governance.queries import CheckKind, CheckRunRow
from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, describe, read_query
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import CheckRunSummary, MeasuredRow


class CheckRunFilter(Input):
    model = serializers.CharField(required=False)
    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    check = serializers.CharField(required=False)
    state = serializers.ChoiceField(CheckState.choices, required=False)


class MeasurementFilter(Input):
    model = serializers.CharField(required=False)
    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    metric = serializers.CharField(required=False)


class Checks(Endpoint):
    @describe("list_checks", response=list[CheckKind])
    def get(self, request: Request) -> Response:
        """List the checks that policies can ask for, each with the JSON Schema of its parameters."""
        return Response(queries.check_kinds(actor_of(request)))


class CheckRuns(Endpoint):
    @describe("list_check_runs", query=CheckRunFilter, response=Listing[CheckRunSummary], paged=True)
    def get(self, request: Request) -> Response:
        """List check runs, newest first."""
        asked = read_query(CheckRunFilter, request, paged=True)
        columns = {"model": "version__model__name", "version": "version__number", "check": "check_name", "state": "state"}
        rows = reads.check_run_rows(actor_of(request)).filter(**{columns[name]: value for name, value in asked.items()})
        return Response(page(request, rows, ordering=["-created_at", "id"], show=reads.check_run_summaries))


class OneCheckRun(Endpoint):
    @describe("read_check_run", response=CheckRunRow)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Read a check run with its measurements, findings and tables."""
        return Response(queries.check_run(actor_of(request), run_id))


class CheckRunLog(Endpoint):
    @describe("read_check_run_log", text=True)
    def get(self, request: Request, run_id: UUID) -> HttpResponse:
        """Read what a check run wrote while it worked."""
        return HttpResponse(reads.check_run_log(actor_of(request), run_id), content_type="text/plain; charset=utf-8")


class CheckRunBillOfMaterials(Endpoint):
    @describe("read_bill_of_materials", response={"type": "object", "additionalProperties": True})
    def get(self, request: Request, run_id: UUID) -> Response:
        """Read the packages that a run of `dependencies` listed, as a CycloneDX 1.6 document; the same run gives the same bytes."""
        return Response(queries.bill_of_materials(actor_of(request), run_id))


class Measurements(Endpoint):
    @describe("list_measurements", query=MeasurementFilter, response=Listing[MeasuredRow], paged=True)
    def get(self, request: Request) -> Response:
        """List measurements, newest first."""
        rows = reads.measurements(actor_of(request), **read_query(MeasurementFilter, request, paged=True))
        return Response(page(request, rows, ordering=["-id"], show=reads.measured))
