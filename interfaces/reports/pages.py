"""The report of a version as a page, and its way to the PDF."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from interfaces.reports.paper import paper
from interfaces.reports.version import VersionReport, version_report
from interfaces.web.page import PageRequest, page
from workflows import printing


@require_safe
@page
def version(request: PageRequest, name: str, number: int) -> HttpResponse:
    """Show the report."""
    return render(request, "reports/version.html", {"nav": "models", "report": version_report(request.actor, name, number)})


@require_safe
@page
def pdf(request: PageRequest, name: str, number: int) -> HttpResponse:
    """Give the report as PDF, or a page that asks again while it is printed."""
    report = version_report(request.actor, name, number)
    html = paper(report, root=root_of(request))
    found = printing.printed(html)
    if found is None:
        return render(request, "reports/printing.html", {"nav": "models", "name": name, "number": number}, status=202)
    return as_file(report, found)


def root_of(request: HttpRequest) -> str:
    """Return the address of this server, as links on paper need it."""
    return settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")


def as_file(report: VersionReport, pdf: bytes) -> HttpResponse:
    """Return the answer that a browser shows or saves under a telling name."""
    name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in report.row.model)
    answer = HttpResponse(pdf, content_type="application/pdf")
    answer["Content-Disposition"] = (
        f'inline; filename="{name.encode("ascii", "replace").decode().replace("?", "-")}-v{report.row.number}.pdf"'
    )
    return answer
