"""The workspace registry of Databricks: its transition requests, approvals and comments are the commands of every client."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from core import access
from core.access import SYSTEM, Actor, Permission
from core.errors import Blocked, Conflict, Denied, Invalid, NotFound
from interfaces.mlflow import databricks_messages as messages
from interfaces.mlflow import registry_views
from interfaces.mlflow.databricks_messages import Action, ActivityType
from interfaces.mlflow.messages import row_id
from interfaces.mlflow.registry_views import OfModel, OfVersion, Search, TransitionStage
from interfaces.mlflow.routing import Route
from registry import names, records
from registry import stages as stage_graph
from registry.identity import is_address
from registry.models import ModelVersion, RegisteredModel
from workflows import states
from workflows.assessment import assess
from workflows.commands import discussion, execution
from workflows.commands import requests as request_commands
from workflows.commands import reviews as review_commands
from workflows.models import Comment, PromotionRequest, RequestKind, RequestState, Review, ReviewVerdict, ThreadAnchor
from workflows.queries import requests as request_queries

_NOTHING_TO_ARCHIVE = ("None", "Archived")


def list_models(actor: Actor, message: messages.ListModels) -> dict[str, Any]:
    """Return one page of the registered models, by name."""
    return registry_views.search_models(actor, Search(max_results=message.max_results, page_token=message.page_token))


def get_model(actor: Actor, message: OfModel) -> dict[str, Any]:
    """Return a registered model with its id, who made it and the caller's right on it."""
    found = registry_views.get_model(actor, message)["registered_model"]
    row = RegisteredModel.objects.select_related("created_by").get(name=message.name, deleted_at__isnull=True)
    found |= {"id": str(row.pk), "permission_level": _level(actor, row)}
    if row.created_by is not None:
        found["user_id"] = row.created_by.username
    return {"registered_model_databricks": found}


@transaction.atomic
def transition_stage(actor: Actor, message: messages.TransitionVersion) -> dict[str, Any]:
    """Move a version into a stage, unless a policy guards it; the comment begins a discussion on the version."""
    moved = registry_views.transition_stage(
        actor,
        TransitionStage(
            name=message.name,
            version=message.version,
            stage=message.stage,
            archive_existing_versions=message.archive_existing_versions,
        ),
    )["model_version"]
    number = int(moved["version"])
    if (message.comment or "").strip():
        _comment_on(actor, message.name, number, message.comment or "")
    row = ModelVersion.objects.select_related("created_by", "model").get(
        model__name=message.name, model__deleted_at__isnull=True, number=number
    )
    moved["permission_level"] = _level(actor, row.model)
    if row.created_by is not None:
        moved["user_id"] = row.created_by.username
    if requests := [messages.requested(r, system_comment=_standing(r)) for r in _open_requests(actor, message.name, number)]:
        moved["open_requests"] = requests
    return {"model_version_databricks": moved}


def create_request(actor: Actor, message: messages.CreateRequest) -> dict[str, Any]:
    """Ask for a stage, guarded or not; where no policy guards it, one other person must agree."""
    request = request_commands.request_promotion(
        actor=actor,
        model_name=message.name,
        version=names.version_number(message.version),
        target=message.stage,
        reason=(message.comment or "").strip() or messages.NO_COMMENT,
        archive_existing=message.stage.capitalize() not in _NOTHING_TO_ARCHIVE,
    )
    return {"request": messages.transition_request(request, creator=actor.username, actions=[Action.CANCEL])}


def list_requests(actor: Actor, message: OfVersion) -> dict[str, Any]:
    """Return a version's open requests for stages, oldest first, each with what the caller may do with it."""
    number = records.get_version(actor, message.name, message.version).number
    found = _open_requests(actor, message.name, number).order_by("created_at", "pk")
    rows = [messages.requested(r, system_comment=_standing(r), actions=_actions(actor, r)) for r in found]
    return {"requests": rows} if rows else {}


def approve_request(actor: Actor, message: messages.ApproveRequest) -> dict[str, Any]:
    """Record an approval and, if it was the last that was missing, carry the request out at once unless something holds it.

    The activity's system comment says whether the version moved and, if not, what is missing.
    """
    request = _reviewable(actor, message.name, message.version, message.stage)
    _require_same_archiving(request, message.archive_existing_versions)
    review = _review(actor, request, ReviewVerdict.APPROVE, message.comment or "")
    request, outcome = _carried_out(request.pk)
    return {"activity": messages.reviewed(request, review, kind=ActivityType.APPROVED, system_comment=outcome)}


