"""What may be missed for a time, what is known to be wrong, and how much a model matters."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiRequest
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from governance.models import FindingSource, FindingStatus, Severity
from governance.questionnaire import TIERS
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from interfaces.rest.views.policies import Document, YamlText
from workflows.commands import findings, tiers, waivers
from workflows.queries import risk as queries
from workflows.queries.risk import FindingDetail, FindingSummary, ModelTier, QuestionnaireRow, TierAssessmentRow, WaiverRow

_MOST = 2**31 - 1
_DOCUMENT = {"application/json": Document, "application/yaml": OpenApiRequest({"type": "string"})}


class WaiverFilter(Input):
    model = serializers.CharField(required=False)
    version = serializers.IntegerField(
        required=False, min_value=1, max_value=_MOST, help_text="Those that count for it, also if they are for the whole model."
    )
    policy = serializers.CharField(required=False)
    requirement = serializers.CharField(required=False)
    state = serializers.ChoiceField(queries.WAIVER_STATES, required=False)


class NewWaiver(Input):
    model = serializers.CharField(max_length=256)
    version = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=_MOST, help_text="Every version of the model unless given."
    )
    policy = serializers.CharField(max_length=100)
    requirement = serializers.CharField(max_length=100, help_text="The id of a requirement of the policy.")
    reason = serializers.CharField(max_length=10_000, help_text="Why it cannot be met.")
    compensating_control = serializers.CharField(max_length=10_000, help_text="What reduces the risk meanwhile.")
    expires_at = serializers.DateTimeField(help_text="At most as many days ahead as the policy allows.")


class RulingComment(Input):
    # Not required here, so that a ruling on what one may not see is answered as such before it is found incomplete.
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000, help_text="Why; needed.")


class FindingFilter(Input):
    model = serializers.CharField(required=False)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    status = serializers.ChoiceField(FindingStatus.choices, required=False)
    source = serializers.ChoiceField(FindingSource.choices, required=False)  # type: ignore[assignment]  # a field of its own here
    owner = serializers.CharField(required=False, help_text="An account's name.")
    overdue = serializers.BooleanField(required=False, help_text="Open past its due date, or not.")


class NewFinding(Input):
    model = serializers.CharField(max_length=256)
    version = serializers.IntegerField(
        required=False, min_value=1, max_value=_MOST, help_text="The one it was seen on; the newest unless given."
    )
    title = serializers.CharField(max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, max_length=50_000)
    severity = serializers.ChoiceField(Severity.choices)
    owner = serializers.CharField(required=False, allow_blank=True, max_length=150, help_text="Who is to see to it.")
    due_on = serializers.DateField(required=False, allow_null=True)


class FindingEdit(Input):
    severity = serializers.ChoiceField(Severity.choices, required=False)
    owner = serializers.CharField(required=False, allow_blank=True, max_length=150, help_text="Empty for nobody.")
    due_on = serializers.DateField(required=False, allow_null=True, help_text="null for none.")
    comment = serializers.CharField(required=False, allow_blank=True, max_length=10_000)


class FindingEvidence(RulingComment):
    check_run = serializers.UUIDField(required=False, allow_null=True, help_text="A finished check run that shows it.")


class NewTierAssessment(Input):
    questionnaire = serializers.CharField(max_length=100)
    answers = serializers.DictField(
        child=serializers.CharField(max_length=100), help_text='The chosen value by question, such as {"exposure": "limited"}.'
    )
    override_tier = serializers.ChoiceField(
        TIERS, required=False, allow_blank=True, help_text="Another tier than the answers give; a second person confirms it."
    )
    override_reason = serializers.CharField(required=False, allow_blank=True, max_length=10_000)


class Waivers(Endpoint):
    @describe("list_waivers", query=WaiverFilter, response=Listing[WaiverRow], paged=True)
    def get(self, request: Request) -> Response:
        """List waivers with what was decided about them, newest first."""
        rows = queries.waivers(actor_of(request), **read_query(WaiverFilter, request, paged=True))
        return Response(page(request, rows, ordering=["-requested_at", "-id"], show=queries.waiver_rows))

    @describe("request_waiver", body=NewWaiver, response=WaiverRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Ask that a requirement may be missed until a time; a person of the group that the policy names rules on it."""
        actor, asked = actor_of(request), read(NewWaiver, request)
        made = waivers.request_waiver(actor=actor, model_name=asked.pop("model"), **asked)
        return Response(queries.waiver(actor, made.pk), status=201, headers={"Location": address_of(request, made.pk)})


class OneWaiver(Endpoint):
    @describe("read_waiver", response=WaiverRow)
    def get(self, request: Request, number: int) -> Response:
        """Read a waiver with what was decided about it."""
        return Response(queries.waiver(actor_of(request), number))


