"""Evidence that pipelines elsewhere report: what counts on a request, who stands back for it, and what it cannot replace."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from core import commands as core_commands
from core.access import SYSTEM, grant
from core.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, Job, User
from governance.bindings import bindings_for
from governance.commands.policies import bind_policy, publish_policy
from governance.commands.signing_keys import register_key, revoke_key
from governance.facts import CheckFact, Facts, VersionFacts
from governance.models import Attestation, CheckRun, Decision, FindingRecord, Measurement, Report, SigningKey
from registry import commands as registry_commands
from registry.datasets import register_dataset
from registry.models import ModelVersion, RegisteredModel
from tests.cast import ROOT, actor, person
from tests.signing import new_key, pem, sign, statement
from tests.workflows.conftest import BINDING, POLICY, World, build
from workflows.assessment import assess, foresee
from workflows.commands import execution
from workflows.commands import requests as request_commands
from workflows.commands.reporting import report_check
from workflows.lifecycle import ADVANCE
from workflows.makers import makers_of
from workflows.models import PromotionRequest
from workflows.queries.replays import replayed
from workflows.rules import snapshot

pytestmark = pytest.mark.django_db

ELSEWHERE = POLICY.replace(
    "requirements:\n",
    """\
  - {check: acme/load-test, source: reported, with: {users: 200}}
requirements:
  - id: latency
    title: Latency
    how_to_satisfy: Have it measured under load.
    satisfied_if: measurements["latency.p95"].value <= 0.25 && version.checks["acme/load-test"].source == "reported"
