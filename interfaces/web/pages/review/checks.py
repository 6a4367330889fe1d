"""The check runs that a request relies on, what they found, and where the model comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from django.urls import reverse
from django.utils.safestring import SafeString

from governance.models import AT_WORK, MEASURED
from governance.queries import CheckRunRow, FindingRow
from interfaces.web import charts
from interfaces.web.pages import words
from interfaces.web.pages.lineage import dataset_page, explore
from interfaces.web.pages.words import Status
from workflows.queries.requests import RequestPage, RequestRow
from workflows.queries.risk import FindingSummary

BROKEN = ("error", "timed_out", "cancelled")
_GRAVITY = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}


@dataclass(frozen=True)
class CheckRow:
    """A check run of the request."""

    anchor: str
    run: UUID
    name: str
    role: str
    status: Status
    detail: str
    dataset: str
    digests: tuple[tuple[str, str], ...]
    started_at: datetime | None
    finished_at: datetime | None
    progress: SafeString | None
    ran: str


@dataclass(frozen=True)
class Severe:
    """A problem that a check found on this version."""

    status: Status
    title: str
    where: str
    message: str
    check: str


@dataclass(frozen=True)
class OpenFinding:
    """A problem with the model that nobody closed yet. carried: it was raised on another version and counts here too."""

    id: int
    status: Status
    title: str
    version: int
    carried: bool
    source: str
    owner: str
    due_on: date | None
    overdue: bool


@dataclass(frozen=True)
class Node:
    """A station of the strip from data to a place."""

    icon: str
    title: str
    note: str
    href: str
    look: str = ""


def check_row(run: CheckRunRow) -> CheckRow:
    """Return a check run as a row, without a part in a request."""
    length = words.duration(run.finished_at - run.started_at) if run.finished_at and run.started_at else ""
    return CheckRow(
        anchor=f"check-{run.check}",
        run=run.id,
        name=words.sentence(run.check),
        role="",
        status=words.check(run.state),
        detail=run.error_message or run.progress_text
        if run.state not in MEASURED
        else words.count_of(len(run.measurements), "measurement"),
        dataset=data_of(run),
        digests=tuple(
            (name, value)
            for name, value in (
                ("Inputs", run.inputs_digest),
                ("Result", run.result_digest),
                ("Content", run.content_digest),
                ("Data set", run.dataset_digest),
            )
            if value
        ),
        started_at=run.started_at,
        finished_at=run.finished_at,
        progress=charts.progress(run.progress, label=f"{run.progress:.0%} done") if run.state in AT_WORK else None,
        ran=", ".join(filter(None, [f"revision {run.check_revision}", measured_by(run), f"took {length}" if length else ""])),
    )


def measured_by(run: CheckRunRow) -> str:
    """Return who measured: how a worker kept the model apart, or which pipeline reported and whether it signed."""
    if run.report is None:
        return run.isolation
    signature = run.report.signature
    if signature is None:
        return f"Reported by {run.report.pipeline}, not signed"
    revoked = ", key revoked since" if signature.key_revoked_at else ""
    return f"Reported by {run.report.pipeline}, signature verified with {signature.key_name}{revoked}"


def data_of(run: CheckRunRow) -> str:
    """Return which data a run measured on; empty where a worker read the files alone."""
    return run.dataset or ("data not registered here" if run.report else "")


def check_rows(page: RequestPage) -> tuple[CheckRow, ...]:
    """Return the check runs of a request; the requirements link to the candidate's."""
    return tuple(_of_request(link.role, link.run, page.request) for link in page.checks)


def findings(runs: Iterable[CheckRunRow]) -> tuple[Severe, ...]:
    """Return what the checks found, the most severe first."""
    found: list[FindingRow] = [each for run in runs for each in run.findings]
    return tuple(
        Severe(words.severity(each.severity), words.sentence(each.rule), each.location, each.message, words.sentence(each.check))
        for each in sorted(found, key=lambda each: _GRAVITY.get(each.severity, len(_GRAVITY)))
    )


def open_findings(found: Sequence[FindingSummary], *, version: int, names: Mapping[str, str]) -> tuple[OpenFinding, ...]:
    """Return what is open on the model, the gravest first."""
    return tuple(
        OpenFinding(
            id=each.id,
            status=words.severity(each.severity),
            title=each.title,
            version=each.version,
            carried=each.version != version,
            source=words.sentence(each.source),
            owner=names.get(each.owner, each.owner),
            due_on=each.due_on,
            overdue=each.overdue,
        )
        for each in sorted(found, key=lambda each: (_GRAVITY.get(each.severity, len(_GRAVITY)), each.id))
    )


def strip(page: RequestPage) -> tuple[Node, ...]:
    """Return the way from the evaluation data over the run and the version to its place."""
    request = page.request
    here = explore(f"model_version:{request.model}/{request.version}")
    datasets = sorted({link.run.dataset for link in page.checks if link.role == "candidate" and link.run.dataset})
    nodes = [Node("dataset", name, "evaluation data", dataset_page(name)) for name in datasets[:1]]
    if page.candidate.run_owner:
        nodes.append(Node("run_node", "Training run", f"by {page.candidate.run_owner}", here))
    held = request.from_stage if request.from_stage not in ("", "None") else "no stage"
    version = reverse("web:version", args=[request.model, request.version])
    nodes.append(Node("model", f"{request.model} v{request.version}", f"{held} when asked", version, "on"))
    place, look = reverse("web:model", args=[request.model]), "" if request.state == "done" else "soon"
    nodes.append(Node("stage", words.target(request.target_kind, request.target), _place_note(request), place, look))
    return tuple(nodes)


def _place_note(request: RequestRow) -> str:
    if request.kind == "re_review":
        return "now"
    if request.state == "done":
        return "given"
    return f"after approval; v{request.champion} now" if request.champion else "after approval"


def _of_request(role: str, run: CheckRunRow, request: RequestRow) -> CheckRow:
    row = check_row(run)
    number = f"v{request.version}" if role == "candidate" else f"champion v{request.champion}"
    # Requirements link to the candidate's run; the champion's gets another place.
    return replace(row, role=number, anchor=row.anchor if role == "candidate" else f"{row.anchor}-champion")
