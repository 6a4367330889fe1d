"""The addresses of the registers: risk, operations, policies, people and webhooks."""

from __future__ import annotations

from django.urls import path

from interfaces.web.views import risk

urlpatterns = [
    path("waivers/", risk.waivers, name="waivers"),
    path("waivers/new", risk.waiver_new, name="waiver-new"),
    path("waivers/<int:waiver_id>/", risk.waiver, name="waiver"),
    path("findings/", risk.findings, name="findings"),
    path("findings/new", risk.finding_new, name="finding-new"),
    path("findings/<int:finding_id>/", risk.finding, name="finding"),
    path("questionnaires/", risk.questionnaires, name="questionnaires"),
    path("tiers/<path:name>/", risk.tier, name="tier"),
]
