"""What can be measured, what was measured, and with what result."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance import queries, reported
from governance.models import CheckSource, CheckState
from governance.queries import CheckKind, CheckRunRow
from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, Nothing, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import CheckRunSummary, MeasuredRow
from workflows.commands import evidence as evidence_commands
from workflows.commands.reporting import report_check


class CheckRunFilter(Input):
    model = serializers.CharField(required=False)
    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    check = serializers.CharField(required=False)
    state = serializers.ChoiceField(CheckState.choices, required=False)
    source = serializers.ChoiceField(CheckSource.choices, required=False)  # type: ignore[assignment]  # the framework names a field so, too


class MeasurementFilter(Input):
    model = serializers.CharField(required=False)
    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    metric = serializers.CharField(required=False)


class ReportingPipeline(Input):
    name = serializers.CharField(max_length=200)
    url = serializers.CharField(required=False, allow_blank=True, max_length=1000, help_text="Of its run; http or https.")
    commit = serializers.CharField(required=False, allow_blank=True, max_length=100)


class NewReport(Input):
    model = serializers.CharField()
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    envelope = serializers.JSONField(
        required=False, help_text="A DSSE envelope that carries the report, signed; then nothing else but model and version."
    )
    check = serializers.CharField(required=False, max_length=100, help_text="Such as performance, or acme/load-test.")
    revision = serializers.CharField(required=False, max_length=40, help_text="Of the check, as the pipeline counts.")
    content_digest = serializers.CharField(required=False, max_length=71, help_text="Of what was measured: the version's.")
    outcome = serializers.ChoiceField(["passed", "warned", "failed"], required=False)
    pipeline = ReportingPipeline(required=False)
    parameters = serializers.DictField(required=False)
    dataset = serializers.CharField(required=False, max_length=200, help_text="Registered here: name@v2, or name for the newest.")
    dataset_digest = serializers.CharField(required=False, max_length=71, help_text="Of data that is not registered here.")
    measurements = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="metric and value; slice, n, ci_low, ci_high and method where there are.",
    )
    findings = serializers.ListField(
        child=serializers.DictField(), required=False, help_text="rule, severity, message; location."
    )
    tables = serializers.ListField(child=serializers.DictField(), required=False, help_text="name, columns and rows; title.")


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
        columns = {
            "model": "version__model__name",
            "version": "version__number",
            "check": "check_name",
            "state": "state",
            "source": "source",
        }
        rows = reads.check_run_rows(actor_of(request)).filter(**{columns[name]: value for name, value in asked.items()})
        return Response(page(request, rows, ordering=["-created_at", "id"], show=reads.check_run_summaries))


class ReportedCheckRuns(Endpoint):
    @describe("report_check", body=NewReport, response=CheckRunRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Report what a pipeline elsewhere measured on a version, perhaps signed. The same report again is the same run, with 200."""
        actor, asked = actor_of(request), read(NewReport, request)
        model, version, envelope = asked.pop("model"), asked.pop("version"), asked.pop("envelope", None)
        if envelope is not None and not isinstance(envelope, dict):
            raise serializers.ValidationError({"envelope": ["A DSSE envelope is an object."]})
        run, made = report_check(
            actor=actor,
            model_name=model,
            version=version,
            envelope=envelope,
            report=None if envelope is not None and not asked else asked,
        )
        address = reverse("rest:check-run", kwargs={"run_id": run.pk})
        return Response(queries.check_run(actor, run.pk), status=201 if made else 200, headers={"Location": address})


class OneCheckRun(Endpoint):
    @describe("read_check_run", response=CheckRunRow)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Read a check run with its measurements, findings and tables."""
        return Response(queries.check_run(actor_of(request), run_id))


class CancelCheckRun(Endpoint):
    @describe("cancel_check_run", body=Nothing, response=CheckRunRow, once=True)
    @idempotent
    def post(self, request: Request, run_id: UUID) -> Response:
        """Cancel a check run that has not ended; its requests can run the check again."""
        read(Nothing, request)
        evidence_commands.cancel_check(actor=actor_of(request), run_id=str(run_id))
        return Response(queries.check_run(actor_of(request), run_id))


class CheckRunLog(Endpoint):
    @describe("read_check_run_log", text=True)
    def get(self, request: Request, run_id: UUID) -> HttpResponse:
        """Read what a check run wrote while it worked."""
        return HttpResponse(reads.check_run_log(actor_of(request), run_id), content_type="text/plain; charset=utf-8")


class CheckRunAttestation(Endpoint):
    @describe("read_attestation", response={"type": "object", "additionalProperties": True})
    def get(self, request: Request, run_id: UUID) -> Response:
        """Read the signed envelope (DSSE) that a check run was reported in, to be verified elsewhere as well."""
        return Response(reported.envelope(actor_of(request), run_id))


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
