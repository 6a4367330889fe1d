"""Which reports a request relies on: of each check that its policies take from elsewhere, the newest one that fits."""

from __future__ import annotations

from governance.commands.checks import ResolvedCheck, reported_checks
from governance.models import MEASURED, CheckRun, CheckSource
from registry.models import ModelVersion
from workflows.assessment import pins_of
from workflows.lifecycle import wake
from workflows.models import OPEN_STATES, PolicyCheck, PromotionRequest, RequestCheck


def follow_reports(request: PromotionRequest) -> bool:
    """Have a request rely on the newest reports, and return whether these are others than before. In the caller's transaction.

    A report stays until a newer one takes its place, also where its data set has a newer version by now: so do workers' runs.
    """
    changed = False
    for pin in pins_of(request):
        for check in reported_checks(pin.compiled, pin.parameters):
            for role, version in (("candidate", request.version), ("champion", request.champion)):
                run = _newest(version, check) if version is not None else None
                if run is not None:
                    link, _ = RequestCheck.objects.get_or_create(request=request, run=run, defaults={"role": role})
                    _, made = PolicyCheck.objects.get_or_create(policy_id=pin.row, link=link)
                    earlier = PolicyCheck.objects.filter(
                        policy_id=pin.row, link__role=role, link__run__source=CheckSource.REPORTED
                    )
                    earlier.filter(link__run__check_name=check.name).exclude(link=link).delete()
                    changed = changed or made
    request.checks.filter(run__source=CheckSource.REPORTED, asked_by__isnull=True).delete()
    return changed


def tell_requests(run: CheckRun) -> None:
    """Have every open request on what was reported look at the report, and judge those anew that now rely on it.

    In the transaction of the report, with the model's row locked.
    """
    open_requests = PromotionRequest.objects.select_related("version", "champion").filter(
        model_id=run.version.model_id, state__in=OPEN_STATES
    )
    for request in open_requests.order_by("pk"):
        versions = (request.version, request.champion)
        if any(version is not None and version.content_digest == run.content_digest for version in versions) and follow_reports(
            request
        ):
            wake(request.pk)


def _newest(version: ModelVersion, check: ResolvedCheck) -> CheckRun | None:
    """Return the newest report on this content of this model, with the data set and the parameters that the policy names."""
    if not version.content_digest:
        return None
    runs = CheckRun.objects.filter(
        source=CheckSource.REPORTED,
        state__in=MEASURED,
        check_name=check.name,
        content_digest=version.content_digest,
        version__model_id=version.model_id,
        **({"dataset_version": check.dataset} if check.dataset else {}),
    )
    for run in runs.order_by("-created_at", "-pk"):
        if all(run.parameters.get(name) == value for name, value in check.parameters.items()):
            return run
    return None
