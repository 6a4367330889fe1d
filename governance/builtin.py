"""The policies that hold where somebody asks for a promotion and no binding guards the target: a second person agrees."""

from __future__ import annotations

from core.canonical import text_digest
from governance.models import Policy, PolicyRevision

FOUR_EYES = """\
kind: Policy
name: four-eyes
title: A second person agrees
description: Holds for promotion requests to a stage or alias that no binding guards. Bind a policy to ask for more.
requirements:
  - id: content-kept
    title: The content is kept here
    how_to_satisfy: Register the version from the artifacts of a run on this server.
    satisfied_if: version.digest != ""
steps:
  - name: review
    title: Review
    factors: [{group: reviewer, count: 1}]
expires_after_days: 90
"""

# A digest over an address proves nothing of the content, so this is a policy of its own: whoever reads a decision sees which it was.
FOUR_EYES_ON_AN_ADDRESS = """\
kind: Policy
name: four-eyes-on-an-address
title: A second person agrees to an address
description: >-
  Holds for promotion requests to a stage or alias that no binding guards, of versions whose files lie in a store that is not kept
  here. What is approved is where they lie, and not what lies there.
requirements:
  - id: address-alone
    title: What is approved is an address; what lies there is not known here
    how_to_satisfy: Nothing is needed while the content lies elsewhere. To have content approved, register it from a run on this server.
    satisfied_if: version.digest == ""
steps:
  - name: review
    title: Review
    factors: [{group: reviewer, count: 1}]
expires_after_days: 90
"""


def four_eyes(*, content_kept: bool) -> PolicyRevision:
    """Return the built-in policy's revision, making it the first time it is needed; in the caller's transaction.

    content_kept: whether the version's content is kept here, or only the address where it lies.
    """
    name, document = ("four-eyes", FOUR_EYES) if content_kept else ("four-eyes-on-an-address", FOUR_EYES_ON_AN_ADDRESS)
    policy, _ = Policy.objects.get_or_create(name=name)
    digest = text_digest(document)
    found = policy.revisions.filter(digest=digest).first()
    if found is not None:
        return found
    number = policy.revisions.count() + 1
    return PolicyRevision.objects.create(policy=policy, number=number, digest=digest, document=document)
