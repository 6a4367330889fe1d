"""The report of a version in the API."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from interfaces.reports.pages import as_file, root_of
from interfaces.reports.paper import content_policy, paper
from interfaces.reports.version import version_report
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, describe, read_query
from workflows import printing


class Wanted(Input):
    format = serializers.ChoiceField(["html", "pdf"], default="html")


@dataclass(frozen=True)
class Printing:
    """A report that a worker is printing: ask again. digest: of the HTML it is printed from."""

    state: str
    digest: str


class VersionReportFile(Endpoint):
    @describe("read_version_report", query=Wanted, response=Printing, status=202, media=("text/html", "application/pdf"))
    def get(self, request: Request, name: str, number: int) -> HttpResponseBase:
        """Read the report of a version: identity, card, measurements, findings, figures, reviews and decisions, lineage.

        The PDF is printed by a worker: 202 says to ask again. ETag is the digest of the HTML, and equal HTML gives the same PDF.
        """
        wanted = read_query(Wanted, request)["format"]
        report = version_report(actor_of(request), name, number)
        html = paper(report, root=root_of(request))
        answer: HttpResponseBase
        if wanted == "html":
            answer = HttpResponse(html, content_type="text/html; charset=utf-8")
            answer["Content-Security-Policy"] = content_policy()
        elif (pdf := printing.printed(html)) is not None:
            answer = as_file(report, pdf)
        else:
            return Response(Printing("printing", printing.digest_of(html)), status=202, headers={"Retry-After": "2"})
        answer["ETag"] = f'"{printing.digest_of(html)}"'
        answer["Cache-Control"] = "private, no-cache"
        return answer
