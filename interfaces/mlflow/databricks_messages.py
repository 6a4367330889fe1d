"""What clients of Databricks' workspace registry send, and the shapes they expect back.

Ids are texts, times Unix milliseconds, people usernames. A request has no id of its own here: version, stage and creator name it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from interfaces.mlflow.messages import I64, Message, milliseconds, present
from workflows.models import Comment, PromotionRequest, Review

LONGEST = 10_000  # characters of a comment, as for every other client
# An engine that decides on reasons wants one, and Databricks' clients need not give any.
NO_COMMENT = "Asked for by a client of Databricks' registry, without a comment."

Text = Annotated[str, msgspec.Meta(max_length=LONGEST)]


class ActivityType(StrEnum):
    """What happened, in Databricks' words."""

    REQUESTED = "REQUESTED_TRANSITION"
    APPROVED = "APPROVED_REQUEST"
    REJECTED = "REJECTED_REQUEST"
    CANCELLED = "CANCELLED_REQUEST"


class Action(StrEnum):
    """What the reader of a request or comment may do with it."""

    APPROVE = "APPROVE_TRANSITION_REQUEST"
    REJECT = "REJECT_TRANSITION_REQUEST"
    CANCEL = "CANCEL_TRANSITION_REQUEST"
    EDIT_COMMENT = "EDIT_COMMENT"
    DELETE_COMMENT = "DELETE_COMMENT"


class ListModels(Message, frozen=True):
    max_results: I64 | None = None
    page_token: str | None = None


class TransitionVersion(Message, frozen=True):
    name: str
    version: str
    stage: str
    archive_existing_versions: bool
    comment: Text | None = None


class CreateRequest(Message, frozen=True):
    name: str
    version: str
    stage: str
    comment: Text | None = None


class ApproveRequest(Message, frozen=True):
    name: str
    version: str
    stage: str
    archive_existing_versions: bool
    comment: Text | None = None


class RejectRequest(Message, frozen=True):
    name: str
    version: str
    stage: str
    comment: Text | None = None


class DeleteRequest(Message, frozen=True):
    deleted_by_query: ClassVar[bool] = True

    name: str
    version: str
    stage: str
    creator: str
    comment: Text | None = None


class CreateComment(Message, frozen=True):
    name: str
    version: str
    comment: Text


class UpdateComment(Message, frozen=True):
    id: str
    comment: Text


class DeleteComment(Message, frozen=True):
    deleted_by_query: ClassVar[bool] = True

    id: str


def transition_request(request: PromotionRequest, *, creator: str, actions: list[Action]) -> dict[str, Any]:
    """Return a request as its creation answers it."""
    return present(
        to_stage=request.target,
        comment=_comment_of(request),
        creation_timestamp=milliseconds(request.created_at),
        user_id=creator,
        available_actions=actions,
    )


def requested(request: PromotionRequest, *, system_comment: str, actions: list[Action] | None = None) -> dict[str, Any]:
    """Return an open request as lists have it; its requester must be loaded. actions: left out where they were not asked for."""
    return present(
        id=f"request-{request.pk}",
        activity_type=ActivityType.REQUESTED,
        comment=_comment_of(request),
        creation_timestamp=milliseconds(request.created_at),
        last_updated_timestamp=milliseconds(request.updated_at),
        from_stage=request.from_stage,
        to_stage=request.target,
        system_comment=system_comment,
        user_id=request.requested_by.username,
        available_actions=actions,
    )


def reviewed(request: PromotionRequest, review: Review, *, kind: ActivityType, system_comment: str) -> dict[str, Any]:
    """Return what a review of a request is to Databricks' clients; its reviewer must be loaded."""
    return present(
        id=f"review-{review.pk}",
        activity_type=kind,
        comment=review.comment or None,
        creation_timestamp=milliseconds(review.created_at),
        last_updated_timestamp=milliseconds(request.updated_at),
        from_stage=request.from_stage,
        to_stage=request.target,
        system_comment=system_comment,
        user_id=review.reviewer.username,
    )


def cancelled(request: PromotionRequest, *, by: str, comment: str) -> dict[str, Any]:
    """Return the withdrawal of a request."""
    at = milliseconds(request.updated_at)
    return present(
        id=f"withdrawal-{request.pk}",
        activity_type=ActivityType.CANCELLED,
        comment=comment or None,
        creation_timestamp=at,
        last_updated_timestamp=at,
        from_stage=request.from_stage,
        to_stage=request.target,
        system_comment=f"{request.reference} was withdrawn.",
        user_id=by,
    )


def comment(written: Comment, *, author: str) -> dict[str, Any]:
    """Return a comment to its author, who alone may change and delete it."""
    return present(
        id=str(written.pk),
        comment=written.text,
        creation_timestamp=milliseconds(written.created_at),
        last_updated_timestamp=milliseconds(written.edited_at or written.created_at),
        user_id=author,
        available_actions=[Action.EDIT_COMMENT, Action.DELETE_COMMENT],
    )


def _comment_of(request: PromotionRequest) -> str | None:
    return None if request.reason == NO_COMMENT else request.reason