def reject_request(actor: Actor, message: messages.RejectRequest) -> dict[str, Any]:
    """Reject a request, which closes it; a comment is needed."""
    request = _reviewable(actor, message.name, message.version, message.stage)
    review = _review(actor, request, ReviewVerdict.REJECT, message.comment or "")
    request.refresh_from_db(fields=["state", "updated_at"])
    said = f"{request.reference} was rejected."
    return {"activity": messages.reviewed(request, review, kind=ActivityType.REJECTED, system_comment=said)}


def delete_request(actor: Actor, message: messages.DeleteRequest) -> dict[str, Any]:
    """Take back the open request that this creator made."""
    found = _open_request(actor, message.name, message.version, message.stage, creator=message.creator)
    comment = (message.comment or "").strip()
    request = request_commands.withdraw_request(actor=actor, request_id=found.pk, reason=comment)
    return {"activity": messages.cancelled(request, by=actor.username, comment=comment)}


def create_comment(actor: Actor, message: messages.CreateComment) -> dict[str, Any]:
    """Begin a discussion on a version."""
    number = records.get_version(actor, message.name, message.version).number
    written = _comment_on(actor, message.name, number, message.comment)
    return {"comment": messages.comment(written, author=actor.username)}


def update_comment(actor: Actor, message: messages.UpdateComment) -> dict[str, Any]:
    """Change one's own comment."""
    written = discussion.edit_comment(actor=actor, comment_id=_comment_id(message.id), text=message.comment)
    return {"comment": messages.comment(written, author=actor.username)}


def delete_comment(actor: Actor, message: messages.DeleteComment) -> None:
    """Delete one's own comment."""
    discussion.delete_comment(actor=actor, comment_id=_comment_id(message.id))


def _open_requests(actor: Actor, name: str, number: int) -> QuerySet[PromotionRequest]:
    """Return a version's open requests that would move it to a stage; a re-review moves nothing."""
    rows = request_queries.requests(actor, model=name, version=number, state="open")
    return rows.filter(target_kind="stage").exclude(kind=RequestKind.RE_REVIEW)


def _open_request(actor: Actor, name: str, version: str, stage: str, creator: str = "") -> PromotionRequest:
    """Return the open request for a stage, of which there is at most one. Raises NotFound; Invalid for an unknown stage."""
    number, target = names.version_number(version), stage_graph.canonical_stage(stage)
    rows = _open_requests(actor, name, number).filter(target=target)
    found = (rows.filter(requested_by__username=creator) if creator else rows).first()
    if found is None:
        raise NotFound(
            f"There is no open request{f' of {creator}' if creator else ''} to move version {number} of {name!r} to {target}, "
            "or you may not see it."
        )
    return found


def _reviewable(actor: Actor, name: str, version: str, stage: str) -> PromotionRequest:
    """Return the open request for a stage, moved on by what a worker would do a moment later if its checks are finished."""
    found = _open_request(actor, name, version, stage)
    if found.state == RequestState.CHECKING:
        execution.advance_request(actor=SYSTEM, request_id=found.pk)
        found = _open_request(actor, name, version, stage)
    return found


def _require_same_archiving(request: PromotionRequest, archive: bool) -> None:
    """Refuse an approval that wants something else done to what is in the stage than was asked for."""
    if archive and request.target in _NOTHING_TO_ARCHIVE:
        raise Invalid(f"Versions can be archived on the way into Staging and Production, not into {request.target!r}.")
    if request.champion is None or archive == request.archive_existing:
        return
    asked = "moves what is there to Archived" if request.archive_existing else "leaves what is there in place"
    raise Conflict(
        f"{request.reference} asks for {request.target} in a way that {asked}; an approval cannot change what was asked for. "
        f"Send archive_existing_versions {str(request.archive_existing).lower()}, or have it withdrawn and asked for anew with "
        f"POST {settings.PUBLIC_URL}/api/v1/promotion-requests/ and archive_existing {str(archive).lower()}.",
        code="other_archiving",
    )


def _review(actor: Actor, request: PromotionRequest, verdict: ReviewVerdict, comment: str) -> Review:
    try:
        return review_commands.submit_review(actor=actor, request_id=request.pk, verdict=verdict, comment=comment)
    except Invalid as error:
        if error.code != "signature_needed":
            raise
        raise Denied(
            f"The policy of {request.reference} asks for a signature, which this protocol cannot carry. "
            f"Sign at {settings.PUBLIC_URL}/requests/{request.pk}/.",
            code=error.code,
        ) from None


