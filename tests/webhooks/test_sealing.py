"""What is sealed can be opened with the installation's key alone, and shows when it was changed."""

from __future__ import annotations

import base64

import pytest
from django.conf import LazySettings

from webhooks import sealing


@pytest.mark.parametrize("text", ["s", "a secret", "x" * 1000, "Bearer äöü\u20ac"])
def test_what_was_sealed_is_opened_and_never_sealed_alike_twice(text: str) -> None:
    first, second = sealing.seal(text), sealing.seal(text)
    assert first != second
    assert sealing.unseal(first) == sealing.unseal(second) == text


@pytest.mark.parametrize("text", ["a secret", "x" * 1000, "Bearer äöü\u20ac"])
def test_what_was_sealed_shows_nothing_of_it(text: str) -> None:
    assert text.encode() not in base64.b64decode(sealing.seal(text))


def test_nothing_stays_nothing() -> None:
    assert sealing.seal("") == sealing.unseal("") == ""


def test_another_key_opens_nothing(settings: LazySettings) -> None:
    sealed = sealing.seal("a secret")
    settings.SECRET_KEY = "another key of this installation, long enough"
    with pytest.raises(sealing.Lost):
        sealing.unseal(sealed)


def test_every_changed_byte_shows() -> None:
    raw = base64.b64decode(sealing.seal("a secret"))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(sealing.Lost):
            sealing.unseal(base64.b64encode(changed).decode())
    for broken in ("no base64!", base64.b64encode(raw[:40]).decode(), "AAAA"):
        with pytest.raises(sealing.Lost):
            sealing.unseal(broken)
