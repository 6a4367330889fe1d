"""What happens next: requests, reviews, exceptions, discussions, and who is told."""

from workflows.models.imports import Grandfathered
from workflows.models.operations import BreakGlass, BreakGlassState, BusinessCalendarRow, FreezeWindow, ReReview, ReReviewCause
from workflows.models.people import Comment, MailPreference, Notification, ReviewTask, Thread, ThreadAnchor
from workflows.models.printouts import Printout
from workflows.models.requests import (
    OPEN_STATES,
    Delegation,
    PolicyCheck,
    PromotionRequest,
    RequestCheck,
    RequestKind,
    RequestPolicy,
    RequestState,
    Review,
    ReviewVerdict,
    Signature,
)

__all__ = [
    "OPEN_STATES",
    "BreakGlass",
    "BreakGlassState",
    "BusinessCalendarRow",
    "Comment",
    "Delegation",
    "FreezeWindow",
    "Grandfathered",
    "MailPreference",
    "Notification",
    "PolicyCheck",
    "Printout",
    "PromotionRequest",
    "ReReview",
    "ReReviewCause",
    "RequestCheck",
    "RequestKind",
    "RequestPolicy",
    "RequestState",
    "Review",
    "ReviewTask",
    "ReviewVerdict",
    "Signature",
    "Thread",
    "ThreadAnchor",
]
