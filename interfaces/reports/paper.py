"""A report as one HTML document that needs nothing else: its styles are within, in the colours of the light theme."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from interfaces.reports.version import VersionReport

_STYLESHEET = Path(__file__).parents[1] / "web" / "static" / "countersign" / "countersign.css"
_TOKEN = re.compile(r"(--[\w-]+): (?:light-dark\((#\w+),|var\((--[\w-]+)\))")


def paper(report: VersionReport, *, root: str) -> str:
    """Return the document. Equal reports give equal documents. root: the address that the links begin with, without a slash."""
    context = {
        "report": report,
        "root": root,
        "style": _style("reports/paper.css"),
        "on_paper": [(figure, _on_paper(figure.drawing)) for figure in report.figures],
    }
    return render_to_string("reports/paper.html", context)


def content_policy() -> str:
    """Return the policy for showing the document: its own style sheets, known by their digests, and nothing else at all."""
    digests = [
        base64.b64encode(hashlib.sha256(_style(name).encode()).digest()).decode()
        for name in ("reports/paper.css", "reports/figures.css")
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _on_paper(drawing: SafeString | None) -> SafeString | None:
    """Return a drawing with its style and its title within: a page's styles do not reach it on paper, nor does a label."""
    if drawing is None:
        return None
    label = ElementTree.fromstring(drawing).get("aria-label", "")  # noqa: S314 - our own markup
    head, _, rest = drawing.partition(">")
    inside = format_html("<title>{}</title><style>{}</style>", label, _style("reports/figures.css"))
    return mark_safe(f"{head}>{inside}{rest}")  # noqa: S308 - a drawing, which is safe, with what is escaped here


@cache
def _style(template: str) -> SafeString:
    """Return a style sheet with the colours it names; the printing press knows neither themes nor names within drawings."""
    tokens: dict[str, str] = {}
    for name, value, other in _TOKEN.findall(_STYLESHEET.read_text()):
        tokens.setdefault(name, value or tokens.get(other, ""))
    written = re.sub(r"var\((--[\w-]+)\)", lambda found: tokens[found.group(1)], render_to_string(template))
    return mark_safe(written)  # noqa: S308 - our own file
