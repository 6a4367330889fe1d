"""The page docs/ground-truth.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.ground_truth.agreement import Chapter, table
from scripts.ground_truth.data import GERMAN, Folder, digest
from scripts.ground_truth.everything import COUNTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "ground-truth.md"

_HEAD = """\
# Ground truth

What the checks measure beside what reference implementations say of the same rows and answers. `python -m scripts.ground_truth --data
FOLDER` computes all of it anew and writes this page, and refuses to where a number is off; a test does so for the data that is in the
repository, and asks that each metric a check emits stands here.

Ours is the number that the check itself emits, of a model trained on other rows. Each line is about all numbers of a metric on one
data set, such as those of all groups or classes, and shows the pair that is farthest apart for what it may be. The tolerance is 1e-9, of
numbers beyond 1 as a share of them; where either side draws by chance it is five standard errors of what chance leaves between them, and
the line says how they were had. Both ends of an interval count as numbers.

"""
_BOOTSTRAP = """\
Intervals by bootstrap are compared with scipy's, which draws other resamples. An end is a quantile of B resamples, with a standard error
of sqrt(p (1 - p) / B) / f(z) standard errors of the metric for p = 0.025 and f the normal density at z = 1.96; that of BCa has the error of
the bias correction too, twice 1/2 / (f(0) sqrt(B)). Both count for either side, and five of them are allowed. Beyond 10,000 rows the
interval is that of the delta method and compared exactly.

"""
_FAIR = """\
Where a group has no negative row, fairlearn takes its false positive rate for 0 and the check says None; such a rate, and equalized odds
over it, is expected to be None here.

"""
_NOTES = {"performance": _BOOTSTRAP, "fairness": _FAIR}


def text(chapters: Sequence[Chapter], larger: Path | None) -> str:
    """Return the page. larger: where the larger data sets are, of which the page says what they are."""
    return _HEAD + "\n".join([*_data(larger), "", *_tables(chapters), *_counts()]) + "\n"


def _data(larger: Path | None) -> Iterator[str]:
    yield "| data set | version | licence |"
    yield "| --- | --- | --- |"
    german = "UCI Statlog (German Credit Data), Hofmann 1994, doi 10.24432/C5NC77"
    yield f"| German Credit | {german}, `demo/data`, SHA-256 {digest(GERMAN)[:16]}… | CC BY 4.0 |"
    yield f"| iris, wine, breast cancer, diabetes | as scikit-learn {version('scikit-learn')} brings them along | BSD |"
    if larger is None:
        return
    digests = Folder(larger, larger).digests()
    for file, name, source in (
        ("adult", "Adult", "UCI Adult, Becker and Kohavi 1996, doi 10.24432/C5XW20"),
        ("bank_marketing", "Bank Marketing", "UCI Bank Marketing, Moro, Rita and Cortez 2012, doi 10.24432/C5K306"),
        ("diabetes_readmission", "Diabetes 130-US", "UCI Diabetes 130-US hospitals, Strack et al. 2014, doi 10.24432/C5230J"),
    ):
        yield f"| {name} | {source}, SHA-256 {digests[file][:16]}… | CC BY 4.0 |"


def _tables(chapters: Sequence[Chapter]) -> Iterator[str]:
    for chapter in chapters:
        if chapter.rows:
            yield f"## {chapter.check}\n"
            yield _NOTES.get(chapter.check, "").rstrip("\n") + "\n" if chapter.check in _NOTES else ""
            yield from table(chapter.rows)
            yield ""


def _counts() -> Iterator[str]:
    yield "## Without a reference\n"
    yield "| metric | why |"
    yield "| --- | --- |"
    yield from (f"| `{metric}` | {why} |" for metric, why in COUNTS.items())
