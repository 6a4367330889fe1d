"""What a folder of documents would change here, carrying it out, and writing out what holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.access import Actor
from core.errors import Denied
from core.models import AuditEvent
from governance import sync
from governance.commands.policies import bind_policy, publish_parameters, publish_policy
from governance.commands.sync import sync_policies
from governance.models import Binding, ParameterSet, PolicyRevision
from governance.sync import Mistaken, Plan, Source
from interfaces.management.folders import documents
from tests.cast import actor

pytestmark = pytest.mark.django_db

POLICY = """\
kind: Policy
name: credit
parameters:
  limit: {type: number, default: 0.7}
  label: {type: text, default: x}
  depth: {type: integer, default: 3}
  open: {type: flag, default: false}
requirements:
  - {id: roc-auc, title: ROC AUC, how_to_satisfy: Improve it., satisfied_if: 'measurements["roc_auc"].value >= params.limit'}
"""
MANDATORY = POLICY.replace("  label: {type: text, default: x}\n", "  label: {type: text, default: x}\n  region: {type: text}\n")
BINDING = "kind: Binding\nname: credit\npolicy: credit\ntargets: {stages: [Production]}\n"
PARAMETERS = "kind: Parameters\nname: strict\npolicy: credit\nvalues: {limit: 0.8}\n"


@pytest.fixture
def admin(pat) -> Actor:
    return actor(pat)


def folder(**texts: str) -> list[Source]:
    """Return documents as a folder holds them."""
    return [source for name, text in sorted(texts.items()) for source in documents(f"{name}.yaml", text)]


def read(files: dict[str, str]) -> list[Source]:
    return [source for name, text in files.items() for source in documents(name, text)]


def told(plan: Plan) -> list[tuple[str, str, str]]:
    return [(change.action, change.kind, change.name) for change in plan.changes]


def mistakes(admin: Actor, *, prune: bool = False, **texts: str) -> list[str]:
    with pytest.raises(Mistaken) as refused:
        sync_policies(actor=admin, sources=folder(**texts), prune=prune)
    return [str(mistake) for mistake in refused.value.found]


def rows() -> list[Any]:
    found = [list(model.objects.order_by("pk").values()) for model in (PolicyRevision, ParameterSet, Binding)]
    return [*found, AuditEvent.objects.count()]


# Planning and carrying out.


def test_a_folder_is_brought_in_once_in_the_order_of_what_needs_what(admin) -> None:
    sources = folder(a=BINDING + "parameters: strict\n", b=PARAMETERS, c=POLICY)
    expected = [("publish", "policy", "credit"), ("publish", "parameters", "strict"), ("bind", "binding", "credit")]
    before = rows()
    assert told(sync.plan(admin, sources)) == expected
    assert rows() == before, "a plan writes nothing"
    assert told(sync_policies(actor=admin, sources=sources)) == expected
    assert Binding.objects.get().parameters == {"limit": 0.8}
    after = rows()
    assert {action for action, _, _ in told(sync_policies(actor=admin, sources=sources))} == {"unchanged"}
    assert rows() == after


def test_only_who_may_publish_brings_in_and_only_who_may_read_plans(ravi, mallory) -> None:
    sources = folder(c=POLICY)
    assert told(sync.plan(actor(ravi), sources)) == [("publish", "policy", "credit")]
    with pytest.raises(Denied):
        sync_policies(actor=actor(ravi), sources=sources)
    for refused in (sync.plan, sync.exported):
        with pytest.raises(Denied):
            refused(actor(mallory), *([sources] if refused is sync.plan else []))
    assert not PolicyRevision.objects.exists()


def test_a_policy_gains_a_parameter_in_the_commit_that_gives_it_to_its_bindings(admin) -> None:
    sync_policies(actor=admin, sources=folder(a=BINDING, c=POLICY))
    (wrong,) = mistakes(admin, c=MANDATORY)
    assert wrong.startswith("c.yaml:2:7: the binding credit would be left without") and "region has no default" in wrong
    sync_policies(actor=admin, sources=folder(a=BINDING + "parameters: {region: eu}\n", c=MANDATORY))
    assert PolicyRevision.objects.count() == 2
    assert Binding.objects.get(valid_to__isnull=True).parameters == {"region": "eu"}


def test_the_same_holds_for_what_bindings_take_by_name_although_no_file_names_them(admin) -> None:
    sync_policies(actor=admin, sources=folder(a=BINDING + "parameters: strict\n", b=PARAMETERS, c=POLICY))
    values = "values: {limit: 0.9, region: eu}"
    plan = sync_policies(actor=admin, sources=folder(b=PARAMETERS.replace("values: {limit: 0.8}", values), c=MANDATORY))
    assert told(plan) == [("publish", "policy", "credit"), ("publish", "parameters", "strict"), ("bind", "binding", "credit")]
    assert Binding.objects.get(valid_to__isnull=True).parameters == {"limit": 0.9, "region": "eu"}


def test_what_no_file_names_ends_only_when_asked(admin) -> None:
    sync_policies(actor=admin, sources=folder(a=BINDING, b=BINDING.replace("name: credit", "name: old", 1), c=POLICY))
    bind_policy(actor=admin, document=BINDING.replace("name: credit", "name: later", 1) + "since: '2090-01-01'\n")
    sources = folder(a=BINDING, c=POLICY)
    assert told(sync_policies(actor=admin, sources=sources)) == [
        ("unchanged", "policy", "credit"),
        ("unchanged", "binding", "credit"),
    ]
    plan = sync_policies(actor=admin, sources=sources, prune=True)
    assert told(plan)[:2] == [("end", "binding", "later"), ("end", "binding", "old")]
    assert list(Binding.objects.filter(valid_to__isnull=True).values_list("name", flat=True)) == ["credit"]


def test_a_policy_may_outgrow_a_binding_that_the_same_folder_ends(admin) -> None:
    sync_policies(actor=admin, sources=folder(a=BINDING, c=POLICY))
    plan = sync_policies(actor=admin, sources=folder(c=MANDATORY), prune=True)
    assert told(plan) == [("end", "binding", "credit"), ("publish", "policy", "credit")]


def test_every_mistake_is_told_with_its_file_line_and_column_and_nothing_is_written(admin) -> None:
    found = mistakes(
        admin,
        a=BINDING.replace("Production", "Heaven") + "parameters:\n  limti: 0.8\n",
        b=PARAMETERS.replace("limit: 0.8", "limit: high"),
        c=POLICY,
        d=POLICY.replace("name: credit", "name: other").replace("measurements[", "measuremnts["),
        e=BINDING.replace("policy: credit", "policy: other").replace("name: credit", "name: e", 1),  # not to blame for d
        f=BINDING.replace("policy: credit", "policy: absent").replace("name: credit", "name: f", 1),
        g="kind: Polcy\nname: x\n",
        h="# nothing but a remark\n",
        i="- a list\n",
        j=f"{POLICY.replace('name: credit', 'name: j')}---\n{BINDING.replace('Production', 'Hell').replace('name: credit', 'name: j', 1)}",
    )
    assert [line.partition(": ")[0] for line in found] == [
        "a.yaml:4:20", "a.yaml:6:10", "b.yaml:4:17", f"d.yaml:9:{POLICY.splitlines()[8].index('measurements') + 1}", "f.yaml:3:9", "g.yaml:1:1", "i.yaml:1:1", "j.yaml:14:20",
    ]  # fmt: skip
    assert "there is no parameter limti" in found[1] and "expected one of Policy, Parameters, Binding" in found[5]
    assert rows() == [[], [], [], AuditEvent.objects.count()]


def test_a_name_stands_in_one_file_only(admin) -> None:
    found = mistakes(admin, a=BINDING, b=BINDING, c=POLICY, d="# again\n" + POLICY, e=PARAMETERS, f=PARAMETERS)
    assert found == [
        "b.yaml:2:7: credit stands in a.yaml:1 already; give one of them another since, or keep one",
        "d.yaml:3:7: credit stands in c.yaml:1 already; keep one",
        "f.yaml:2:7: strict stands in e.yaml:1 already; keep one",
    ]


def test_an_earlier_text_is_not_published_again_in_silence(admin) -> None:
    for text in (POLICY, POLICY + "# second\n"):
        sync_policies(actor=admin, sources=folder(c=text))
    (found,) = mistakes(admin, c=POLICY)
    assert found.startswith("c.yaml:2:7: revision 1 of credit has this very text; change a word")


def test_groups_that_are_missing_are_warned_of(admin) -> None:
    steps = "steps:\n  - {name: risk, factors: [{group: model-risk, count: 1}]}\n"
    assert sync.plan(admin, folder(c=POLICY + steps)).warnings[0].startswith("There is no group model-risk")


# What is to come.


def at(monkeypatch: pytest.MonkeyPatch, month: int, day: int = 1) -> None:
    moment = datetime(2026, month, day, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: moment)


def test_a_name_may_say_what_holds_now_and_what_is_to_come(admin, monkeypatch) -> None:
    at(monkeypatch, 3)
    now, later = BINDING, BINDING + "mode: warn\nsince: '2026-04-01'\n"
    sources = folder(a=f"{now}---\n{later}", c=POLICY)
    assert [action for action, kind, _ in told(sync_policies(actor=admin, sources=sources)) if kind == "binding"] == ["bind"] * 2
    for month in (3, 4, 5):  # before, at and after its moment
        at(monkeypatch, month)
        assert sync.plan(admin, sources).changing == ()
    found = [(row.mode, row.valid_from.month, row.valid_to) for row in Binding.objects.order_by("valid_from")]
    assert found == [("enforce", 3, datetime(2026, 4, 1, tzinfo=UTC)), ("warn", 4, None)]


def test_a_file_without_what_is_to_come_takes_it_back(admin, monkeypatch) -> None:
    at(monkeypatch, 3)
    later = BINDING + "mode: warn\nsince: '2026-04-01'\n"
    sync_policies(actor=admin, sources=folder(a=f"{BINDING}---\n{later}", c=POLICY))
    assert told(sync_policies(actor=admin, sources=folder(a=BINDING, c=POLICY)))[1] == ("bind", "binding", "credit")
    assert sync.plan(admin, folder(a=BINDING, c=POLICY)).changing == ()
    at(monkeypatch, 6)
    assert sync.plan(admin, folder(a=BINDING, c=POLICY)).changing == ()
    assert Binding.objects.get(valid_to__isnull=True).mode == "enforce"


def test_a_change_of_what_holds_now_keeps_what_is_to_come(admin, monkeypatch) -> None:
    at(monkeypatch, 3)
    later = BINDING + "mode: warn\nsince: '2026-04-01'\n"
    sync_policies(actor=admin, sources=folder(a=f"{BINDING}---\n{later}", c=POLICY))
    at(monkeypatch, 3, 2)
    changed = folder(a=f"{BINDING}mode: shadow\n---\n{later}", c=POLICY)
    sync_policies(actor=admin, sources=changed)
    assert sync.plan(admin, changed).changing == ()
    for month, mode in ((3, "shadow"), (4, "warn")):
        moment = datetime(2026, month, 15, tzinfo=UTC)
        assert list(Binding.objects.filter(sync.in_force_or_to_come(moment), valid_from__lte=moment).values_list("mode")) == [
            (mode,)
        ]


def test_only_one_of_a_name_may_be_to_come(admin, monkeypatch) -> None:
    at(monkeypatch, 3)
    texts = {name: f"{BINDING}since: '2026-0{name}-01'\n" for name in ("4", "5")}
    found = mistakes(admin, c=POLICY, **{f"f{name}": text for name, text in texts.items()})
    assert found == ["f5.yaml:5:8: one binding of credit is to come already; give the later one when the first has begun"]


# Writing out.


def test_policies_are_written_byte_for_byte_and_all_of_it_comes_in_again_unchanged(admin) -> None:
    strange = (
        "---\r\n# Zürich \u00a0 and\ttabs\r\n" + POLICY.replace("\n", "\r\n").replace("name: credit", "name: strange") + "..."
    )
    publish_policy(actor=admin, document=strange)
    publish_policy(actor=admin, document=POLICY)
    publish_parameters(actor=admin, document=PARAMETERS)
    bind_policy(actor=admin, document=BINDING + "parameters: strict\n")
    files = sync.exported(admin)
    assert files["policies/strange.yaml"].encode() == strange.encode() and files["policies/credit.yaml"] == POLICY
    assert files["bindings/credit.yaml"] == (
        "kind: Binding\nname: credit\npolicy: credit\nmode: enforce\ntargets:\n  stages:\n  - Production\nparameters: strict\n"
    )
    assert sync.plan(admin, read(files)).changing == ()
    Binding.objects.all().delete()
    assert told(sync_policies(actor=admin, sources=read(files)))[-1] == ("bind", "binding", "credit")
    assert sync.exported(admin) == files


def test_what_is_to_come_is_written_beside_what_holds(admin, monkeypatch) -> None:
    at(monkeypatch, 3)
    publish_policy(actor=admin, document=POLICY)
    bind_policy(actor=admin, document=BINDING)
    bind_policy(actor=admin, document=BINDING + "mode: warn\nsince: '2026-04-01T10:30Z'\n")
    files = sync.exported(admin)
    assert "since: '2026-04-01T10:30:00Z'" in files["bindings/credit.yaml"]
    assert len(read(files)) == 3 and sync.plan(admin, read(files)).changing == ()


_names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True)
# What YAML may hold in quotes: all characters but NUL and halves of pairs.
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
_tricky = st.sampled_from(
    ["yes", "null", "~", "1", "1.0", "2026-01-31", "<<", "=", "- a", "#", "a: b", "${x}", "---", "...", " ", "\n"]
)
_words = _texts | _tricky
_integers = st.integers(1 - 2**53, 2**53 - 1)
_values = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.floats(1 - 2.0**53, 2.0**53 - 1) | _integers,
        "label": _words,
        "depth": _integers,
        "open": st.booleans(),
    },
)


@st.composite
def _bindings(draw: st.DrawFn) -> dict[str, Any]:
    match = st.fixed_dictionaries(
        {},
        optional={
            "models": st.lists(_words, min_size=1, max_size=3),
            "risk_tiers": st.lists(st.sampled_from(["low", "medium", "high"]), min_size=1, max_size=3),
            "tags": st.dictionaries(_words, _texts | _tricky, max_size=3),
        },
    )
    stages = st.lists(st.sampled_from(["None", "Staging", "Production", "Archived"]), min_size=1, max_size=4)
    return {
        "kind": "Binding",
        "name": draw(_names),
        "policy": "credit",
        "mode": draw(st.sampled_from(["enforce", "warn", "shadow"])),
        "match": draw(match),
        "targets": draw(
            st.fixed_dictionaries({"stages": stages}, optional={"aliases": st.lists(_words, min_size=1, max_size=3)})
        ),
        "parameters": draw(st.just("strict") | _values),
        **({"since": draw(st.sampled_from(["2090-01-01", "2095-06-30T10:15Z", "2020-01-01"]))} if draw(st.booleans()) else {}),
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(bindings=st.lists(_bindings(), max_size=4, unique_by=lambda b: b["name"]), values=_values)
def test_export_sync_export_gives_the_same_bytes(admin, bindings: list[dict[str, Any]], values: dict[str, Any]) -> None:
    """Whatever was bound: what is written out comes in unchanged, here and on an instance that has nothing of it."""
    with transaction.atomic():
        publish_policy(actor=admin, document=POLICY)
        publish_parameters(
            actor=admin, document=sync._text({"kind": "Parameters", "name": "strict", "policy": "credit", "values": values})
        )
        for binding in bindings:
            bind_policy(actor=admin, document=sync._text(binding))
        files = sync.exported(admin)
        assert {name for name in files if name.startswith("bindings/")} == {f"bindings/{b['name']}.yaml" for b in bindings}
        assert sync.plan(admin, read(files)).changing == ()
        Binding.objects.all().delete()
        sync_policies(actor=admin, sources=read(files))
        assert sync.exported(admin) == files
        transaction.set_rollback(True)
