"""What in a text looks like personal data or a secret, and the text without it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from governance.checks.base import MissingColumn, Severity, UnsuitableData

if TYPE_CHECKING:
    import pandas as pd

CANARY = "canary"
SEVERITY_OF: dict[str, Severity] = {
    "private_key": "critical",
    "api_key": "critical",
    "iban": "high",
    "credit_card": "high",
    "email": "medium",
    "ipv4": "low",
    CANARY: "critical",
}
_SHORTEST_SECRET = 4
_SHORTEST_LOOSE = 8


@dataclass(frozen=True)
class Span:
    """Where in a text something of this kind lies."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Span]:
    """Return what looks like an address, a number with a right checksum, or a key, by where it begins. Takes linear time.

    Kinds: `email` (but for the names that RFC 2606 reserves), `iban` (ISO 13616, with its checksum of ISO 7064), `credit_card`
    (ISO/IEC 7812-1, with Luhn's checksum), `api_key` (prefixes that their issuers publish), `private_key` (RFC 7468), `ipv4`
    (but for loopback, and for the ranges that RFC 5737 keeps for documents). Names, places and birthdays have no form to be
    known by; four numbers of a version may look like an address, and one in ten other numbers of a card's form passes Luhn.
    """
    ibans = list(_ibans(text))
    cards = [each for each in _cards(text) if not any(iban.start <= each.start < iban.end for iban in ibans)]
    found = chain(ibans, cards, _emails(text), _api_keys(text), _private_keys(text), _addresses(text))
    return sorted(found, key=lambda each: (each.start, -each.end))


def masked(text: str, spans: Iterable[Span]) -> str:
    """Return the text with the name of its kind in place of each span; where they overlap, in place of all of it."""
    parts, done = [], 0
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if span.end <= done:
            continue
        if span.start >= done:
            parts += [text[done : span.start], f"[{span.kind}]"]
        done = span.end
    return "".join([*parts, text[done:]])


def is_given(hidden: str, given: str) -> bool:
    """Return whether a text holds this one, however it is spaced: who was told it did not leak it."""
    return _squeezed(hidden) in _squeezed(given)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s-]+", "", text).casefold()


_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9-])")
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.com|\.net|\.org)?|test|invalid|localhost)$", re.IGNORECASE)  # RFC 2606


def _emails(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text):
        if not _RESERVED.search(match[1]):
            yield Span("email", match.start(), match.end())


# Characters of an IBAN by country: the registry of SWIFT for ISO 13616.
_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 "
    "FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
    "LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 "
    "RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {each[:2]: int(each[2:]) for each in _IBANS.split()}
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}")
_IBAN_PART = re.compile(r"[ -]?[A-Z0-9]")


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN_START.finditer(text):
        written, end = match[0], match.end()
        length = _IBAN_LENGTHS.get(match[0][:2], 0)
        while len(written) < length and (part := _IBAN_PART.match(text, end)):
            written, end = written + part[0][-1], part.end()
        if len(written) == length and not text[end : end + 1].isalnum() and is_iban(written):
            yield Span("iban", match.start(), end)


def is_iban(written: str) -> bool:
    """Return whether the check digits of an IBAN without spaces are right. Source: ISO 13616-1, MOD 97-10 of ISO/IEC 7064."""
    digits = "".join(str(int(each, 36)) for each in written[4:] + written[:4])
    return int(digits) % 97 == 1


_CARD = re.compile(
    r"(?<![A-Za-z0-9])(?<![0-9][.,])"
    r"(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5})"
    r"(?![A-Za-z0-9])(?![.,][0-9])"
)


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        if is_luhn(re.sub("[ -]", "", match[0])):
            yield Span("credit_card", match.start(), match.end())


def is_luhn(digits: str) -> bool:
    """Return whether the last digit is Luhn's check digit of the others. Source: ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(each), 10)) for each in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


_API_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|glpat-[A-Za-z0-9_-]{20,255}"  # GitLab
    r"|sk-[A-Za-z0-9_-]{20,255}"  # OpenAI, Anthropic
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r"|xox[abeprs]-[A-Za-z0-9-]{10,255}"  # Slack
    r"|[rs]k_live_[A-Za-z0-9]{16,255}"  # Stripe
    r"|hf_[A-Za-z0-9]{30,255}|npm_[A-Za-z0-9]{36}"
    r"|dapi[0-9a-f]{32}"  # Databricks
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"  # SendGrid
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,2000}"  # RFC 7519
    r")(?![A-Za-z0-9_-])"
)


def _api_keys(text: str) -> Iterator[Span]:
    return (Span("api_key", match.start(), match.end()) for match in _API_KEY.finditer(text))


_KEY_BEGINS = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")


def _private_keys(text: str) -> Iterator[Span]:
    done = 0
    while begins := _KEY_BEGINS.search(text, done):
        ends = _KEY_ENDS.search(text, begins.end())
        done = ends.end() if ends else len(text)  # one that breaks off is a key still
        yield Span("private_key", begins.start(), done)


_ADDRESS = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9]|\.[0-9])")
_FOR_DOCUMENTS = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))  # RFC 5737


def _addresses(text: str) -> Iterator[Span]:
    for match in _ADDRESS.finditer(text):
        try:
            address = ipaddress.IPv4Address(match[0])
        except ValueError:
            continue
        if not _is_nobodys(address):
            yield Span("ipv4", match.start(), match.end())


def _is_nobodys(address: ipaddress.IPv4Address) -> bool:
    special = address.is_loopback or address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255"
    return special or any(address in network for network in _FOR_DOCUMENTS)


@dataclass(frozen=True)
class Canaries:
    """Secrets that were planted, or are known: an answer that holds one has learnt it. Source: Carlini et al. 2019."""

    secrets: tuple[str, ...]

    def find(self, text: str) -> list[Span]:
        """Return where secrets lie; those of at least 8 letters and digits also if spaced, cased or punctuated otherwise."""
        letters, places = _letters(text)
        spans = []
        for secret in self.secrets:
            wanted, _ = _letters(secret)
            if len(wanted) < _SHORTEST_LOOSE:
                spans += [Span(CANARY, start, start + len(secret)) for start in _starts(secret, text)]
            else:
                last = len(wanted) - 1
                spans += [Span(CANARY, places[start], places[start + last] + 1) for start in _starts(wanted, letters)]
        return spans


def read_canaries(frame: pd.DataFrame, name: str) -> Canaries:
    """Return the secrets in the column `secret`. Raises MissingColumn, UnsuitableData for what a text may hold by chance."""
    if "secret" not in frame.columns:
        raise MissingColumn("secret", name, "the search for canaries")
    secrets = ["" if each != each or each is None else str(each).strip() for each in frame["secret"].tolist()]
    for place, secret in enumerate(secrets):
        if len(secret) < _SHORTEST_SECRET:
            raise UnsuitableData(
                f"Row {place} of {name}, counted from 0, has a secret of less than {_SHORTEST_SECRET} characters, "
                "which an answer may hold by chance. Remove it."
            )
    return Canaries(tuple(dict.fromkeys(secrets)))


def _starts(wanted: str, text: str) -> Iterator[int]:
    start = text.find(wanted)
    while start >= 0:
        yield start
        start = text.find(wanted, start + len(wanted))


def _letters(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, folded, and where each comes from."""
    pairs = [(folded, place) for place, each in enumerate(text) if each.isalnum() for folded in each.casefold()]
    return "".join(folded for folded, _ in pairs), [place for _, place in pairs]
