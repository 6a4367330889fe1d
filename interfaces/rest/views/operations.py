"""Freezes, business calendars, emergencies past the gate, re-reviews, and events reported from outside."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance.models import TargetKind
from interfaces.rest import icalendar
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, Nothing, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from workflows.commands import break_glass, calendar, re_reviews
from workflows.models import BreakGlassState, ReReviewCause
from workflows.queries import grandfathered, operations
from workflows.queries.grandfathered import GrandfatheredRow
from workflows.queries.operations import CalendarRow, EmergencyRow, FreezeRow, ReReviewRow


def _names(help_text: str) -> serializers.ListField:
    child = serializers.CharField(max_length=256)
    return serializers.ListField(required=False, child=child, max_length=100, help_text=help_text)


class NewFreeze(Input):
    name = serializers.CharField(max_length=100, help_text="Small letters, digits and hyphens.")
    reason = serializers.CharField(max_length=300, help_text="Whoever waits is shown it.")
    starts = serializers.CharField(max_length=19, help_text="Local time, such as 2026-12-20T00:00.")
    duration_minutes = serializers.IntegerField(min_value=1, max_value=366 * 24 * 60)
    zone = serializers.CharField(max_length=64, help_text="An IANA name such as Europe/Berlin.")
    rrule = serializers.CharField(
        required=False, allow_blank=True, max_length=300, help_text="RFC 5545, such as FREQ=WEEKLY;BYDAY=FR; once unless given."
    )
    models = _names("Shell patterns such as credit.*; every model unless given.")
    risk_tiers = _names("low, medium or high; every tier unless given.")
    stages = _names("With aliases: every target unless given.")
    aliases = _names("With stages: every target unless given.")


class NewCalendar(Input):
    name = serializers.CharField(max_length=100, help_text="`default` holds where a policy names none.")
    zone = serializers.CharField(max_length=64, help_text="An IANA name such as Europe/Berlin.")
    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=6), min_length=1, max_length=7, help_text="0 is Monday."
    )
    opens = serializers.TimeField(help_text="Local time, such as 09:00.")
    closes = serializers.TimeField(help_text="Local time; 00:00 means midnight.")
    holidays = serializers.ListField(required=False, child=serializers.DateField(), max_length=10_000)


class NewEmergency(Input):
    model = serializers.CharField(max_length=256)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    target_kind = serializers.ChoiceField(TargetKind.choices, default=TargetKind.STAGE)
    target = serializers.CharField(max_length=255, help_text="A stage such as Production, or an alias such as champion.")
    reason = serializers.CharField(max_length=10_000, help_text="Why it cannot wait.")
    incident = serializers.CharField(max_length=100, help_text="The incident it is for, such as INC-2041.")
    minutes = serializers.IntegerField(
        min_value=1, max_value=break_glass.MOST_MINUTES, help_text="How long, from the confirmation on."
    )


class EmergencyFilter(Input):
    model = serializers.CharField(required=False)
    state = serializers.ChoiceField(BreakGlassState.choices, required=False)


class Refusal(Input):
    comment = serializers.CharField(required=False, allow_blank=True, max_length=10_000)


class ReviewNote(Input):
    note = serializers.CharField(max_length=10_000, help_text="What was found, and what follows from it.")


class ReReviewFilter(Input):
    model = serializers.CharField(required=False)
    cause = serializers.ChoiceField(ReReviewCause.choices, required=False)
    state = serializers.ChoiceField(["open", "overdue", "closed"], required=False)


class GrandfatheredFilter(Input):
    model = serializers.CharField(required=False)
    state = serializers.ChoiceField(
        ["open", "settled"],
        required=False,
        help_text="open: it still holds the place, and no request for it was carried out since.",
    )


class NewEvent(Input):
    cause = serializers.ChoiceField([(cause.value, cause.label) for cause in re_reviews.REPORTABLE])
    detail = serializers.CharField(max_length=10_000, help_text="What happened; a reviewer decides on it.")
    version = serializers.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, help_text="Every version in use unless given."
    )
    dataset = serializers.CharField(
        required=False,
        max_length=600,
        help_text="With dataset_recalled: `name@v2`, or name and digest as a run logged them, parted by a space.",
    )


class Freezes(Endpoint):
    @describe("list_freezes", response=Listing[FreezeRow], paged=True)
    def get(self, request: Request) -> Response:
        """List the freezes that were not ended, each with whether it is in force and when it will be."""
        rows = operations.freezes(actor_of(request))
        return Response(page(request, rows, ordering=["name", "id"], show=operations.freeze_rows))

    @describe("create_freeze", body=NewFreeze, response=FreezeRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Put a freeze in force: a time, perhaps recurring, in which approved requests wait."""
        made = calendar.create_freeze(actor=actor_of(request), **read(NewFreeze, request))
        return Response(operations.freeze_rows([made])[0], status=201, headers={"Location": address_of(request, made.name)})


class OneFreeze(Endpoint):
    @describe("end_freeze", status=204)
    def delete(self, request: Request, name: str) -> Response:
        """Take a freeze out of force now; what it held is carried out."""
        calendar.end_freeze(actor=actor_of(request), name=name)
        return Response(status=204)


