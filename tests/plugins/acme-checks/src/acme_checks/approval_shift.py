"""How the share of approvals moved between a reference and the evaluation set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from governance.checks.base import Finding, Measurement, Result, Table

if TYPE_CHECKING:
    from governance.checks.subject import Subject


@dataclass(frozen=True)
class ApprovalShift:
    """Measure by how much the share of approvals differs from that on a reference.

    `acme.approval_rate` in [0, 1] of the evaluation set and, in the slice `reference`, of the reference; `acme.approval_shift` is the
    first minus the second, in [-1, 1], or its size alone.
    """

    name: ClassVar[str] = "acme-approval-shift"
    revision: ClassVar[str] = "3"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    reference: str = field(metadata={"dataset": True, "description": "The data set that approvals are compared with."})
    threshold: float = field(
        default=0.5, metadata={"minimum": 0, "maximum": 1, "description": "Score from which a row is approved."}
    )
    direction: Literal["signed", "size"] = field(default="signed", metadata={"description": "Whether the sign is kept."})
    columns: tuple[str, ...] = field(default=(), metadata={"description": "Columns whose values are counted in a table."})

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the two shares and their difference, a finding where the reference is small, and a table of values."""
        reference = subject.other(self.reference)
        here = subject.decisions(self.threshold)
        there = subject.score(reference[list(subject.features.columns)]) >= self.threshold
        shift = float(here.mean() - there.mean())
        yield Measurement("acme.approval_rate", float(here.mean()), n=len(here))
        yield Measurement("acme.approval_rate", float(there.mean()), "reference", n=len(there))
        yield Measurement("acme.approval_shift", shift if self.direction == "signed" else abs(shift), n=len(here))
        if len(there) < 30:
            yield Finding("small-reference", "low", "reference", f"The reference has {len(there)} rows only.")
        counts = [(name, str(value), int(n)) for name in self.columns for value, n in subject.frame[name].value_counts().items()]
        yield Table("acme_values", "Values counted", ("column", "value", "rows"), tuple(counts))
