"""Review a request: one person's verdict on exactly what they saw."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid
from core.models import User
from workflows import notifications, reviewers
from workflows.assessment import Assessment, assess, store_snapshot, with_reviews
from workflows.commands.delegations import in_force
from workflows.lifecycle import locked_request, move
from workflows.models import Delegation, PromotionRequest, Review, ReviewVerdict, Signature
from workflows.rules import signing
from workflows.rules.eligibility import obstacle
from workflows.rules.separation_of_duties import parts_of
from workflows.steps import approve_if_satisfied

OBJECTIONS = (ReviewVerdict.REJECT, ReviewVerdict.REQUEST_CHANGES)


@dataclass(frozen=True)
class Signing:
    """What a signer gives: their password once more, what the signature means, and the digest of the statement they read."""

    password: str
    meaning: str
    statement_digest: str


@transaction.atomic
def submit_review(
    *,
    actor: Actor,
    request_id: int,
    verdict: str,
    comment: str = "",
    evidence_digest: str | None = None,
    on_behalf_of: str = "",
    signature: Signing | None = None,
) -> Review:
    """Record a person's verdict on the evidence as it is, and approve the request once the gate is satisfied.

    evidence_digest: what the person saw; if the evidence has changed since, nothing is signed. on_behalf_of: whose place the
    person takes, by a delegation in force. signature: where a policy asks for one.
    Raises Denied for who had a part in the work, may not review, is in no group that is asked, or signs with a wrong
    password; Conflict when the request is not in review or the evidence changed; Invalid without a comment or signature
    where one is needed.
    """
    request = locked_request(actor, request_id)
    if actor.user_id is None:
        raise Denied("Only a person with an account can review.")
    if request.state != "in_review":
        raise Conflict(_not_in_review(request), code="not_in_review")
    reviewer = User.objects.get(pk=actor.user_id)
    seen = assess(request)
    _require_no_part(actor, request, seen)
    access.require(actor, Permission.PROMOTION_REVIEW)
    if reviewer.is_service:
        raise Denied("A service account cannot review; a person must.")
    delegation = _delegation(reviewer, on_behalf_of) if on_behalf_of else None
    if verdict not in ReviewVerdict.values:
        raise Invalid(f"The verdict is one of {', '.join(ReviewVerdict.values)}.")
    if verdict in OBJECTIONS and not comment.strip():
        raise Invalid("Say why: the submitter must know what to change.")
    if evidence_digest is not None and evidence_digest != seen.evidence_digest:
        raise Conflict(
            "The evidence changed after you opened the page; nothing was signed. Look at what changed and decide again.",
            code="stale_evidence",
            evidence_digest=seen.evidence_digest,
        )
    if verdict == ReviewVerdict.APPROVE and seen.facts.waivers and not comment.strip():
        raise Invalid("A requirement is waived: say why you approve all the same.", code="comment_needed")
    groups = _groups(reviewer, delegation, seen)
    store_snapshot(seen)
    review = Review.objects.create(
        request=request,
        reviewer=reviewer,
        verdict=verdict,
        comment=comment.strip(),
        evidence_digest=seen.evidence_digest,
        groups=groups,
        delegation=delegation,
    )
    signed = _sign(review, seen, on_behalf_of, signature) if seen.signature_meanings else None
    audit.record(
        actor,
        Event.PROMOTION_REVIEWED,
        subject=("promotion_request", request.pk),
        scope=f"model:{request.model_id}",
        after={
            "verdict": verdict,
            "comment": comment.strip(),
            "evidence": seen.evidence_digest,
            "groups": groups,
            "on_behalf_of": on_behalf_of,
            "signature": {"meaning": signed.meaning, "statement": signed.statement_digest} if signed else None,
        },
    )
    if verdict == ReviewVerdict.REJECT:
        move(actor, request, "rejected", Event.PROMOTION_REJECTED)
        notifications.tell([request.requested_by], request, "rejected", f"{request.reference} was rejected: {comment.strip()}")
    elif verdict == ReviewVerdict.REQUEST_CHANGES:
        move(actor, request, "changes_requested", Event.PROMOTION_CHANGES_REQUESTED)
        notifications.tell([request.requested_by], request, "changes_requested", f"{request.reference}: {comment.strip()}")
    else:
        approve_if_satisfied(actor, request, with_reviews(request, seen))
    return review


def statement_for(
    request: PromotionRequest, seen: Assessment, reviewer: User, *, verdict: str, meaning: str, on_behalf_of: str = ""
) -> signing.Statement:
    """Return what a reviewer would sign now; the digest changes with the evidence."""
    subject = signing.Subject(
        reference=request.reference,
        version=str(request.version),
        target=f"{request.target_kind} {request.target}",
        content_digest=request.subject_digest,
        evidence_digest=seen.evidence_digest,
    )
    return signing.statement(
        subject, verdict=verdict, meaning=meaning, printed_name=reviewer.display_name, on_behalf_of=on_behalf_of
    )


def _require_no_part(actor: Actor, request: PromotionRequest, seen: Assessment) -> None:
    parts = parts_of(actor.username, seen.makers)
    if not parts and actor.username in seen.barred:
        parts = [f"you {seen.barred[actor.username]}"]
    if parts:
        raise Denied(
            f"You cannot review {request.reference}: {'; '.join(parts)}. Someone who had no part in it must decide.",
            code="separation_of_duties",
        )


def _delegation(reviewer: User, on_behalf_of: str) -> Delegation:
    delegator = User.objects.filter(username=on_behalf_of, is_active=True).first()
    found = in_force(reviewer.pk, delegator.pk, timezone.now()) if delegator else None
    if found is None:
        raise Denied(f"{on_behalf_of} has not asked you to stand in for them at this time.", code="no_delegation")
    return found


def _groups(reviewer: User, delegation: Delegation | None, seen: Assessment) -> list[str]:
    """Return the groups a review can count for. Raises Denied for who stands in for a maker, or is in no group that is asked."""
    name = delegation.delegator.username if delegation else reviewer.username
    if delegation and name in seen.barred:
        raise Denied(f"You cannot stand in for {name} here: {name} {seen.barred[name]}.", code="separation_of_duties")
    held = reviewers.groups_of([name]).get(name, frozenset())
    if delegation and delegation.groups:
        held &= frozenset(delegation.groups)
    if found := obstacle(name, held, seen.verdict):
        raise Denied(f"This review would not count: {found.reason}.", code=found.code)
    return sorted(held)


def _sign(review: Review, seen: Assessment, on_behalf_of: str, given: Signing | None) -> Signature:
    """Write the signature, in the review's transaction: who signs proves again who they are and names what they read."""
    meanings = ", ".join(seen.signature_meanings)
    if given is None:
        raise Invalid(
            f"The policy asks for a signature: sign with your password and one of these meanings: {meanings}.",
            code="signature_needed",
        )
    if given.meaning not in seen.signature_meanings:
        raise Invalid(f"A signature here means one of: {meanings}.", code="signature_meaning")
    if not review.reviewer.check_password(given.password):
        raise Denied("The password is wrong; nothing was signed.", code="not_reauthenticated")
    text = statement_for(
        review.request, seen, review.reviewer, verdict=review.verdict, meaning=given.meaning, on_behalf_of=on_behalf_of
    )
    if text.digest != given.statement_digest:
        raise Conflict(
            "What you read is not what would be signed now; nothing was signed. Read the statement again.",
            code="stale_statement",
            statement=text.text,
            statement_digest=text.digest,
        )
    return Signature.objects.create(
        review=review,
        printed_name=review.reviewer.display_name,
        meaning=given.meaning,
        statement=text.text,
        statement_digest=text.digest,
        signed_at=review.created_at,
    )


def _not_in_review(request: PromotionRequest) -> str:
    if request.state == "checking":
        return f"Not all results of the checks of {request.reference} are there yet; review it when they are."
    return f"{request.reference} is {request.state.replace('_', ' ')}; it takes no reviews."
