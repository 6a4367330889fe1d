"""Publishing policies and parameters, and putting policies in force, now or later."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from core.access import Actor
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent
from governance.bindings import bindings_for
from governance.commands.policies import bind_policy, end_binding, publish_parameters, publish_policy
from governance.models import Binding, ParameterSet, PolicyRevision
from registry import commands as registry_commands
from registry.datasets import register_dataset
from registry.models import RegisteredModel
from tests.cast import actor, person

pytestmark = pytest.mark.django_db

POLICY = """\
kind: Policy
name: credit
parameters:
  limit: {type: number, default: 0.7}
  label: {type: text, default: x}
requirements:
  - {id: roc-auc, title: ROC AUC, how_to_satisfy: Improve it., satisfied_if: 'measurements["roc_auc"].value >= params.limit'}
"""
MANDATORY = POLICY.replace("label: {type: text, default: x}", "label: {type: text}")
BINDING = "kind: Binding\nname: credit\npolicy: credit\ntargets: {stages: [Production]}\n"
PARAMETERS = "kind: Parameters\nname: strict\npolicy: credit\nvalues: {limit: 0.8}\n"
NAMED = BINDING + "parameters: strict\n"

Clock = Callable[[datetime], None]


@pytest.fixture
def admin(pat) -> Actor:
    return actor(pat)


@pytest.fixture
def model(dana) -> RegisteredModel:
    registry_commands.create_model(actor=actor(dana), name="credit.risk")
    return RegisteredModel.objects.get()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Return what sets the time."""
    return lambda at: monkeypatch.setattr(timezone, "now", lambda: at)


def limits(model: RegisteredModel, **options: Any) -> list[Any]:
    return [b.parameters.get("limit") for b in bindings_for(model, kind="stage", target="Production", **options)]


def limited(limit: float, more: str = "") -> str:
    return f"{BINDING}parameters: {{limit: {limit}}}\n{more}"


def events(action: str) -> list[dict[str, Any]]:
    return [json.loads(e.body) for e in AuditEvent.objects.filter(action=action).order_by("id")]


# Publishing policies.


def test_the_same_text_again_is_the_revision_there_is(admin) -> None:
    first = publish_policy(actor=admin, document=POLICY)
    assert publish_policy(actor=admin, document=POLICY).revision == first.revision
    assert len(events("policy.published")) == 1
    publish_policy(actor=admin, document=POLICY + "# another\n")
    with pytest.raises(Conflict, match="earlier revision has this very text"):
        publish_policy(actor=admin, document=POLICY)


def test_only_who_may_publish_does(dana, ravi, aude) -> None:
    for user in (dana, ravi, aude):
        for command, document in ((publish_policy, POLICY), (publish_parameters, PARAMETERS), (bind_policy, BINDING)):
            with pytest.raises(Denied):
                command(actor=actor(user), document=document)
        with pytest.raises(Denied):
            end_binding(actor=actor(user), name="credit")
    assert not PolicyRevision.objects.exists()


def test_groups_that_are_missing_or_too_few_are_warned_of_and_published_all_the_same(admin) -> None:
    steps = """\
steps:
  - name: risk
    due: 2 days
    escalate_to: model-risk-leads
    factors: [{group: model-risk, count: 2}, {group: reviewer, count: 1}]
waivers: {approved_by: risk-committee, max_days: 30}
"""
    published = publish_policy(actor=admin, document=POLICY + steps)
    assert published.revision.number == 1
    assert len(published.warnings) == 4
    told = "\n".join(published.warnings)
    for group in ("model-risk", "model-risk-leads", "risk-committee"):
        assert f"There is no group {group}," in told
    assert "asks for 1 of reviewer, and 0 there may review" in told
    Group.objects.create(name="model-risk-leads")
    Group.objects.create(name="risk-committee")
    person("rita", "reviewer", groups=("model-risk",))
    person("theo", groups=("model-risk",))  # in the group, without the right to review
    assert publish_policy(actor=admin, document=POLICY + steps).warnings == (
        "credit asks for 2 of model-risk, and 1 there may review: the gate stays shut until there are enough with the right to review.",
    )
    person("rolf", "reviewer", groups=("model-risk",))
    assert publish_policy(actor=admin, document=POLICY + steps).warnings == ()


