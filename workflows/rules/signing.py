"""The statement a reviewer signs: everything the signature stands for, in words, so that it can be read and digested. Pure.

After 21 CFR 11.50 and 11.70: the printed name, the meaning, and the record it is bound to; the time is kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.canonical import text_digest

_VERDICTS = {"approve": "approve", "request_changes": "ask for changes to", "reject": "reject", "abstain": "abstain on"}


@dataclass(frozen=True)
class Subject:
    """What is signed: a request for a version's place, the exact content and the exact evidence."""

    reference: str
    version: str  # such as credit.risk v3
    target: str  # such as stage Production
    content_digest: str
    evidence_digest: str


@dataclass(frozen=True)
class Statement:
    text: str

    @property
    def digest(self) -> str:
        return text_digest(self.text)


def statement(subject: Subject, *, verdict: str, meaning: str, printed_name: str, on_behalf_of: str = "") -> Statement:
    """Return what somebody signs by giving this verdict with this meaning."""
    for_whom = f", for {on_behalf_of}," if on_behalf_of else ""
    return Statement(
        f"I, {printed_name}{for_whom} {_VERDICTS[verdict]} {subject.reference}: {subject.version} to {subject.target}.\n"
        f"Meaning of this signature: {meaning}.\n"
        f"Content: {subject.content_digest}\n"
        f"Evidence: {subject.evidence_digest}\n"
    )
