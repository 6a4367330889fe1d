"""What the page of a check run shows."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.models import UNFINISHED
from governance.queries import CheckRunRow
from interfaces.web.figures import Figure, figures
from interfaces.web.pages import review, words
from interfaces.web.pages.lineage import dataset_page
from interfaces.web.pages.models import measurement
from interfaces.web.pages.words import Status

_MOST_MEASUREMENTS = 500


@dataclass(frozen=True)
class RunPage:
    """A check run: with what it was asked, what it measured, and what shows that it was this."""

    run: CheckRunRow
    title: str
    status: Status
    facts: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    measurements: tuple[tuple[str, str, str, str, str], ...]
    left_out: int
    figures: tuple[Figure, ...]
    findings: tuple[review.Severe, ...]
    unfinished: bool
    progress: SafeString | None


def run_page(run: CheckRunRow) -> RunPage:
    """Return the page of a check run."""
    row = review.check_row(run)
    return RunPage(
        run=run,
        title=row.name,
        status=row.status,
        facts=(
            ("Revision", run.check_revision),
            ("Data", _data(run)),
            *_whence(run),
            *(("Compared with", f"v{run.compared_with}") for _ in [0] if run.compared_with),
        ),
        digests=row.digests,
        parameters=tuple((words.sentence(name), _written(value)) for name, value in run.parameters.items()),
        measurements=tuple(
            (*measurement(each), words.number(each.n) if each.n else "", each.method)
            for each in run.measurements[:_MOST_MEASUREMENTS]
        ),
        left_out=max(0, len(run.measurements) - _MOST_MEASUREMENTS),
        figures=figures({run.check: run}, {}, limits={}, version=f"v{run.version}", other=""),
        findings=review.findings([run]),
        unfinished=run.state in UNFINISHED,
        progress=row.progress,
    )


def _data(run: CheckRunRow) -> str:
    """Return which data it measured on, as a link where that is registered here."""
    named = review.data_of(run) or "the files alone"
    page = dataset_page(named)
    return format_html('<a href="{}">{}</a>', page, named) if page else named


def _whence(run: CheckRunRow) -> tuple[tuple[str, str], ...]:
    """Return who measured, and for whom."""
    if run.report is None:
        return ("Asked for by", run.requested_by), ("Isolation", run.isolation or "none yet")
    told = (("Run of the pipeline", run.report.run_url), ("Commit", run.report.commit))
    return ("Source", review.measured_by(run)), ("Account", run.report.reported_by), *(fact for fact in told if fact[1])


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
