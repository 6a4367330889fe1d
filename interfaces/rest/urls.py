"""The addresses of the REST API, below /api/v1/."""

from __future__ import annotations

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from interfaces.rest.views import (
    accounts,
    audit,
    checks,
    datasets,
    description,
    models,
    operations,
    people,
    policies,
    requests,
    risk,
    signing_keys,
    versions,
    webhooks,
)


class NameConverter(StringConverter):
    """A name as it may stand in an address: anything but a slash and NUL, which no database takes."""

    regex = r"[^/\x00]+"


class NumberConverter:
    """A whole number that fits the databases' integers."""

    regex = "[0-9]{1,9}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(NameConverter, "name")
register_converter(NumberConverter, "number")

app_name = "rest"

_MODEL = "models/<name:name>/"
VERSION = f"{_MODEL}versions/<number:number>/"
_REQUEST = "promotion-requests/<number:request_id>/"
_DATASET = "datasets/<name:name>/"
_WEBHOOK = "webhooks/<number:number>/"
_WAIVER = "waivers/<number:number>/"
_FINDING = "findings/<number:number>/"
_EMERGENCY = "break-glass/<number:number>/"
_TASK = "tasks/<number:number>/"
_THREAD = "threads/<number:number>/"

urlpatterns = [
    path("models/", models.Models.as_view(), name="models"),
    path(_MODEL, models.OneModel.as_view(), name="model"),
    path(f"{_MODEL}stages/", models.ModelStages.as_view(), name="model-stages"),
    path(f"{_MODEL}aliases/", models.ModelAliases.as_view(), name="model-aliases"),
    path(f"{_MODEL}aliases/<name:alias>/", models.OneAlias.as_view(), name="alias"),
    path(f"{_MODEL}history/", models.ModelHistory.as_view(), name="model-history"),
    path(f"{_MODEL}versions/", versions.Versions.as_view(), name="versions"),
    path(VERSION, versions.OneVersion.as_view(), name="version"),
    path(f"{VERSION}files/", versions.VersionFiles.as_view(), name="version-files"),
    path(f"{VERSION}card/", versions.VersionCard.as_view(), name="version-card"),
    path(f"{VERSION}decisions/", versions.VersionDecisions.as_view(), name="version-decisions"),
    path(f"{VERSION}outlook/", versions.VersionOutlook.as_view(), name="version-outlook"),
    path(f"{VERSION}stage/", versions.VersionStage.as_view(), name="version-stage"),
    path("stages/", models.Stages.as_view(), name="stages"),
    path("promotion-requests/", requests.PromotionRequests.as_view(), name="promotion-requests"),
    path(_REQUEST, requests.OnePromotionRequest.as_view(), name="promotion-request"),
    path(f"{_REQUEST}requirements/", requests.Requirements.as_view(), name="requirements"),
    path(f"{_REQUEST}checks/", requests.RequestChecks.as_view(), name="request-checks"),
    path(f"{_REQUEST}eligibility/", requests.RequestEligibility.as_view(), name="eligibility"),
    path(f"{_REQUEST}reviews/", requests.Reviews.as_view(), name="reviews"),
    path(f"{_REQUEST}statement/", requests.Statement.as_view(), name="statement"),
    path(f"{_REQUEST}submit/", requests.Submit.as_view(), name="submit"),
    path(f"{_REQUEST}rebase/", requests.Rebase.as_view(), name="rebase"),
    path(f"{_REQUEST}withdraw/", requests.Withdraw.as_view(), name="withdraw"),
    path(f"{_REQUEST}execute/", requests.Execute.as_view(), name="execute"),
    path(f"{_REQUEST}resubmit/", requests.Resubmit.as_view(), name="resubmit"),
    path(f"{_REQUEST}rerun-checks/", requests.RerunChecks.as_view(), name="rerun-checks"),
    path("checks/", checks.Checks.as_view(), name="checks"),
    path("check-runs/", checks.CheckRuns.as_view(), name="check-runs"),
    path("check-runs/report/", checks.ReportedCheckRuns.as_view(), name="check-run-report"),
    path("check-runs/<uuid:run_id>/", checks.OneCheckRun.as_view(), name="check-run"),
    path("check-runs/<uuid:run_id>/attestation/", checks.CheckRunAttestation.as_view(), name="check-run-attestation"),
    path("check-runs/<uuid:run_id>/bill-of-materials/", checks.CheckRunBillOfMaterials.as_view(), name="bill-of-materials"),
    path("check-runs/<uuid:run_id>/cancel/", checks.CancelCheckRun.as_view(), name="cancel-check-run"),
    path("check-runs/<uuid:run_id>/log/", checks.CheckRunLog.as_view(), name="check-run-log"),
    path("signing-keys/", signing_keys.SigningKeys.as_view(), name="signing-keys"),
    path("signing-keys/<name:key_id>/", signing_keys.OneSigningKey.as_view(), name="signing-key"),
    path("signing-keys/<name:key_id>/revoke/", signing_keys.RevokeSigningKey.as_view(), name="signing-key-revoke"),
    path("measurements/", checks.Measurements.as_view(), name="measurements"),
    path("policies/", policies.Policies.as_view(), name="policies"),
    path("policies/<name:name>/", policies.OnePolicy.as_view(), name="policy"),
    path("policies/<name:name>/revisions/<number:number>/", policies.OneRevision.as_view(), name="policy-revision"),
    path("policies/<name:name>/simulate/", policies.Simulate.as_view(), name="policy-simulate"),
    path("parameters/", policies.Parameters.as_view(), name="parameter-sets"),
    path("parameters/<name:name>/", policies.OneParameters.as_view(), name="parameter-set"),
    path("bindings/", policies.Bindings.as_view(), name="bindings"),
    path("bindings/<name:name>/", policies.OneBinding.as_view(), name="binding"),
    path("policy-schema.json", policies.PolicySchema.as_view(), name="policy-schema"),
    path("parameters-schema.json", policies.ParametersSchema.as_view(), name="parameters-schema"),
    path("binding-schema.json", policies.BindingSchema.as_view(), name="binding-schema"),
    path("datasets/", datasets.Datasets.as_view(), name="datasets"),
    path(_DATASET, datasets.OneDataset.as_view(), name="dataset"),
    path(f"{_DATASET}contract/", datasets.DatasetContract.as_view(), name="dataset-contract"),
    path(f"{_DATASET}contract/draft/", datasets.DatasetContractDraft.as_view(), name="dataset-contract-draft"),
    path(
        f"{_DATASET}versions/<number:number>/contract-report/",
        datasets.DatasetContractReport.as_view(),
        name="dataset-contract-report",
    ),
    path("data-contract-schema.json", datasets.DataContractSchema.as_view(), name="data-contract-schema"),
    path("lineage/", audit.Lineage.as_view(), name="lineage"),
    path("audit/events/", audit.Events.as_view(), name="audit-events"),
    path("audit/events/<number:event_id>/", audit.OneEvent.as_view(), name="audit-event"),
    path("audit/verify/", audit.Verify.as_view(), name="audit-verify"),
    path("audit/head/", audit.LedgerHead.as_view(), name="audit-head"),
    path("decisions/<uuid:decision_id>/", audit.OneDecision.as_view(), name="decision"),
    path("decisions/<uuid:decision_id>/replay/", audit.ReplayDecision.as_view(), name="decision-replay"),
    path("webhooks/", webhooks.Webhooks.as_view(), name="webhooks"),
    path("webhooks/events/", webhooks.EventKinds.as_view(), name="webhook-events"),
    path("webhooks/deliveries/<uuid:delivery_id>/redeliver/", webhooks.Redeliver.as_view(), name="webhook-redeliver"),
    path(_WEBHOOK, webhooks.OneWebhook.as_view(), name="webhook"),
    path(f"{_WEBHOOK}rotate-secret/", webhooks.RotateSecret.as_view(), name="webhook-rotate-secret"),
    path(f"{_WEBHOOK}test/", webhooks.SendTest.as_view(), name="webhook-test"),
    path(f"{_WEBHOOK}deliveries/", webhooks.Deliveries.as_view(), name="webhook-deliveries"),
    path("freezes/", operations.Freezes.as_view(), name="freezes"),
    path("freezes/calendar.ics", operations.FreezeFeed.as_view(), name="freeze-feed"),
    path("freezes/<name:name>/", operations.OneFreeze.as_view(), name="freeze"),
    path("calendars/", operations.Calendars.as_view(), name="calendars"),
    path("break-glass/", operations.Emergencies.as_view(), name="emergencies"),
    path(_EMERGENCY, operations.OneEmergency.as_view(), name="emergency"),
    path(f"{_EMERGENCY}confirm/", operations.ConfirmEmergency.as_view(), name="emergency-confirm"),
    path(f"{_EMERGENCY}refuse/", operations.RefuseEmergency.as_view(), name="emergency-refuse"),
    path(f"{_EMERGENCY}revert/", operations.RevertEmergency.as_view(), name="emergency-revert"),
    path(f"{_EMERGENCY}close/", operations.CloseEmergency.as_view(), name="emergency-close"),
    path("re-reviews/", operations.ReReviews.as_view(), name="re-reviews"),
    path("grandfathered/", operations.GrandfatheredPlaces.as_view(), name="grandfathered"),
    path(f"{_MODEL}events/", operations.ModelEvents.as_view(), name="model-events"),
    path("waivers/", risk.Waivers.as_view(), name="waivers"),
    path(_WAIVER, risk.OneWaiver.as_view(), name="waiver"),
    path(f"{_WAIVER}approve/", risk.ApproveWaiver.as_view(), name="waiver-approve"),
    path(f"{_WAIVER}refuse/", risk.RefuseWaiver.as_view(), name="waiver-refuse"),
    path(f"{_WAIVER}revoke/", risk.RevokeWaiver.as_view(), name="waiver-revoke"),
    path("findings/", risk.Findings.as_view(), name="findings"),
    path(_FINDING, risk.OneFinding.as_view(), name="finding"),
    path(f"{_FINDING}close/", risk.CloseFinding.as_view(), name="finding-close"),
    path(f"{_FINDING}reopen/", risk.ReopenFinding.as_view(), name="finding-reopen"),
    path("questionnaires/", risk.Questionnaires.as_view(), name="questionnaires"),
    path("questionnaires/<name:name>/", risk.OneQuestionnaire.as_view(), name="questionnaire"),
    path(f"{_MODEL}tier/", risk.Tier.as_view(), name="model-tier"),
    path("tier-assessments/<number:number>/confirm/", risk.ConfirmTier.as_view(), name="tier-confirm"),
    path("tier-assessments/<number:number>/refuse/", risk.RefuseTier.as_view(), name="tier-refuse"),
    path("inbox/", people.MyInbox.as_view(), name="inbox"),
    path("inbox/tasks/", people.InboxTasks.as_view(), name="inbox-tasks"),
    path(f"{_TASK}claim/", people.ClaimTask.as_view(), name="task-claim"),
    path(f"{_TASK}release/", people.ReleaseTask.as_view(), name="task-release"),
    path("notifications/", people.Notifications.as_view(), name="notifications"),
    path("notifications/read/", people.ReadNotifications.as_view(), name="notifications-read"),
    path("me/mail/", people.MyMail.as_view(), name="my-mail"),
    path("delegations/", people.Delegations.as_view(), name="delegations"),
    path("delegations/<number:number>/revoke/", people.RevokeDelegation.as_view(), name="delegation-revoke"),
    path(f"{_REQUEST}threads/", people.RequestThreads.as_view(), name="request-threads"),
    path(f"{VERSION}threads/", people.VersionThreads.as_view(), name="version-threads"),
    path(_THREAD, people.OneThread.as_view(), name="thread"),
    path(f"{_THREAD}comments/", people.ThreadComments.as_view(), name="thread-comments"),
    path(f"{_THREAD}resolve/", people.ResolveThread.as_view(), name="thread-resolve"),
    path(f"{_THREAD}reopen/", people.ReopenThread.as_view(), name="thread-reopen"),
    path("comments/<number:number>/", people.OneComment.as_view(), name="comment"),
    path("access/conflicts/", people.Conflicts.as_view(), name="role-conflicts"),
    path("me/", accounts.WhoAmI.as_view(), name="me"),
    path("tokens/", accounts.Tokens.as_view(), name="tokens"),
    path("tokens/<name:prefix>/", accounts.OneToken.as_view(), name="token"),
    path("schema/", description.Schema.as_view(), name="schema"),
    path("docs/", description.Docs.as_view(), name="docs"),
    re_path("", description.NoSuchAddress.as_view(), name="no-such-address"),
]
