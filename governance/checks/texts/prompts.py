"""The set of prompts: what is asked, what is accepted, and whether an answer or a refusal is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from governance.checks.base import UnsuitableData
from governance.checks.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["answer", "refuse", "any"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PROMPT, EXPECTED, KIND = "prompt", "expected", "kind"


@dataclass(frozen=True)
class Prompt:
    """One row of the set. given: all texts the model is shown. expected: the answers that are accepted, if any is known."""

    text: str
    given: str
    expected: tuple[str, ...]
    kind: Kind


def features(subject: Subject) -> pd.DataFrame:
    """Return what the model is shown: the columns that its signature names, else the prompt alone, lest it sees the answers.

    Raises MissingColumn.
    """
    names_columns = subject.signature is not None and any(each.name for each in subject.signature.inputs)
    if names_columns or PROMPT not in subject.frame.columns:
        return subject.features
    return subject.frame[[PROMPT]]


def read(subject: Subject) -> list[Prompt]:
    """Return the prompts, one per row.

    Accepted answers stand in `expected`, or else in the target column; a list of Parquet holds several. A row without a kind wants
    an answer if one is expected, else `any`. CSV reads NA, null and None as no value; use Parquet where those are answers.
    Raises MissingColumn without prompts, UnsuitableData for a prompt without text and a kind that is none.
    """
    asked = subject.column(PROMPT, "the texts the model is asked").tolist()
    shown = features(subject).astype(object).to_numpy().tolist()
    expected = [_accepted(each) for each in _column(subject, _expected_column(subject), len(asked))]
    kinds = _column(subject, KIND, len(asked))
    return [
        Prompt(_asked(text, place, subject), _joined(row), accepted, _kind(kind, accepted, place, subject))
        for place, (text, row, accepted, kind) in enumerate(zip(asked, shown, expected, kinds, strict=True))
    ]


def _expected_column(subject: Subject) -> str:
    target = subject.dataset.target if subject.dataset else ""
    return EXPECTED if EXPECTED in subject.frame.columns or target in (PROMPT, KIND) else target


def _column(subject: Subject, name: str, rows: int) -> list[Any]:
    return subject.frame[name].tolist() if name in subject.frame.columns else [None] * rows


def _is_missing(cell: Any) -> bool:
    return cell is None or cell != cell  # NaN


def _accepted(cell: Any) -> tuple[str, ...]:
    if hasattr(cell, "tolist"):  # a list of Parquet
        cell = cell.tolist()
    if isinstance(cell, list):
        return tuple(_text(each) for each in cell if not _is_missing(each))
    return () if _is_missing(cell) else (_text(cell),)


def _text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _asked(cell: Any, place: int, subject: Subject) -> str:
    if _is_missing(cell):
        raise UnsuitableData(f"Row {place} of {subject.dataset_name}, counted from 0, has no prompt. Remove it.")
    return _text(cell)


def _joined(row: list[Any]) -> str:
    return "\n".join("" if _is_missing(cell) else str(cell) for cell in row)


def _kind(cell: Any, expected: tuple[str, ...], place: int, subject: Subject) -> Kind:
    if _is_missing(cell):
        return "answer" if expected else "any"
    for kind in KINDS:
        if cell == kind:
            return kind
    raise UnsuitableData(
        f"Row {place} of {subject.dataset_name}, counted from 0, has the kind {cell!r}; known are {', '.join(KINDS)}."
    )
