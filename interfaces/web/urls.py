"""The addresses of the pages. Each view of a page has one: filters, tabs, dates and revisions are in the query."""

from __future__ import annotations

from django.urls import path

from interfaces.web.views import audit, home, lineage, models, requests, session

app_name = "web"

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", session.sign_in, name="sign-in"),
    path("sign-out", session.sign_out, name="sign-out"),
    path("theme", session.theme, name="theme"),
    path("requests/", requests.inbox, name="requests"),
    path("requests/<int:request_id>/", requests.review, name="request"),
    path("requests/<int:request_id>/status", requests.status, name="request-status"),
    path("requests/<int:request_id>/decision", requests.decide, name="request-decide"),
    path("requests/<int:request_id>/withdraw", requests.withdraw, name="request-withdraw"),
    path("requests/<int:request_id>/resubmit", requests.resubmit, name="request-resubmit"),
    path("requests/<int:request_id>/execute", requests.execute, name="request-execute"),
    path("requests/<int:request_id>/rerun", requests.rerun, name="request-rerun"),
    path("lineage/", lineage.explore, name="lineage"),
    path("audit/", audit.log, name="audit"),
    path("audit/<int:event_id>/", audit.event, name="audit-event"),
    path("policies/", audit.policies, name="policies"),
    path("policies/<str:name>/", audit.policy, name="policy"),
    path("models/", models.models, name="models"),
    # A model's name may hold a slash, so the longer address comes first.
    path("models/<path:name>/versions/<int:number>/", models.version, name="version"),
    path("models/<path:name>/", models.model, name="model"),
]
