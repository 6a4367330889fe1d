"""Promotion requests: ask, review, answer, withdraw, carry out; and everything a reviewer decides on."""

from __future__ import annotations

from dataclasses import dataclass

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import Invalid
from governance.gate import Verdict
from governance.models import TargetKind
from interfaces import throttle
from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, Nothing, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import RequestCheckRow, RequestDetail
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import RequestKind, RequestState, Review, ReviewVerdict
from workflows.queries import requests as request_queries
from workflows.queries.deciding import statement_to_sign
from workflows.queries.requests import Eligibility, RequestRow, ReviewRow


@dataclass(frozen=True)
class StatementText:
    """What a signature stands for, word by word, and its digest."""

    statement: str
    statement_digest: str


class RequestFilter(Input):
    model = serializers.CharField(required=False)
    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    state = serializers.ChoiceField([("open", "any open state"), *RequestState.choices], required=False)
    requested_by = serializers.CharField(required=False, help_text="An account's name.")


class NewRequest(Input):
    model = serializers.CharField(max_length=256)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    target_kind = serializers.ChoiceField(TargetKind.choices, default=TargetKind.STAGE)
    target = serializers.CharField(max_length=255, help_text="A stage such as Production, or an alias such as champion.")
    reason = serializers.CharField(max_length=10_000)
    archive_existing = serializers.BooleanField(default=True, help_text="Move what is in the stage to Archived.")
    kind = serializers.ChoiceField(
        RequestKind.choices,
        default=RequestKind.PROMOTION,
        help_text="`rollback` asks for a version that held the place before, `re_review` for the one that holds it.",
    )
    draft = serializers.BooleanField(default=False, help_text="Prepare only; submit it later.")
    supersede = serializers.BooleanField(default=False, help_text="Close a request that is open for the target.")


class Signed(Input):
    password = serializers.CharField(max_length=1000, trim_whitespace=False, help_text="Yours, once more.")
    meaning = serializers.CharField(max_length=200, help_text="One of those the policy names.")
    statement_digest = serializers.CharField(max_length=71, help_text="Of the statement you read.")


class NewReview(Input):
    verdict = serializers.ChoiceField(ReviewVerdict.choices)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    evidence_digest = serializers.CharField(
        required=False, max_length=71, help_text="What you saw; if the evidence changed since, nothing is signed."
    )
    on_behalf_of = serializers.CharField(
        required=False, allow_blank=True, max_length=150, help_text="Whose place you take, by a delegation in force."
    )
    signature = Signed(required=False, help_text="Where a policy asks for one.")


class StatementQuery(Input):
    verdict = serializers.ChoiceField(ReviewVerdict.choices)
    meaning = serializers.CharField(max_length=200)
    on_behalf_of = serializers.CharField(required=False, allow_blank=True, max_length=150)


class Reason(Input):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=10_000)


class Comment(Input):
    comment = serializers.CharField(max_length=10_000)


class ByUser(Input):
    user = serializers.CharField(required=False, help_text="An account's name; yours unless given.")