def _carried_out(request_id: int) -> tuple[PromotionRequest, str]:
    """Carry out a request if it is approved, as a worker would; return it and, in words, whether the version moved."""
    request = _fresh(request_id)
    if request.state == RequestState.APPROVED:
        with suppress(Blocked, Conflict):  # a worker was quicker, or the evidence changed just now: the row says which
            execution.execute_request(actor=SYSTEM, request_id=request_id)
        request = _fresh(request_id)
    return request, _outcome(request)


def _outcome(request: PromotionRequest) -> str:
    match request.state:
        case RequestState.DONE:
            return f"{request.reference} was carried out: version {request.version.number} holds {request.target}."
        case RequestState.FAILED:
            return f"Approved, but not moved: {request.reference} failed: {request.failure}"
        case RequestState.IN_REVIEW:
            missing = "; ".join(f"{r.title} ({r.reason})" for r in assess(request).verdict.blocking)
            return f"Approval recorded, not moved yet. {request.reference} still needs: {missing}."
    return f"Approval recorded, not moved yet. {_standing(request)}"


def _standing(request: PromotionRequest) -> str:
    """Return where an open request stands, for people who know only that it is open."""
    held = f": {request.hold}" if request.hold else ""
    state = str(request.state).replace("_", " ")
    lies = " Its content is not kept here: what is approved is the address." if is_address(request.subject_digest) else ""
    return f"{request.reference} is {state}{held}. See {settings.PUBLIC_URL}/requests/{request.pk}/.{lies}"


def _fresh(request_id: int) -> PromotionRequest:
    rows = PromotionRequest.objects.select_related("model", "version__model", "version__created_by__responsible")
    return rows.select_related("champion__model", "requested_by__responsible").get(pk=request_id)


def _actions(actor: Actor, request: PromotionRequest) -> list[Action]:
    """Return what the caller may do with an open request now, by the rules that the commands ask."""
    actions: list[Action] = []
    own = request.requested_by_id == actor.user_id
    is_reviewer = actor.grants(Permission.PROMOTION_REVIEW) and not actor.responsible  # a service account reviews nothing
    if is_reviewer and not own and request_queries.eligibility(actor, request.pk, actor.username).eligible:
        actions += [Action.APPROVE, Action.REJECT]
    if "withdrawn" in states.possible(request.state) and (
        own or access.explain(actor, Permission.MODEL_MANAGE, request.model).allowed
    ):
        actions.append(Action.CANCEL)
    return actions


def _comment_on(actor: Actor, name: str, number: int, text: str) -> Comment:
    thread = discussion.open_thread(actor=actor, anchor_kind=ThreadAnchor.VERSION, text=text, model_name=name, version=number)
    return thread.comments.get()


def _comment_id(text: str) -> int:
    number = row_id(text)
    if not number:
        raise NotFound(f"There is no comment {text!r}, or you may not see it.")
    return number


def _level(actor: Actor, model: RegisteredModel) -> str:
    """Return the caller's right on a model they may see, in Databricks' words."""
    if access.explain(actor, Permission.MODEL_MANAGE, model).allowed:
        return "CAN_MANAGE"
    return "CAN_EDIT" if access.explain(actor, Permission.MODEL_WRITE, model).allowed else "CAN_READ"


_REQUEST, _COMMENT = "mlflow/transition-requests/", "mlflow/comments/"

ROUTES: list[Route] = [
    Route("GET", "mlflow/registered-models/list", list_models, messages.ListModels),
    Route("GET", "mlflow/databricks/registered-models/get", get_model, OfModel),
    Route("POST", "mlflow/databricks/model-versions/transition-stage", transition_stage, messages.TransitionVersion),
    Route("POST", _REQUEST + "create", create_request, messages.CreateRequest),
    Route("GET", _REQUEST + "list", list_requests, OfVersion),
    Route("POST", _REQUEST + "approve", approve_request, messages.ApproveRequest),
    Route("POST", _REQUEST + "reject", reject_request, messages.RejectRequest),
    Route("DELETE", _REQUEST + "delete", delete_request, messages.DeleteRequest),
    Route("POST", _COMMENT + "create", create_comment, messages.CreateComment),
    Route("PATCH", _COMMENT + "update", update_comment, messages.UpdateComment),
    Route("DELETE", _COMMENT + "delete", delete_comment, messages.DeleteComment),
]