def test_a_text_that_breaks_a_binding_is_refused_and_the_binding_named(admin, clock) -> None:
    publish_policy(actor=admin, document=POLICY)
    bind_policy(actor=admin, document=limited(0.8))
    bind_policy(actor=admin, document=limited(0.8, "since: '2090-01-01'\n").replace("name: credit", "name: later", 1))
    with pytest.raises(
        Conflict, match=r"credit: parameter label has no default.*later: parameter label has no default"
    ) as refused:
        publish_policy(actor=admin, document=MANDATORY)
    assert refused.value.code == "breaks_bindings" and refused.value.details["bindings"] == ["credit", "later"]
    with pytest.raises(Conflict, match="there is no parameter limit"):
        publish_policy(
            actor=admin,
            document=POLICY.replace("limit: {type: number, default: 0.7}", "other: {type: flag}").replace("params.limit", "0.7"),
        )
    assert PolicyRevision.objects.count() == 1
    end_binding(actor=admin, name="credit")
    end_binding(actor=admin, name="later")
    assert publish_policy(actor=admin, document=MANDATORY).revision.number == 2


def test_a_text_whose_checks_lack_their_data_for_a_binding_is_refused(admin) -> None:
    register_dataset(actor=admin, name="held", stream=io.BytesIO(b"x,y\n1,0\n"), format="csv", target="y", closed=True)
    checks = "checks:\n  - {check: performance, dataset: DATA}\n"
    publish_policy(actor=admin, document=POLICY + checks.replace("DATA", "held"))
    bind_policy(actor=admin, document=BINDING)
    with pytest.raises(Conflict, match="credit: There is no data set 'gone'"):
        publish_policy(actor=admin, document=POLICY + checks.replace("DATA", "gone"))
    with pytest.raises(Invalid, match="there is no check perfomance"):
        publish_policy(actor=admin, document=POLICY + checks.replace("performance", "perfomance"))


# Binding.


def test_a_binding_says_how_it_binds_and_only_enforce_governs(admin, model) -> None:
    publish_policy(actor=admin, document=POLICY)
    for mode in ("warn", "shadow", "enforce"):
        bind_policy(actor=admin, document=BINDING + f"mode: {mode}\n")
        assert [b.mode for b in bindings_for(model, kind="stage", target="Production", modes=(mode,))] == [mode]
        governed = bindings_for(model, kind="stage", target="Production")
        assert [b.mode for b in governed] == (["enforce"] if mode == "enforce" else [])
    assert events("binding.created")[-1]["before"]["mode"] == "shadow"
    every = bindings_for(model, kind="stage", target="Production", modes=("enforce", "warn", "shadow"))
    assert len(every) == 1 and bindings_for(model, kind="alias", target="Production", modes=("enforce",)) == []


def test_the_same_binding_again_changes_nothing(admin) -> None:
    publish_policy(actor=admin, document=POLICY)
    first = bind_policy(actor=admin, document=limited(1))
    assert bind_policy(actor=admin, document="# a remark\n" + limited(1)) == first
    assert len(events("binding.created")) == 1
    assert bind_policy(actor=admin, document=limited(1.5)) != first


def test_a_binding_to_come_ends_the_one_in_force_at_its_moment(admin, model, clock) -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock(start)
    publish_policy(actor=admin, document=POLICY)
    bind_policy(actor=admin, document=limited(0.7))
    bind_policy(actor=admin, document=limited(0.9, "since: '2026-04-01'\n"))
    begins = datetime(2026, 4, 1, tzinfo=UTC)
    assert limits(model) == [0.7]
    assert limits(model, at=begins - timedelta(microseconds=1)) == [0.7]
    assert limits(model, at=begins) == [0.9]
    assert limits(model, at=start - timedelta(microseconds=1)) == []
    clock(begins)
    assert limits(model) == [0.9]
    assert bind_policy(actor=admin, document=limited(0.9, "since: '2026-04-01'\n")).valid_from == begins
    assert bind_policy(actor=admin, document=limited(0.9)).valid_from == begins


