"""The addresses of the registers: data sets, risk, operations, policies, signing keys, people and webhooks."""

from __future__ import annotations

from django.urls import path

from interfaces.web.views import checks, datasets, operations, people, policies, risk, signing_keys, webhooks

urlpatterns = [
    path("datasets/", datasets.datasets, name="datasets"),
    path("datasets/<str:name>/", datasets.dataset, name="dataset"),
    path("datasets/<str:name>/contract", datasets.contract, name="dataset-contract"),
    path("datasets/<str:name>/versions/<int:number>/", datasets.version, name="dataset-version"),
    path("waivers/", risk.waivers, name="waivers"),
    path("waivers/new", risk.waiver_new, name="waiver-new"),
    path("waivers/<int:waiver_id>/", risk.waiver, name="waiver"),
    path("findings/", risk.findings, name="findings"),
    path("findings/new", risk.finding_new, name="finding-new"),
    path("findings/<int:finding_id>/", risk.finding, name="finding"),
    path("questionnaires/", risk.questionnaires, name="questionnaires"),
    path("tiers/<path:name>/", risk.tier, name="tier"),
    path("re-reviews/", operations.re_review_list, name="re-reviews"),
    path("re-reviews/report", operations.event_new, name="event-new"),
    path("grandfathered/", operations.grandfathered_list, name="grandfathered"),
    path("emergencies/", operations.emergencies, name="emergencies"),
    path("emergencies/new", operations.emergency_new, name="emergency-new"),
    path("emergencies/<int:break_glass_id>/", operations.emergency, name="emergency"),
    path("freezes/", operations.freezes, name="freezes"),
    path("freezes/new", operations.freeze_new, name="freeze-new"),
    path("freezes/<slug:name>/end", operations.freeze_end, name="freeze-end"),
    path("calendars/", operations.calendars, name="calendars"),
    path("checks/", checks.catalogue, name="checks"),
    path("policies/", policies.policies, name="policies"),
    path("policies/publish", policies.publish, name="policy-publish"),
    path("policies/bind", policies.bind, name="policy-bind"),
    path("policies/parameters", policies.parameters, name="policy-parameters"),
    path("policies/request-states", policies.request_states, name="request-states"),
    path("policies/<str:name>/", policies.policy, name="policy"),
    path("policies/<str:name>/simulate", policies.simulate, name="policy-simulate"),
    path("bindings/<str:name>/end", policies.binding_end, name="binding-end"),
    path("signing-keys/", signing_keys.signing_keys, name="signing-keys"),
    path("signing-keys/<str:key_id>/", signing_keys.signing_key, name="signing-key"),
    path("delegations/", people.delegations, name="delegations"),
    path("delegations/mail", people.mail, name="mail"),
    path("delegations/<int:delegation_id>/end", people.delegation_end, name="delegation-end"),
    path("conflicts/", people.conflicts, name="conflicts"),
    path("webhooks/", webhooks.endpoints, name="webhooks"),
    path("webhooks/<int:endpoint_id>/", webhooks.endpoint, name="webhook"),
    path("webhooks/<int:endpoint_id>/deliveries/<uuid:delivery_id>/again", webhooks.redeliver, name="webhook-redeliver"),
]