class FreezeFeed(Endpoint):
    @describe("freezes_as_icalendar", text=True)
    def get(self, request: Request) -> HttpResponse:
        """Subscribe to the freezes of the year ahead with a calendar program: iCalendar (RFC 5545), Basic with a token."""
        rows = operations.freezes(actor_of(request))
        return HttpResponse(icalendar.feed(rows), content_type="text/calendar; charset=utf-8")


class Calendars(Endpoint):
    @describe("list_calendars", response=list[CalendarRow])
    def get(self, request: Request) -> Response:
        """List the business calendars by which deadlines are counted."""
        return Response(operations.calendars(actor_of(request)))

    @describe("publish_calendar", body=NewCalendar, response=CalendarRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Publish a business calendar, in the place of the one of this name if there is one."""
        made = calendar.publish_calendar(actor=actor_of(request), **read(NewCalendar, request))
        return Response(operations.calendar_row(made), status=201)


class Emergencies(Endpoint):
    @describe("list_emergencies", query=EmergencyFilter, response=Listing[EmergencyRow], paged=True)
    def get(self, request: Request) -> Response:
        """List emergency moves past the gate, newest first."""
        rows = operations.break_glass(actor_of(request), **read_query(EmergencyFilter, request, paged=True))
        return Response(
            page(request, rows, ordering=["-requested_at", "-id"], show=lambda found: map(operations.emergency_row, found))
        )

    @describe("request_emergency", body=NewEmergency, response=EmergencyRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Ask for an emergency move; somebody else must confirm it, and it reverts by itself."""
        actor, asked = actor_of(request), read(NewEmergency, request)
        made = break_glass.request_break_glass(actor=actor, model_name=asked.pop("model"), **asked)
        return Response(operations.emergency(actor, made.pk), status=201, headers={"Location": address_of(request, made.pk)})


class OneEmergency(Endpoint):
    @describe("read_emergency", response=EmergencyRow)
    def get(self, request: Request, number: int) -> Response:
        """Read an emergency: who, why, until when, how it ended and what the review found."""
        return Response(operations.emergency(actor_of(request), number))


class ConfirmEmergency(Endpoint):
    @describe("confirm_emergency", body=Nothing, response=EmergencyRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Confirm another's emergency: the version gets its place at once, and loses it when the time is over."""
        actor = actor_of(request)
        read(Nothing, request)
        break_glass.confirm_break_glass(actor=actor, break_glass_id=number)
        return Response(operations.emergency(actor, number))


class RefuseEmergency(Endpoint):
    @describe("refuse_emergency", body=Refusal, response=EmergencyRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Refuse an emergency that waits to be confirmed, or take your own back."""
        actor = actor_of(request)
        break_glass.refuse_break_glass(actor=actor, break_glass_id=number, **read(Refusal, request))
        return Response(operations.emergency(actor, number))


class RevertEmergency(Endpoint):
    @describe("revert_emergency", body=Nothing, response=EmergencyRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """End an emergency before its time: what stood there before stands there again."""
        actor = actor_of(request)
        read(Nothing, request)
        break_glass.revert_break_glass(actor=actor, break_glass_id=number)
        return Response(operations.emergency(actor, number))


class CloseEmergency(Endpoint):
    @describe("close_emergency", body=ReviewNote, response=EmergencyRow, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Close the review of an emergency that is over, as a reviewer or auditor who was neither of the two."""
        actor = actor_of(request)
        break_glass.close_break_glass(actor=actor, break_glass_id=number, **read(ReviewNote, request))
        return Response(operations.emergency(actor, number))


class ReReviews(Endpoint):
    @describe("list_re_reviews", query=ReReviewFilter, response=Listing[ReReviewRow], paged=True)
    def get(self, request: Request) -> Response:
        """List what is to be reviewed again, the ones due first at the top."""
        rows = operations.re_reviews(actor_of(request), **read_query(ReReviewFilter, request, paged=True))
        return Response(page(request, rows, ordering=["due_at", "id"], show=operations.re_review_rows))


class GrandfatheredPlaces(Endpoint):
    @describe("list_grandfathered", query=GrandfatheredFilter, response=Listing[GrandfatheredRow], paged=True)
    def get(self, request: Request) -> Response:
        """List what holds a governed place because an import brought it there, and was not decided on here; the latest first."""
        rows = grandfathered.grandfathered(actor_of(request), **read_query(GrandfatheredFilter, request, paged=True))
        return Response(page(request, rows, ordering=["-id"], show=grandfathered.grandfathered_rows))


class ModelEvents(Endpoint):
    @describe("report_event", body=NewEvent, response=list[ReReviewRow], status=201, once=True)
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """Report what happened to a model or its data; the answer is the re-reviews this opens, none where no policy asks for any."""
        opened = re_reviews.report_event(actor=actor_of(request), model_name=name, **read(NewEvent, request))
        rows = operations.re_reviews(actor_of(request)).filter(pk__in=[row.pk for row in opened])
        return Response(operations.re_review_rows(rows), status=201)