def test_putting_a_binding_to_come_off_leaves_no_gap_and_brings_nothing_back(admin, model, clock) -> None:
    clock(datetime(2026, 3, 1, tzinfo=UTC))
    publish_policy(actor=admin, document=POLICY)
    bind_policy(actor=admin, document=limited(0.7))
    bind_policy(actor=admin, document=limited(0.9, "since: '2026-04-01'\n"))
    bind_policy(actor=admin, document=limited(0.9, "since: '2026-05-01'\n"))
    assert limits(model, at=datetime(2026, 4, 15, tzinfo=UTC)) == [0.7]
    assert limits(model, at=datetime(2026, 5, 15, tzinfo=UTC)) == [0.9]
    bind_policy(actor=admin, document=limited(0.8))  # at once: what was to come is taken back
    for month in (3, 4, 5, 12):
        assert limits(model, at=datetime(2026, month, 15, tzinfo=UTC)) == [0.8]
    end_binding(actor=admin, name="credit")
    assert limits(model) == [] and limits(model, at=datetime(2026, 12, 1, tzinfo=UTC)) == []
    with pytest.raises(NotFound):
        end_binding(actor=admin, name="credit")


def test_ending_a_name_takes_back_what_is_to_come(admin, model) -> None:
    publish_policy(actor=admin, document=POLICY)
    bind_policy(actor=admin, document=limited(0.9, "since: '2090-01-01'\n"))
    assert limits(model) == []
    end_binding(actor=admin, name="credit")
    assert limits(model, at=datetime(2090, 2, 1, tzinfo=UTC)) == []
    assert events("binding.ended")[0]["before"] == {"in_force": False, "to_come": True}


