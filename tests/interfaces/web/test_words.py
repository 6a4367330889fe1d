"""One meaning, one word; numbers and times as the design writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from governance.gate import State
from governance.models import BindingMode, CheckState, Severity
from interfaces.web.pages import words
from workflows.models import RequestKind, RequestState, ReviewVerdict

NOW = datetime(2026, 11, 20, 14, 36, tzinfo=UTC)


def test_every_state_of_the_domain_has_its_word() -> None:
    for state in RequestState.values:
        assert words.request(state).word
    for state in CheckState.values:
        assert words.check(state).tone
    for verdict in ReviewVerdict.values:
        assert words.verdict(verdict).word
    for severity in Severity.values:
        assert words.severity(severity).word
    for state in State:
        assert words.requirement(state.value).word
    for kind in RequestKind.values:
        assert words.kind(kind) and words.request("done", kind).word
    assert {words.request("done", kind).word for kind in RequestKind.values} == {"Promoted", "Rolled back", "Confirmed"}
    for mode in BindingMode.values:
        assert words.mode(mode).word
    assert words.requirement("pending", "approval") == words.Status("wait", "Waiting")
    assert words.requirement("unsatisfied", "approval").word == "Failed"  # somebody objects: that is no waiting


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.78123, "0.781"), (-0.0119, "−0.012"), (1200, "1,200"), (1200.0, "1,200"), (True, "yes"), (None, "none"), ("x", "x")],
)
def test_numbers_are_written_as_people_read_them(value: object, shown: str) -> None:
    assert words.number(value) == shown


@pytest.mark.parametrize(
    ("metric", "before", "after", "said"),
    [
        ("roc_auc", 0.793, 0.781, ("−0.012 worse", "worse")),
        ("brier", 0.164, 0.167, ("+0.003 worse", "worse")),
        ("brier", 0.167, 0.164, ("−0.003 better", "better")),
        ("demographic_parity_ratio", 0.71, 0.84, ("+0.130 better", "better")),
        ("brier.difference", 0.01, 0.02, ("+0.010 worse", "worse")),
        ("some_count", 1.0, 2.0, ("+1.000", "")),
        ("roc_auc", 0.5, 0.5, ("no change", "")),
        ("roc_auc", None, 0.5, ("added", "")),
        ("roc_auc", 0.5, None, ("removed", "")),
    ],
)
def test_a_change_is_judged_only_where_the_better_side_is_known(
    metric: str, before: float | None, after: float | None, said: tuple[str, str]
) -> None:
    assert words.judged_change(metric, before, after) == said


def test_times_are_utc_and_durations_have_two_units() -> None:
    assert words.moment(datetime(2026, 11, 17, 11, 12, tzinfo=timezone(timedelta(hours=2)))) == "17 Nov 2026, 09:12"
    assert words.duration(timedelta(days=3, hours=5, minutes=20)) == "3 d 5 h"
    assert words.duration(timedelta(seconds=20)) == "under a minute"


def test_what_is_due_says_how_pressing_it_is() -> None:
    assert words.due(NOW - timedelta(hours=28), NOW) == ("1 d 4 h late", "late")
    assert words.due(NOW + timedelta(hours=5), NOW) == ("in 5 h", "near")
    assert words.due(NOW + timedelta(days=3), NOW) == ("23 Nov 2026", "")
    assert words.due(None, NOW) == ("none", "")


def test_digests_sizes_names_and_lists_are_short() -> None:
    assert words.short("sha256:" + "ab" * 32) == "sha256:ababab…abab"
    assert words.short("b82e04d") == "b82e04d"
    assert [words.size(n) for n in (412, 41_200, 4_100_000, 1_200_000_000)] == ["412 B", "41.2 kB", "4.1 MB", "1.2 GB"]
    assert [words.initials(n) for n in ("Marta Keller", "marta.keller", "Cher", "")] == ["MK", "MK", "C", "?"]
    assert words.listed([]) == "none" and words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.target("alias", "champion") == "@champion" and words.target("stage", "Production") == "Production"
