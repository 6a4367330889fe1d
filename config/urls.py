"""Which dialect answers which address. MLflow's paths are answered earlier, by ``interfaces.dialects``."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("interfaces.reports.urls")),
    path("api/v1/", include("interfaces.rest.urls")),
    path("", include("interfaces.web.urls")),
]

handler400 = "interfaces.web.errors.bad_request"
handler403 = "interfaces.web.errors.denied"
handler404 = "interfaces.web.errors.not_found"
handler500 = "interfaces.web.errors.failed"
