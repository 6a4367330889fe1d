"""The addresses of reports, as pages and in the API. They come before those of the dialects, which end in what answers anything."""

from __future__ import annotations

from django.urls import path

from interfaces.reports import pages
from interfaces.reports.endpoint import VersionReportFile
from interfaces.rest import urls as rest  # registers the converters

app_name = "reports"

API = [path(f"{rest.VERSION}report/", VersionReportFile.as_view(), name="file")]

urlpatterns = [
    *(path(f"api/v1/{each.pattern}", each.callback, name=each.name) for each in API),
    path("models/<path:name>/versions/<int:number>/report/", pages.version, name="version"),
    path("models/<path:name>/versions/<int:number>/report.pdf", pages.pdf, name="pdf"),
]
