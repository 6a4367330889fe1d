"""The policy that holds where somebody asks for a promotion and no binding guards the target: a second person agrees."""

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


def four_eyes() -> PolicyRevision:
    """Return the built-in policy's revision, making it the first time it is needed; in the caller's transaction."""
    policy, _ = Policy.objects.get_or_create(name="four-eyes")
    digest = text_digest(FOUR_EYES)
    found = policy.revisions.filter(digest=digest).first()
    if found is not None:
        return found
    number = policy.revisions.count() + 1
    return PolicyRevision.objects.create(policy=policy, number=number, digest=digest, document=FOUR_EYES)
