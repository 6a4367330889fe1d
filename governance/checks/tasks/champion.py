"""This version beside the champion on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from governance.checks.base import CheckError, Measurement, Result, Table, UnsuitableData
from governance.checks.groups import Groups
from governance.checks.subject import Subject
from governance.checks.tasks.answers import Answers
from governance.checks.tasks.measured import Difference


def against_champion(
    subject: Subject, mine: Answers, ask: Callable[[Subject], Answers], slices: Sequence[Groups]
) -> Iterator[Result]:
    """Yield the difference of each metric for the whole set, then by slice, and the table `against_champion` of the whole set.

    slices: the groups to measure by. Without a champion there is nothing. One that cannot be asked, or is
    another kind of model, leaves each difference None with the reason: the run is not lost by a fault that is not the version's.
    """
    champion = subject.champion
    if champion is None:
        return
    try:
        if champion.row_count != subject.row_count:
            raise UnsuitableData(f"it was given {champion.row_count} rows and this version {subject.row_count}.")
        theirs = ask(champion)
    except CheckError as cause:
        for metric in mine.compared:
            reason = f"not computed: the champion cannot be compared: {cause.message}"
            yield Measurement(f"{metric}.difference", None, "", subject.row_count, method=reason)
        return
    whole = mine.differences(theirs)
    yield from (_measurement(each, "") for each in whole)
    for slice_, rows in chain.from_iterable(slices):
        yield from (_measurement(each, slice_) for each in mine.on(rows).differences(theirs.on(rows)))
    yield Table(
        "against_champion",
        "This version against the champion",
        ("metric", "this_version", "champion", "difference", "ci_low", "ci_high"),
        tuple((each.metric, each.mine, each.champion, each.value, each.low, each.high) for each in whole),
    )


def _measurement(each: Difference, slice_: str) -> Measurement:
    method = "this version minus the champion on the same rows; " if each.value is not None else ""
    return Measurement(f"{each.metric}.difference", each.value, slice_, each.n, each.low, each.high, method + each.method)
