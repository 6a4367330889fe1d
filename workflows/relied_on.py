"""Which check runs count for which policy of a request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from governance.models import CheckRun, CheckSource
from workflows.models import PolicyCheck, PromotionRequest, RequestCheck

Runs = Mapping[tuple[str, str], CheckRun]  # (role, name of the check) -> the run that counts


@dataclass(frozen=True)
class ReliedOn:
    """together: of each check the last run that any policy asked for, a worker's before a reported one. apart: what a policy sees where it
    asked for another one itself, by the row that pins it. A policy that does not ask for a check sees the run that counts together."""

    together: Runs
    apart: Mapping[int, Runs]

    def all(self) -> set[CheckRun]:
        """Return every run that counts for somebody."""
        return {run for runs in (self.together, *self.apart.values()) for run in runs.values()}


def relied_on(request: PromotionRequest, pins: Iterable[int], links: Iterable[RequestCheck]) -> ReliedOn:
    """Return what counts among a request's links, oldest first, for the policies of these rows; one statement."""
    asked_by: dict[int, set[int]] = defaultdict(set)
    pairs = PolicyCheck.objects.filter(link__request=request, policy__in=pins)
    for policy, asked in pairs.values_list("policy_id", "link_id"):
        asked_by[asked].add(policy)
    counting = [link for link in links if asked_by[link.pk]]
    counting.sort(key=lambda link: link.run.source == CheckSource.WORKER)  # for all together, what a worker measured stands
    together = {(link.role, link.run.check_name): link.run for link in counting}
    own: dict[int, dict[tuple[str, str], CheckRun]] = defaultdict(dict)
    for link in counting:
        for policy in asked_by[link.pk]:
            own[policy][link.role, link.run.check_name] = link.run
    return ReliedOn(together, {policy: together | runs for policy, runs in own.items() if runs.items() - together.items()})


def of_role(runs: Runs, role: str) -> Iterator[CheckRun]:
    """Yield the runs of the candidate or of the champion."""
    return (run for (held, _), run in runs.items() if held == role)