class ApproveWaiver(Endpoint):
    @describe("approve_waiver", body=RulingComment, response=WaiverRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Let the requirement be missed until the waiver's end."""
        return _ruled(request, number, "approved")


class RefuseWaiver(Endpoint):
    @describe("refuse_waiver", body=RulingComment, response=WaiverRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Refuse a waiver."""
        return _ruled(request, number, "refused")


class RevokeWaiver(Endpoint):
    @describe("revoke_waiver", body=RulingComment, response=WaiverRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """End a waiver before its time, or take one back that is undecided."""
        actor = actor_of(request)
        waivers.revoke_waiver(actor=actor, waiver_id=number, **read(RulingComment, request))
        return Response(queries.waiver(actor, number))


class Findings(Endpoint):
    @describe("list_findings", query=FindingFilter, response=Listing[FindingSummary], paged=True)
    def get(self, request: Request) -> Response:
        """List findings, newest first."""
        rows = queries.findings(actor_of(request), **read_query(FindingFilter, request, paged=True))
        return Response(page(request, rows, ordering=["-raised_at", "-id"], show=queries.finding_rows))

    @describe("raise_finding", body=NewFinding, response=FindingDetail, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Put a problem with a model on record; it counts for every version until it is closed."""
        actor, asked = actor_of(request), read(NewFinding, request)
        made = findings.raise_finding(actor=actor, model_name=asked.pop("model"), **asked)
        return Response(queries.finding(actor, made.pk), status=201, headers={"Location": address_of(request, made.pk)})


class OneFinding(Endpoint):
    @describe("read_finding", response=FindingDetail)
    def get(self, request: Request, number: int) -> Response:
        """Read a finding with everything that happened to it."""
        return Response(queries.finding(actor_of(request), number))

    @describe("change_finding", body=FindingEdit, response=FindingDetail)
    def patch(self, request: Request, number: int) -> Response:
        """Change severity, owner or due date of an open finding."""
        actor, change = actor_of(request), read(FindingEdit, request)
        if "due_on" in change and change["due_on"] is None:
            change["due_on"] = ""
        findings.update_finding(actor=actor, finding_id=number, **change)
        return Response(queries.finding(actor, number))


class CloseFinding(Endpoint):
    @describe("close_finding", body=FindingEvidence, response=FindingDetail, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Close a finding with evidence; a high or critical one needs a second pair of eyes."""
        actor = actor_of(request)
        findings.close_finding(actor=actor, finding_id=number, **read(FindingEvidence, request))
        return Response(queries.finding(actor, number))


class ReopenFinding(Endpoint):
    @describe("reopen_finding", body=RulingComment, response=FindingDetail, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Open a closed finding again."""
        actor = actor_of(request)
        findings.reopen_finding(actor=actor, finding_id=number, **read(RulingComment, request))
        return Response(queries.finding(actor, number))


class Questionnaires(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_questionnaires", response=Listing[QuestionnaireRow])
    def get(self, request: Request) -> Response:
        """List the newest revision of every questionnaire, and those of the product that can still be published."""
        return Response(Listing(queries.questionnaires(actor_of(request))))

    @describe("publish_questionnaire", body=_DOCUMENT, response=QuestionnaireRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Publish a questionnaire's text as its next revision; the same text again gives the revision it has already."""
        actor = actor_of(request)
        made = tiers.publish_questionnaire(actor=actor, **read(Document, request))
        row = queries.questionnaire(actor, made.name)
        return Response(row, status=201, headers={"Location": address_of(request, made.name)})


class OneQuestionnaire(Endpoint):
    @describe("read_questionnaire", response=QuestionnaireRow)
    def get(self, request: Request, name: str) -> Response:
        """Read a questionnaire as it is asked now."""
        return Response(queries.questionnaire(actor_of(request), name))


class Tier(Endpoint):
    @describe("read_tier", response=ModelTier)
    def get(self, request: Request, name: str) -> Response:
        """Read a model's risk tier with every assessment, its questions and its answers, newest first."""
        return Response(queries.model_tier(actor_of(request), name))

    @describe("assess_tier", body=NewTierAssessment, response=TierAssessmentRow, status=201, once=True)
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """Answer a questionnaire about a model; the tier that the answers give is in force at once."""
        actor = actor_of(request)
        made = tiers.assess_tier(actor=actor, model_name=name, **read(NewTierAssessment, request))
        return Response(queries.tier_assessment(actor, made.pk), status=201)


class ConfirmTier(Endpoint):
    @describe("confirm_tier", body=RulingComment, response=TierAssessmentRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Put a proposed tier in force instead of the one that the answers give."""
        return _tier_ruled(request, number, tiers.CONFIRMED)


class RefuseTier(Endpoint):
    @describe("refuse_tier", body=RulingComment, response=TierAssessmentRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Leave the tier that the answers give in force."""
        return _tier_ruled(request, number, tiers.REFUSED)


def _ruled(request: Request, number: int, verdict: str) -> Response:
    actor = actor_of(request)
    waivers.rule_waiver(actor=actor, waiver_id=number, verdict=verdict, **read(RulingComment, request))
    return Response(queries.waiver(actor, number))


def _tier_ruled(request: Request, number: int, verdict: str) -> Response:
    actor = actor_of(request)
    tiers.rule_tier_override(actor=actor, assessment_id=number, verdict=verdict, **read(RulingComment, request))
    return Response(queries.tier_assessment(actor, number))
