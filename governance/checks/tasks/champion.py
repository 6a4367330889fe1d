"""This version beside the champion on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from governance.checks.base import CheckError, Measurement, Result, Table, UnsuitableData
from governance.checks.subject import Subject
from governance.checks.tasks.answers import Answers
from governance.checks.tasks.measured import Difference

if TYPE_CHECKING:
    import numpy as np


def against_champion(
    subject: Subject, mine: Answers, ask: Callable[[Subject], Answers], slices: Sequence[tuple[str, np.ndarray]]
) -> Iterator[Result]:
    """Yield the difference of each metric for the whole set, then by slice, and the table `against_champion` of the whole set.

    slices: names with the rows of each: bool, shape (n,). Without a champion there is nothing. One that cannot be asked, or is
    another kind of model, leaves each difference None with the reason: the run is not lost by a fault that is not the version's.
    """
    champion = subject.champion
    if champion is None:
        return
    try:
        theirs = ask(_on_same_rows(subject, champion))
    except CheckError as cause:
        for metric in mine.compared:
            reason = f"not computed: the champion cannot be compared: {cause.message}"
            yield Measurement(f"{metric}.difference", None, "", len(subject.frame), method=reason)
        return
    whole = mine.differences(theirs)
    yield from (_measurement(each, "") for each in whole)
    for slice_, rows in slices:
        yield from (_measurement(each, slice_) for each in mine.on(rows).differences(theirs.on(rows)))
    yield Table(
        "against_champion",
        "This version against the champion",
        ("metric", "this_version", "champion", "difference", "ci_low", "ci_high"),
        tuple((each.metric, each.mine, each.champion, each.value, each.low, each.high) for each in whole),
    )


def _on_same_rows(subject: Subject, champion: Subject) -> Subject:
    """Return the champion with the rows already read, so that they are not held twice. Raises UnsuitableData for other rows."""
    if champion.dataset == subject.dataset:
        champion.frame = subject.frame
    if len(champion.frame) != len(subject.frame):
        raise UnsuitableData(f"it was given {len(champion.frame)} rows and this version {len(subject.frame)}.")
    return champion


def _measurement(each: Difference, slice_: str) -> Measurement:
    method = "this version minus the champion on the same rows; " if each.value is not None else ""
    return Measurement(f"{each.metric}.difference", each.value, slice_, each.n, each.low, each.high, method + each.method)
