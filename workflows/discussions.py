"""What the gate knows of a request's discussion."""

from __future__ import annotations

from django.db.models import Count, Q

from governance.facts import DiscussionFacts
from workflows.models import PromotionRequest, Thread


def facts(request: PromotionRequest) -> DiscussionFacts:
    """Return how many threads a request has and how many are not resolved, in one statement."""
    counted = Thread.objects.filter(request=request).aggregate(
        threads=Count("pk"), unresolved=Count("pk", filter=Q(resolved_at__isnull=True))
    )
    return DiscussionFacts(**counted)
