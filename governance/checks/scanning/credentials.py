"""Find secrets that were saved along with a model, by the forms that their issuers give them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from governance.checks.base import Finding

_FORMS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a private key", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("an access key of AWS", re.compile(rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("a secret key of AWS", re.compile(rb"(?i)aws_?secret_?access_?key[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])")),
    ("an API key of Google", re.compile(rb"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")),
    ("a key of an Azure account", re.compile(rb"AccountKey=[A-Za-z0-9+/]{86}==")),
    (
        "a token of GitHub",
        re.compile(rb"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})(?![A-Za-z0-9_])"),
    ),
    ("a token of GitLab", re.compile(rb"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{20}(?![A-Za-z0-9_-])")),
    ("a token of Hugging Face", re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{34}(?![A-Za-z0-9_])")),
    ("a token of Slack", re.compile(rb"(?<![A-Za-z0-9])xox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{16,}")),
    ("a key of OpenAI", re.compile(rb"(?<![A-Za-z0-9_-])sk-(?:proj-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}")),
    ("a token of Databricks", re.compile(rb"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?![A-Za-z0-9])")),
    (
        "a password in an address",
        re.compile(rb"[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'{}<>$]{1,64}:[^\s:/@\"'{}<>$]{3,128}@[A-Za-z0-9]"),
    ),
)
_MOST_PER_FORM = 5


def secrets(data: bytes, location: str) -> Iterator[Finding]:
    """Yield a finding for each secret, which says its line and kind and does not repeat it."""
    for kind, form in _FORMS:
        for number, match in enumerate(form.finditer(data)):
            if number == _MOST_PER_FORM:
                break
            line = data.count(b"\n", 0, match.start()) + 1
            message = f"Line {line} holds what reads like {kind}. Revoke it, and save the model without it."
            yield Finding("secret", "high", location, message)