""",
).replace(">= params.limit\n", '>= params.limit && measurements["roc_auc"].source == "worker"\n')


@pytest.fixture
def world(dana: User, pat: User) -> World:
    made = build(dana, pat)
    publish_policy(actor=actor(pat), document=ELSEWHERE)
    return made


@pytest.fixture
def pipeline(world: World, rosa: User) -> User:
    """A pipeline that Rosa answers for."""
    return reporter(world, "load-bot", "rosa")


def reporter(world: World, name: str, responsible: str) -> User:
    account = core_commands.ensure_user(actor=ROOT, username=name, roles=["pipeline"], service_of=responsible)
    grant(model_of(world), "model_read", users=[account.pk])
    return account


def model_of(world: World) -> Any:
    return RegisteredModel.objects.get(name="credit.risk")


def said(version: ModelVersion, p95: float = 0.2, **changes: Any) -> dict[str, Any]:
    return {
        "check": "acme/load-test",
        "revision": "7",
        "content_digest": version.content_digest,
        "outcome": "passed",
        "parameters": {"users": 200},
        "pipeline": {"name": "nightly", "url": "https://ci.example.org/runs/7", "commit": "c0ffee"},
        "measurements": [{"metric": "latency.p95", "value": p95, "n": 1000}],
        **changes,
    }


def report(who: User, version: ModelVersion, p95: float = 0.2, **changes: Any) -> tuple[CheckRun, bool]:
    return report_check(
        actor=actor(who), model_name=version.model.name, version=version.number, report=said(version, p95, **changes)
    )


def states(request: PromotionRequest) -> dict[str, str]:
    request.refresh_from_db()
    return {r.id: r.state.value for r in assess(request).verdict.requirements}


def advance(request: PromotionRequest) -> str:
    execution.advance_request(actor=SYSTEM, request_id=request.pk)
    request.refresh_from_db()
    return request.state


def test_a_request_waits_for_a_report_and_is_approved_with_it(world: World, pipeline: User, ravi: User, review: Any) -> None:
    request = world.ask(world.version())
    world.finish(request)
    assert advance(request) == "checking"
    (waits,) = [r for r in assess(request).verdict.requirements if r.id == "latency"]
    assert (waits.state, waits.reason) == ("pending", "waits for a report of acme/load-test")
    with pytest.raises(Conflict, match="Not all results"):
        review(ravi, request)

    Job.objects.filter(name=ADVANCE).delete()
    run, made = report(pipeline, request.version)
    assert made and run.state == "passed" and run.source == "reported"
    assert Job.objects.filter(name=ADVANCE).exists(), "the request is judged again"
    assert advance(request) == "in_review"
    assert states(request)["latency"] == "satisfied" and states(request)["roc-auc"] == "satisfied"

    review(ravi, request)
    rita = person("rita", "reviewer")
    review(rita, request)
    assert advance(request) == "approved"
    decision = Decision.objects.get(request_id=request.pk)
    facts = msgspec.json.decode(decision.facts, type=Facts)
    assert (
        facts.version.checks["acme/load-test"].source == "reported" and facts.version.measurements["roc_auc"].source == "worker"
    )
    assert replayed(decision).same
    event = AuditEvent.objects.get(action="check.reported")
    assert (event.actor, event.subject_id, event.scope) == ("load-bot", str(run.pk), f"model:{request.model_id}")


def test_who_reported_what_counts_and_who_answers_for_them_cannot_review(
    world: World, pipeline: User, ravi: User, rosa: User, review: Any
) -> None:
    other = reporter(world, "other-bot", "ravi")
    request = world.ask(world.version())
    report(other, request.version, check="acme/soak-test")  # no policy takes it
    first, _ = report(other, request.version, 0.24)
    report(pipeline, request.version)
    world.finish(request)
    assert advance(request) == "in_review"
    with pytest.raises(Denied, match="you answer for load-bot, who reported evidence on it"):
        review(rosa, request)
    review(ravi, request)  # what his account reported was replaced, or is not asked for
    assert not request.checks.filter(run=first).exists()
    barred = {
        maker.username: maker.responsible for maker in makers_of(request.version, requested_by=None) if "evidence" in maker.part
    }
    assert barred == {"load-bot": "rosa", "other-bot": "ravi"}, "without a request, all that was reported on the version"


def test_a_report_that_was_there_before_counts_and_a_newer_one_makes_reviews_stale(
    world: World, pipeline: User, ravi: User, review: Any
) -> None:
    version = world.version()
    report(pipeline, version)
    request = world.ask(version)
    world.finish(request)
    assert advance(request) == "in_review"
    given = review(ravi, request)
    assert [s.fact.counts for s in assess(request).standings] == [True]
    newer, _ = report(pipeline, version, 0.22)
    assert list(request.checks.filter(run__source="reported").values_list("run", flat=True)) == [newer.pk]
    (standing,) = assess(request).standings
    assert not standing.fact.counts and "latency" in standing.fact.why_not and given.reviewer == ravi


@pytest.mark.parametrize(
    "changes",
    [{"check": "acme/other"}, {"parameters": {"users": 100}}, {"parameters": {}}],
    ids=["another check", "other parameters", "no parameters"],
)
def test_what_does_not_fit_is_kept_and_does_not_count(world: World, pipeline: User, changes: dict[str, Any]) -> None:
    request = world.ask(world.version())
    world.finish(request)
    run, _ = report(pipeline, request.version, **changes)
    assert CheckRun.objects.filter(pk=run.pk).exists() and advance(request) == "checking"
    report(pipeline, request.version)
    assert advance(request) == "in_review"


def test_the_data_set_that_a_policy_names_must_be_the_reports(world: World, pat: User, pipeline: User) -> None:
    with pytest.raises(Conflict, match="no data set 'absent'"):
        publish_policy(actor=actor(pat), document=ELSEWHERE.replace("with: {users: 200}", "dataset: absent"))
    publish_policy(actor=actor(pat), document=ELSEWHERE.replace("with: {users: 200}", "dataset: validation"))
    request = world.ask(world.version())
    world.finish(request)
    report(pipeline, request.version, dataset_digest="sha256:" + "0" * 64)
    assert advance(request) == "checking"
    run, _ = report(pipeline, request.version, dataset="validation@v1")
    assert advance(request) == "in_review"
    register_dataset(actor=actor(pat), name="validation", stream=io.BytesIO(b"x,y\n1,0\n"), format="csv", target="y", closed=True)
    report(pipeline, request.version, check="acme/soak-test")
    assert request.checks.filter(run=run).exists(), "a newer version of the data set takes nothing away"
    by_digest, made = report(pipeline, request.version, dataset_digest=run.dataset_version.digest)
    assert (by_digest, made) == (run, False), "the digest of a registered data set names it"
    with pytest.raises(Invalid) as refused:
        report(pipeline, request.version, dataset="absent")
    assert refused.value.code == "unknown_dataset"


def test_a_report_replaces_nothing_that_a_worker_measures(world: World, pipeline: User) -> None:
    figures = [{"metric": "roc_auc", "value": 0.99}, {"metric": "latency.p95", "value": 0.2}]
    # Of an installed check's name, and from a check that the policy takes: neither stands before what the worker measured.
    request = world.ask(world.version())
    report(pipeline, request.version, check="performance", parameters={})
    report(pipeline, request.version, measurements=figures)
    world.finish(request, 0.6)
    advance(request)
    facts = assess(request).facts.version
    assert (facts.measurements["roc_auc"].value, facts.checks["performance"].source) == (0.6, "worker")
    assert states(request)["roc-auc"] == "unsatisfied" and states(request)["latency"] == "satisfied"


def test_a_check_that_broke_is_not_filled_in_from_outside(world: World, pat: User, pipeline: User) -> None:
    publish_policy(actor=actor(pat), document=ELSEWHERE.replace(' && measurements["roc_auc"].source == "worker"', ""))
    request = world.ask(world.version())
    world.finish(request, None)
    report(
        pipeline, request.version, measurements=[{"metric": "roc_auc", "value": 0.99}, {"metric": "latency.p95", "value": 0.2}]
    )
    advance(request)
    found = {r.id: (r.state.value, r.reason) for r in assess(request).verdict.requirements}
    why = "cannot be evaluated: not all checks are complete: performance error"
    assert found["roc-auc"] == ("error", why) and found["latency"] == ("error", why)


def test_a_number_that_a_worker_could_not_compute_stays_absent(world: World, pipeline: User) -> None:
    request = world.ask(world.version())
    world.finish(request)
    run = CheckRun.objects.get(request_links__request=request, source="worker")
    Measurement.objects.create(run=run, metric="brier", value=None, method="one class only")
    report(pipeline, request.version, measurements=[{"metric": "brier", "value": 0.01}, {"metric": "latency.p95", "value": 0.2}])
    assert set(assess(request).facts.version.measurements) == {"roc_auc", "latency.p95"}


def test_a_policy_that_only_watches_makes_no_request_wait(world: World, pat: User) -> None:
    publish_policy(actor=actor(pat), document=POLICY + "on_timeout: expire\n")
    publish_policy(actor=actor(pat), document=ELSEWHERE.replace("name: credit", "name: watching"))
    bind_policy(actor=actor(pat), document=BINDING.replace("credit\n", "watching\n").replace("targets", "mode: shadow\ntargets"))
    request = world.ask(world.version())
    world.finish(request)
    assert len({pin.policy for pin in assess(request).pins}) == 2 and advance(request) == "in_review"


def test_other_content_and_another_model_get_nothing(world: World, pipeline: User, dana: User) -> None:
    request, other = world.ask(world.version()), world.version()
    world.finish(request)
    report(pipeline, other)
    assert advance(request) == "checking"
    with pytest.raises(Invalid) as refused:
        report(pipeline, request.version, content_digest=other.content_digest)
    assert refused.value.code == "wrong_subject"
    registry_commands.create_model(actor=actor(dana), name="elsewhere")
    with pytest.raises(NotFound):
        report_check(actor=actor(pipeline), model_name="elsewhere", version=1, report=said(other))


def test_the_outlook_takes_reports_where_the_policy_does(world: World, pipeline: User) -> None:
    version = world.version()
    bindings = list(bindings_for(version.model, kind="stage", target="Production"))
    before = {
        r.id: r.reason for r in foresee(version, target_kind="stage", target="Production", bindings=bindings).verdict.requirements
    }
    assert before["latency"] == "waits for a report of acme/load-test"
    report(pipeline, version)
    report(pipeline, version, check="acme/soak-test")
    facts = foresee(version, target_kind="stage", target="Production", bindings=bindings).facts
    assert set(facts.version.checks) == {"acme/load-test"}


def test_the_same_report_is_the_same_run_and_any_difference_another(world: World, pipeline: User) -> None:
    version = world.version()
    run, made = report(pipeline, version)
    assert made and report(pipeline, version) == (run, False)
    others = [
        report(pipeline, version, 0.21),
        report(pipeline, version, revision="8"),
        report(pipeline, version, pipeline={"name": "nightly", "url": "https://ci.example.org/runs/8"}),
        report(reporter(world, "third-bot", "rosa"), version),
    ]
    assert all(new for _, new in others) and len({run.pk, *(other.pk for other, _ in others)}) == 5
    assert AuditEvent.objects.filter(action="check.reported").count() == 5 == Report.objects.count()


def test_the_state_follows_the_outcome_and_grave_findings_go_on_record(world: World, pipeline: User) -> None:
    version = world.version()
    grave = [{"rule": "timeout", "severity": "high", "message": "It hung."}]
    assert report(pipeline, version, outcome="warned")[0].state == "passed"
    assert report(pipeline, version, outcome="failed")[0].state == "failed"
    run, _ = report(pipeline, version, findings=grave)
    assert run.state == "failed"
    (record,) = FindingRecord.objects.all()
    assert record.title == "acme/load-test: It hung." and record.version == version


REFUSED: list[dict[str, Any]] = [
    {"measurements": [{"metric": "x", "value": float("nan")}]},
    {"measurements": [{"metric": "x", "value": float("inf")}]},
    {"measurements": [{"metric": "x", "value": "0.9"}]},
    {"measurements": [{"metric": "x", "value": 1.0}, {"metric": "x", "value": 2.0}]},
    {"measurements": [{"metric": "x" * 101, "value": 1.0}]},
    {"measurements": [{"metric": "x", "value": 1.0, "n": -1}]},
    {"measurements": [{"metric": "x", "value": 1.0, "unit": "s"}]},
    {"measurements": [{"metric": f"m{i}", "value": 1.0} for i in range(10_001)]},
    {"findings": [{"rule": "x", "severity": "grave", "message": "x"}]},
    {"findings": [{"rule": "x", "severity": "low", "message": "a\x00b"}]},
    {"tables": [{"name": "t", "columns": ["a", "b"], "rows": [[1]]}]},
    {"tables": [{"name": "t", "columns": ["a"], "rows": []}] * 2},
    {"parameters": {"users": 2**60}},
    {"parameters": {"users": "\ud800"}},
    {"check": "Load Test"},
    {"check": "a/b/c"},
    {"check": "x" * 101},
    {"revision": ""},
    {"outcome": "fine"},
    {"content_digest": ""},
    {"pipeline": {"name": ""}},
    {"pipeline": {"name": "x", "url": "javascript:alert(1)"}},
    {"dataset": "validation", "dataset_digest": "sha256:" + "0" * 64},
    {"dataset_digest": "md5:0"},
    {"more": 1},
]


def test_what_a_check_could_not_write_is_refused_and_leaves_nothing(world: World, pipeline: User) -> None:
    version = world.version()
    events = AuditEvent.objects.count()
    for changes in REFUSED:
        with pytest.raises(Invalid) as refused:
            report(pipeline, version, **changes)
        assert refused.value.code == "invalid_report", changes
    assert (CheckRun.objects.count(), Report.objects.count(), AuditEvent.objects.count()) == (0, 0, events)


def test_only_service_accounts_with_the_right_report_and_only_where_they_may_read(
    world: World, pipeline: User, dana: User
) -> None:
    version = world.version()
    for who in (dana, person("olga", "pipeline", "reviewer")):  # no right; the right, but a person
        with pytest.raises(Denied):
            report(who, version)
    stranger = core_commands.ensure_user(actor=ROOT, username="stray-bot", roles=["pipeline"], service_of="dana")
    with pytest.raises(NotFound):
        report(stranger, version)
    plain = core_commands.ensure_user(actor=ROOT, username="plain-bot", service_of="dana")
    grant(version.model, "model_manage", users=[plain.pk])
    with pytest.raises(Denied, match="evidence:report"):
        report(plain, version)
    assert report(pipeline, version)[1]


# Signed.


def signed_report(version: ModelVersion, **predicate: Any) -> dict[str, Any]:
    given = {key: value for key, value in said(version).items() if key not in ("content_digest", "outcome")}
    return statement(version.content_digest, given, **predicate)


def send(who: User, version: ModelVersion, envelope: dict[str, Any]) -> tuple[CheckRun, bool]:
    return report_check(actor=actor(who), model_name=version.model.name, version=version.number, envelope=envelope)


def key_of(owner: User, key: Any, **times: Any) -> SigningKey:
    given = {"valid_to": timezone.now() + timedelta(days=30), **times}
    return register_key(actor=ROOT, name=f"key of {owner.username}", public_key=pem(key), owner=owner.username, **given)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256"])
def test_a_signed_report_is_verified_and_kept_with_its_envelope(world: World, pipeline: User, kind: str) -> None:
    version, private = world.version(), new_key(kind)
    key = key_of(pipeline, private)
    envelope = sign(signed_report(version, url="https://ci.example.org/9"), private)
    run, made = send(pipeline, version, envelope)
    assert made and send(pipeline, version, envelope) == (run, False)
    kept = Attestation.objects.get(run=run)
    assert (kept.envelope["payload"], kept.key, run.signed_by) == (envelope["payload"], key, key.key_id)
    assert run.report.run_url == "https://ci.example.org/runs/7", "the report's own address stands before the statement's"
    unsigned, new = report(pipeline, version)
    assert new and unsigned.signed_by == "" and unsigned.result_digest == run.result_digest
    request = world.ask(version)
    assert assess(request).facts.version.checks["acme/load-test"].signed_by == "", "the newest counts, signed or not"


def test_a_failed_test_result_fails_the_run(world: World, pipeline: User) -> None:
    version, private = world.version(), new_key()
    key_of(pipeline, private)
    run, _ = send(pipeline, version, sign(signed_report(version, result="FAILED", failedTests=["latency"]), private))
    assert run.state == "failed" and run.report.outcome == "failed"


def test_what_is_signed_wrongly_is_refused_with_its_own_code_and_leaves_nothing(
    world: World, pipeline: User, dana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, other = world.version(), world.version()
    good, early, revoked, foreign, unknown = (new_key() for _ in range(5))
    now = timezone.now()
    key = key_of(pipeline, good)
    key_of(pipeline, early, valid_from=now + timedelta(days=1))
    revoke_key(actor=ROOT, key_id=key_of(pipeline, revoked).key_id, reason="leaked")
    key_of(reporter(world, "foreign-bot", "dana"), foreign)
    right = signed_report(version)
    tampered = {**sign(right, good, keyid=key.key_id), "payload": sign(signed_report(version, passedTests=[]), good)["payload"]}
    in_report = statement(version.content_digest, said(version))
    cases = [
        (tampered, "bad_signature"),
        (sign(right, unknown), "unknown_key"),
        (sign(right, unknown, keyid=key.key_id), "bad_signature"),
        (sign(right, foreign), "unknown_key"),
        (sign(right, early), "key_not_valid"),
        (sign(right, revoked), "key_not_valid"),
        (sign(signed_report(other), good), "wrong_subject"),
        (sign({**right, "predicateType": "https://slsa.dev/provenance/v1"}, good), "malformed_envelope"),
        (sign(b"not json", good), "malformed_envelope"),
        (sign(right, good, payload_type="application/json"), "malformed_envelope"),
        ({"payload": ""}, "malformed_envelope"),
        (sign(in_report, good), "invalid_report"),
    ]
    events = AuditEvent.objects.count()
    for envelope, code in cases:
        with pytest.raises(Invalid) as refused:
            send(pipeline, version, envelope)
        assert refused.value.code == code, refused.value.message
    later = now + timedelta(days=31)
    with monkeypatch.context() as patch:
        patch.setattr("governance.commands.reports.timezone.now", lambda: later)
        with pytest.raises(Invalid, match="expired") as refused:
            send(pipeline, version, sign(right, good))
        assert refused.value.code == "key_not_valid"
    with pytest.raises(Invalid):
        report_check(
            actor=actor(pipeline),
            model_name="credit.risk",
            version=version.number,
            report=said(version),
            envelope=sign(right, good),
        )
    assert (CheckRun.objects.count(), Attestation.objects.count(), AuditEvent.objects.count()) == (0, 0, events)
    assert send(pipeline, version, sign(right, revoked, good))[1], "one signature of a valid key is enough"


def test_keys_are_registered_once_for_service_accounts_and_end(world: World, pipeline: User, dana: User, pat: User) -> None:
    private = new_key()
    later = timezone.now() + timedelta(days=1)
    given = {"name": "ci", "public_key": pem(private), "owner": pipeline.username, "valid_to": later}
    with pytest.raises(Denied):
        register_key(actor=actor(dana), **given)  # type: ignore[arg-type]
    for change, expected in [
        ({"owner": "dana"}, NotFound),
        ({"public_key": "x"}, Invalid),
        ({"name": " "}, Invalid),
        ({"valid_to": timezone.now()}, Invalid),
        ({"valid_from": later}, Invalid),
    ]:
        with pytest.raises(expected):
            register_key(actor=actor(pat), **{**given, **change})  # type: ignore[arg-type]
    key = register_key(actor=actor(pat), **given)  # type: ignore[arg-type]
    with pytest.raises(AlreadyExists):
        register_key(actor=actor(pat), **given)  # type: ignore[arg-type]
    with pytest.raises(Denied):
        revoke_key(actor=actor(dana), key_id=key.key_id, reason="x")
    with pytest.raises(NotFound):
        revoke_key(actor=actor(pat), key_id="sha256:0", reason="x")
    ended = revoke_key(actor=actor(pat), key_id=key.key_id, reason="leaked")
    assert revoke_key(actor=actor(pat), key_id=key.key_id, reason="again").revoked_at == ended.revoked_at
    actions = AuditEvent.objects.filter(subject_type="signing_key").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["signing_key.registered", "signing_key.revoked"]


def test_reports_and_envelopes_are_never_changed(world: World, pipeline: User) -> None:
    version, private = world.version(), new_key()
    key_of(pipeline, private)
    send(pipeline, version, sign(signed_report(version), private))
    for table in ("governance_report", "governance_attestation"):
        for statement_ in (f"DELETE FROM {table}", f"UPDATE {table} SET run_id = run_id"):
            with (
                pytest.raises(DatabaseError, match="append-only"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement_)


def test_facts_of_before_there_were_reports_are_of_workers() -> None:
    old = (
        '{"request":{"id":1,"requested_by":"d","target_kind":"stage","target":"P","from_stage":""},'
        '"model":{"name":"m","risk_tier":"low"},"champion":{},'
        '"version":{"measurements":{"a":{"metric":"a","value":1.0}},"checks":{"c":{"name":"c","state":"passed"}},'
        '"findings":[{"check":"c","rule":"r","severity":"low","location":"","message":""}]}}'
    )
    version = msgspec.json.decode(old, type=Facts).version
    assert {version.measurements["a"].source, version.checks["c"].source, version.findings[0].source} == {"worker"}
    # What older reviewers had before them looks the same; only a report is told as one.
    parts = snapshot.parts(version, VersionFacts(), content="c", policies=())
    assert parts["checks.c"] == ["passed", ""]
    reported = msgspec.structs.replace(version, checks={"c": CheckFact("c", "passed", source="reported", signed_by="k")})
    assert snapshot.parts(reported, VersionFacts(), content="c", policies=())["checks.c"] == ["passed", "", "reported", "k"]


def test_a_rebase_and_a_draft_look_for_reports_too(world: World, pat: User, pipeline: User) -> None:
    version = world.version()
    draft = world.ask(version, draft=True)
    report(pipeline, version)
    assert not draft.checks.exists()
    request = request_commands.submit_request(actor=actor(world.dana), request_id=draft.pk)
    assert request.checks.filter(run__source="reported").count() == 1
    publish_policy(actor=actor(pat), document=ELSEWHERE.replace("expires_after_days: 30", "expires_after_days: 20"))
    request_commands.rebase_request(actor=actor(world.dana), request_id=request.pk)
    assert request.checks.filter(run__source="reported").count() == 1


def test_one_policy_takes_from_elsewhere_what_another_has_measured_here(world: World, pat: User, pipeline: User) -> None:
    publish_policy(actor=actor(pat), document=POLICY + "on_timeout: expire\n")
    other = POLICY.replace("name: credit", "name: elsewhere").replace("dataset: validation", "source: reported")
    publish_policy(actor=actor(pat), document=other)
    bind_policy(actor=actor(pat), document=BINDING.replace("credit\n", "elsewhere\n"))
    request = world.ask(world.version())
    world.finish(request, 0.6)
    assert advance(request) == "checking", "what the worker measured is not what the other policy asked for"
    report(pipeline, request.version, check="performance", measurements=[{"metric": "roc_auc", "value": 0.9}])
    assert advance(request) == "in_review"
    found = {r.policy: r.value for r in assess(request).verdict.requirements if r.id == "roc-auc"}
    assert found == {"credit": 0.6, "elsewhere": 0.9}