def test_a_day_that_is_past_means_at_once(admin, model, clock) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock(now)
    publish_policy(actor=admin, document=POLICY)
    assert bind_policy(actor=admin, document=limited(0.9, "since: '2026-01-01T10:00Z'\n")).valid_from == now
    assert limits(model, at=datetime(2026, 2, 1, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("document", "line", "said"),
    [
        (
            BINDING.replace("Production", "Heaven"),
            4,
            "there is no stage Heaven; the stages are None, Staging, Production, Archived",
        ),
        (BINDING + "parameters:\n  limti: 0.8\n", 6, "there is no parameter limti"),
        (BINDING + "parameters:\n  label: x\n  limit: high\n", 7, "parameter limit must be a number, not 'high'"),
        (BINDING + "parameters: strict\n", 5, "there are no parameters strict; publish them before you bind with them"),
        (BINDING + "parameters: {limit: 1.0e+17}\n", 5, "the largest number that can be recorded is"),
        (BINDING + 'parameters: {label: "a\\0b"}\n', 5, "NUL or half a pair"),
        (BINDING + 'match: {tags: {"a\\ud800": x}}\n', 5, "NUL or half a pair"),
    ],
)
def test_what_does_not_fit_is_told_at_its_place(admin, document, line, said) -> None:
    publish_policy(actor=admin, document=POLICY)
    with pytest.raises(Invalid) as refused:
        bind_policy(actor=admin, document=document)
    (mistake,) = refused.value.details["mistakes"]
    assert mistake["line"] == line and said in mistake["message"]
    assert not Binding.objects.exists()


def test_what_is_missing_is_told_too(admin) -> None:
    publish_policy(actor=admin, document=MANDATORY)
    with pytest.raises(Invalid, match="parameter label has no default"):
        bind_policy(actor=admin, document=BINDING)
    with pytest.raises(NotFound, match="no policy 'other'; publish it before"):
        bind_policy(actor=admin, document=BINDING.replace("policy: credit", "policy: other"))


# Named parameters.


def test_named_parameters_reach_every_binding_that_goes_by_them_at_once(admin, model) -> None:
    publish_policy(actor=admin, document=POLICY)
    first = publish_parameters(actor=admin, document=PARAMETERS)
    assert publish_parameters(actor=admin, document=PARAMETERS) == first
    bind_policy(actor=admin, document=NAMED)
    bind_policy(actor=admin, document=NAMED.replace("name: credit", "name: second", 1).replace("Production", "Staging"))
    bind_policy(actor=admin, document=limited(0.8).replace("name: credit", "name: own", 1))  # the same value, of its own
    before = {row.name: row.pk for row in Binding.objects.filter(valid_to__isnull=True)}
    second = publish_parameters(actor=admin, document=PARAMETERS.replace("0.8", "0.85"))
    assert second.number == 2
    assert sorted(limits(model)) == [0.8, 0.85]
    assert [b.parameters for b in bindings_for(model, kind="stage", target="Staging")] == [{"limit": 0.85}]
    after = {row.name: row.pk for row in Binding.objects.filter(valid_to__isnull=True)}
    assert after["own"] == before["own"] and after["credit"] != before["credit"] and after["second"] != before["second"]
    ended = Binding.objects.get(pk=before["credit"])
    assert ended.valid_to == Binding.objects.get(pk=after["credit"]).valid_from and ended.parameters == {"limit": 0.8}
    recorded = events("parameters.published")[-1]
    assert recorded["before"] == {"revision": 1, "values": {"limit": 0.8}}
    assert recorded["after"]["bindings"] == ["credit", "second"]
    assert [e["subject"]["id"] for e in events("binding.created")[-2:]] == ["credit", "second"]


def test_new_values_keep_what_is_to_come_to_come(admin, model, clock) -> None:
    clock(datetime(2026, 3, 1, tzinfo=UTC))
    publish_policy(actor=admin, document=POLICY)
    publish_parameters(actor=admin, document=PARAMETERS)
    bind_policy(actor=admin, document=NAMED)
    bind_policy(actor=admin, document=NAMED + "since: '2026-04-01'\nmode: warn\n")
    clock(datetime(2026, 3, 2, tzinfo=UTC))
    publish_parameters(actor=admin, document=PARAMETERS.replace("0.8", "0.9"))
    both = ("enforce", "warn")

    def found(month: int, day: int) -> list[tuple[str, float]]:
        at = datetime(2026, month, day, tzinfo=UTC)
        return [
            (b.mode, b.parameters["limit"]) for b in bindings_for(model, kind="stage", target="Production", modes=both, at=at)
        ]

    assert found(3, 1) == [("enforce", 0.8)]
    assert found(3, 2) == found(3, 31) == [("enforce", 0.9)]
    assert found(4, 1) == found(9, 1) == [("warn", 0.9)]


def test_parameters_must_fit_their_policy_and_their_name_belongs_to_it(admin) -> None:
    with pytest.raises(NotFound):
        publish_parameters(actor=admin, document=PARAMETERS)
    publish_policy(actor=admin, document=POLICY)
    publish_policy(actor=admin, document=POLICY.replace("name: credit", "name: other", 1))
    with pytest.raises(Invalid, match="line 4, column 17: parameter limit must be a number"):
        publish_parameters(actor=admin, document=PARAMETERS.replace("0.8", "high"))
    publish_parameters(actor=admin, document=PARAMETERS)
    with pytest.raises(Invalid, match="the parameters strict are of the policy credit; take another name"):
        publish_parameters(actor=admin, document=PARAMETERS.replace("policy: credit", "policy: other"))
    with pytest.raises(Invalid, match="the parameters strict are of the policy credit, not of other"):
        bind_policy(actor=admin, document=NAMED.replace("policy: credit", "policy: other"))
    assert ParameterSet.objects.count() == 1


def test_bindings_before_their_parameters_change_stay_on_record(admin, model, clock) -> None:
    moments = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
    clock(moments[0])
    publish_policy(actor=admin, document=POLICY)
    publish_parameters(actor=admin, document=PARAMETERS)
    bind_policy(actor=admin, document=NAMED)
    for moment, value in zip(moments[1:], ("0.85", "0.9"), strict=True):
        clock(moment)
        publish_parameters(actor=admin, document=PARAMETERS.replace("0.8", value))
    assert [limits(model, at=moment) for moment in moments] == [[0.8], [0.85], [0.9]]
    assert publish_parameters(actor=admin, document=PARAMETERS).number == 4  # back to the first values: a revision of its own