class PromotionRequests(Endpoint):
    @describe("list_promotion_requests", query=RequestFilter, response=Listing[RequestRow], paged=True)
    def get(self, request: Request) -> Response:
        """List promotion requests, newest first."""
        rows = request_queries.requests(actor_of(request), **read_query(RequestFilter, request, paged=True))
        return Response(
            page(request, rows, ordering=["-created_at", "-id"], show=lambda found: map(request_queries.request_row, found))
        )

    @describe("request_promotion", body=NewRequest, response=RequestRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Ask for a version to get a governed stage or alias; its checks are queued at once."""
        asked = read(NewRequest, request)
        made = request_commands.request_promotion(actor=actor_of(request), model_name=asked.pop("model"), **asked)
        return Response(_row(request, made.pk), status=201, headers={"Location": address_of(request, made.pk)})


class OnePromotionRequest(Endpoint):
    @describe("read_promotion_request", response=RequestDetail)
    def get(self, request: Request, request_id: int) -> Response:
        """Read a request with its verdict, evidence, reviews, people and events."""
        return Response(reads.request_detail(request_queries.request_page(actor_of(request), request_id)))


class Requirements(Endpoint):
    @describe("read_requirements", response=Verdict)
    def get(self, request: Request, request_id: int) -> Response:
        """Say how each requirement comes out on the evidence as it is, and what to do where it is not met."""
        return Response(request_queries.request_page(actor_of(request), request_id).verdict)


class RequestChecks(Endpoint):
    @describe("list_request_checks", response=list[RequestCheckRow])
    def get(self, request: Request, request_id: int) -> Response:
        """List the check runs a request relies on, with how far they are."""
        return Response(reads.request_checks(actor_of(request), request_id))


class RequestEligibility(Endpoint):
    @describe("read_eligibility", query=ByUser, response=Eligibility)
    def get(self, request: Request, request_id: int) -> Response:
        """Say whether somebody may decide on a request now, and every reason why not."""
        actor = actor_of(request)
        user = read_query(ByUser, request).get("user", actor.username)
        return Response(request_queries.eligibility(actor, request_id, user))


class Reviews(Endpoint):
    @describe("list_reviews", response=list[ReviewRow])
    def get(self, request: Request, request_id: int) -> Response:
        """List the reviews as given; of a person's reviews the latest counts, if it is on the evidence as it is."""
        return Response(request_queries.request_page(actor_of(request), request_id).reviews)

    @describe("submit_review", body=NewReview, response=ReviewRow, status=201, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Sign a verdict on the evidence as it is; the request is approved once its gate is satisfied."""
        actor = actor_of(request)
        asked = read(NewReview, request)
        signature = asked.pop("signature", None)

        def submit() -> Review:
            signing = review_commands.Signing(**signature) if signature else None
            return review_commands.submit_review(actor=actor, request_id=request_id, signature=signing, **asked)

        # A signature proves a password: wrong ones are braked as at the door.
        given = throttle.signed(actor.username, throttle.address_of(request), submit) if signature else submit()
        reviews = request_queries.request_page(actor, request_id).reviews
        return Response(next(review for review in reviews if review.id == given.pk), status=201)


class Statement(Endpoint):
    @describe("read_statement", query=StatementQuery, response=StatementText)
    def get(self, request: Request, request_id: int) -> Response:
        """Read the exact statement that a signature on a review would stand for now, with its digest."""
        asked = read_query(StatementQuery, request)
        found = statement_to_sign(actor_of(request), request_id, **asked)
        if found is None:
            raise Invalid("No policy of this request asks for a signature of this meaning.", code="signature_meaning")
        return Response(StatementText(found.text, found.digest))


class Submit(Endpoint):
    @describe("submit_promotion_request", body=Nothing, response=RequestRow, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Ask for what was drafted, under the policies in force now."""
        read(Nothing, request)
        request_commands.submit_request(actor=actor_of(request), request_id=request_id)
        return Response(_row(request, request_id))


class Rebase(Endpoint):
    @describe("rebase_promotion_request", body=Nothing, response=RequestRow, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Move a request to the policies in force now; reviews of the older ones go stale."""
        read(Nothing, request)
        request_commands.rebase_request(actor=actor_of(request), request_id=request_id)
        return Response(_row(request, request_id))


class Withdraw(Endpoint):
    @describe("withdraw_promotion_request", body=Reason, response=RequestRow, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Take an open request back."""
        request_commands.withdraw_request(actor=actor_of(request), request_id=request_id, **read(Reason, request))
        return Response(_row(request, request_id))


class Execute(Endpoint):
    @describe("execute_promotion_request", body=Nothing, response=RequestRow, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Carry out an approved request now; workers do so by themselves soon after the approval."""
        read(Nothing, request)
        execution.execute_request(actor=actor_of(request), request_id=request_id)
        return Response(_row(request, request_id))


class Resubmit(Endpoint):
    @describe("resubmit_promotion_request", body=Comment, response=RequestRow, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Answer a reviewer who asked for changes."""
        request_commands.resubmit_request(actor=actor_of(request), request_id=request_id, **read(Comment, request))
        return Response(_row(request, request_id))


class RerunChecks(Endpoint):
    @describe("rerun_checks", body=Nothing, response=RequestRow, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Run again the checks that ended without a result."""
        read(Nothing, request)
        request_commands.rerun_checks(actor=actor_of(request), request_id=request_id)
        return Response(_row(request, request_id))


def _row(request: Request, request_id: int) -> RequestRow:
    return request_queries.request_row(request_queries.requests(actor_of(request)).get(pk=request_id))
