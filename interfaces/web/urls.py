"""The addresses of the pages. Each view of a page has one: filters, tabs, dates and revisions are in the query."""

from __future__ import annotations

from django.urls import path

from interfaces.web import register_urls
from interfaces.web.views import audit, checks, discussion, home, inbox, lineage, models, requests, session

app_name = "web"

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", session.sign_in, name="sign-in"),
    path("sign-out", session.sign_out, name="sign-out"),
    path("theme", session.theme, name="theme"),
    path("requests/", inbox.inbox, name="requests"),
    path("tasks/<int:task_id>/claim", inbox.claim, name="task-claim"),
    path("tasks/<int:task_id>/release", inbox.release, name="task-release"),
    path("notifications/read", inbox.read, name="notifications-read"),
    path("requests/<int:request_id>/", requests.review, name="request"),
    path("requests/<int:request_id>/status", requests.status, name="request-status"),
    path("requests/<int:request_id>/statement", requests.statement, name="request-statement"),
    path("requests/<int:request_id>/decision", requests.decide, name="request-decide"),
    path("requests/<int:request_id>/submit", requests.submit, name="request-submit"),
    path("requests/<int:request_id>/withdraw", requests.withdraw, name="request-withdraw"),
    path("requests/<int:request_id>/resubmit", requests.resubmit, name="request-resubmit"),
    path("requests/<int:request_id>/rebase", requests.rebase, name="request-rebase"),
    path("requests/<int:request_id>/execute", requests.execute, name="request-execute"),
    path("requests/<int:request_id>/rerun", requests.rerun, name="request-rerun"),
    path("requests/<int:request_id>/threads", discussion.begin, name="thread-begin"),
    path("requests/<int:request_id>/threads/<int:thread_id>/reply", discussion.reply, name="thread-reply"),
    path("requests/<int:request_id>/threads/<int:thread_id>/resolve", discussion.resolve, name="thread-resolve"),
    path("requests/<int:request_id>/threads/<int:thread_id>/reopen", discussion.reopen, name="thread-reopen"),
    path("requests/<int:request_id>/comments/<int:comment_id>/edit", discussion.edit, name="comment-edit"),
    path("requests/<int:request_id>/comments/<int:comment_id>/delete", discussion.delete, name="comment-delete"),
    *register_urls.urlpatterns,
    path("check-runs/<uuid:run_id>/", checks.run, name="check-run"),
    path("check-runs/<uuid:run_id>/progress", checks.progress, name="check-run-progress"),
    path("check-runs/<uuid:run_id>/cancel", checks.cancel, name="check-run-cancel"),
    path("lineage/", lineage.explore, name="lineage"),
    path("audit/", audit.log, name="audit"),
    path("audit/<int:event_id>/", audit.event, name="audit-event"),
    path("models/", models.models, name="models"),
    # A model's name may hold a slash, so the longer address comes first.
    path("models/<path:name>/versions/<int:number>/", models.version, name="version"),
    path("models/<path:name>/", models.model, name="model"),
]
