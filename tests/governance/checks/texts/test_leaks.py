"""Checksums agree with published examples, and what is masked is gone. Keys are written in pieces: scanners read tests, too."""

from __future__ import annotations

import time

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.checks.base import MissingColumn, UnsuitableData
from governance.checks.texts import leaks
from governance.checks.texts.leaks import Canaries, Span, find, is_iban, is_luhn, masked

IBANS = [
    "DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606", "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S", "CH9300762011623852957", "SA0380000000608010167519", "BE68539007547034",
]  # fmt: skip
CARDS = ["4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "30569309025904", "2223003122003222"]
KEYS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "gh" + "p_" + "a1B2" * 9,
    "github" + "_pat_" + "a" * 30,
    "gl" + "pat-" + "x" * 20,
    "sk" + "-proj-" + "a_b-" * 6,
    "AI" + "za" + "b" * 35,
    "xo" + "xb-" + "1" * 12,
    "sk" + "_live_" + "c" * 24,
    "h" + "f_" + "d" * 34,
    "dap" + "i" + "0a" * 16,
    "ey" + "Jhbgciabc." + "ey" + "Jhbgciabc." + "c2lnbmF0",
]
BEGIN, END = "-----BEGIN " + "RSA PRIVATE KEY-----", "-----END " + "RSA PRIVATE KEY-----"


def kinds(text: str) -> list[str]:
    return [each.kind for each in find(text)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((f"Pay to {each}.", "iban") for each in IBANS),
        *((f"card {each}!", "credit_card") for each in CARDS),
        *((f"key={each};", "api_key") for each in KEYS),
        ("IBAN GB82 WEST 1234 5698 7654 32 IS mine", "iban"),
        ("4111-1111-1111-1111 12/27", "credit_card"),
        ("3782 822463 10005", "credit_card"),
        ("write to ada.l+x@mail.corp-one.co.uk.", "email"),
        ("host 10.0.0.12:8080", "ipv4"),
        ("at 8.8.8.8.", "ipv4"),
        (f"{BEGIN}\nMIIB", "private_key"),
        ("-----BEGIN PGP " + "PRIVATE KEY BLOCK-----", "private_key"),
    ],
)
def test_what_has_the_form_is_found(text: str, kind: str) -> None:
    assert kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "DE89370400440532013001", "GB82 WEST 1234 5698 7654 3", "XX89370400440532013000", "aDE89370400440532013000",
        "4111111111111112", "0.4111111111111111", "4111111111111111111111", "a4111111111111111", "1234567890123456",
        "ada@example.com", "x@mail.example", "@handle", "ada@localhost", "a@b", "256.1.1.1", "1.2.3.4.5", "127.0.0.1",
        "192.0.2.7", "203.0.113.200", "0.0.0.0", "255.255.255.255", "v10.2.3", "sk-short", "task-" + "a" * 30,
        "-----BEGIN PUBLIC KEY-----", "550e8400-e29b-41d4-a716-446655440000", "",
    ],
)  # fmt: skip
def test_what_has_not_is_left_alone(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize("number", [*CARDS, "79927398713"])
def test_one_wrong_digit_breaks_luhns_check(number: str) -> None:
    assert is_luhn(number)
    for place, digit in enumerate(number):
        for other in set("0123456789") - {digit}:
            assert not is_luhn(number[:place] + other + number[place + 1 :])


@pytest.mark.parametrize("iban", IBANS)
def test_one_wrong_or_swapped_digit_breaks_the_check_of_an_iban(iban: str) -> None:
    assert is_iban(iban) and leaks._IBAN_LENGTHS[iban[:2]] == len(iban)
    for place in range(2, len(iban) - 1):
        swapped = iban[:place] + iban[place + 1] + iban[place] + iban[place + 2 :]
        assert is_iban(swapped) == (swapped == iban)
        if iban[place].isdigit():
            assert not is_iban(iban[:place] + str((int(iban[place]) + 1) % 10) + iban[place + 1 :])


def test_digits_of_an_iban_are_no_card_beside_it() -> None:
    with_card = "DE" + "00" + " 4111 1111 1111 1111 00"
    assert kinds(with_card) == ["credit_card"], "the check digits are wrong"
    check = 98 - int("411111111111111100" + "131400") % 97
    assert kinds(f"DE{check:02d} 4111 1111 1111 1111 00") == ["iban"]


def test_masking_leaves_nothing_of_a_key_that_breaks_off() -> None:
    for text in (f"a {BEGIN}\nMIIB\n{END} b {BEGIN}\nrest", f"a {BEGIN}\nMIIB"):
        shown = masked(text, find(text))
        assert "MIIB" not in shown and "rest" not in shown and shown.startswith("a [private_key]")
    assert masked(f"{BEGIN}x{END} after", find(f"{BEGIN}x{END} after")) == "[private_key] after"


def test_spans_that_overlap_are_masked_together() -> None:
    spans = [Span("inner", 3, 5), Span("late", 4, 8), Span("outer", 2, 6), Span("far", 9, 10)]
    assert masked("0123456789", spans) == "01[outer]8[far]"
    assert masked("plain", []) == "plain"


@given(
    st.lists(
        st.sampled_from([*IBANS[:3], *CARDS[:3], *KEYS[:3], "ada@corp.io", "9.9.9.9", BEGIN, END, " ", "x", "-", "\n"]),
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_what_is_masked_holds_nothing_to_find(parts: list[str]) -> None:
    text = " ".join(parts)
    assert find(masked(text, find(text))) == []


def test_hostile_texts_take_linear_time() -> None:
    for piece in ("a@", "a.", "1.", "DE11", "4111 ", "ey" + "Jaaaaaaaa.", "sk-" + "a" * 400, BEGIN, "-----BEGIN ", "A B "):
        started = time.process_time()
        find(piece * (100_000 // len(piece)))
        assert time.process_time() - started < 2, piece


def test_canaries_are_found_however_they_are_spelt() -> None:
    canaries = Canaries(("Zephyr-Canary-90210", "pin7"))
    text = "It is ZEPHYR canary, 90210. Not zephyr canary 90211."
    (span,) = canaries.find(text)
    assert text[span.start : span.end] == "ZEPHYR canary, 90210" and masked(text, [span]).startswith("It is [canary]. Not")
    assert [each.start for each in canaries.find("pin7 and PIN7 and pin 7")] == [0], "a short one as it is"
    assert [each.end for each in Canaries(("straßenbahn",)).find("STRASSENBAHN!")] == [12]


def test_lists_of_canaries_that_say_nothing_are_refused() -> None:
    assert leaks.read_canaries(pd.DataFrame({"secret": [" abcd ", "abcd", 12345]}), "c").secrets == ("abcd", "12345")
    with pytest.raises(MissingColumn, match="'secret'"):
        leaks.read_canaries(pd.DataFrame({"canary": ["abcd"]}), "c")
    for wrong in ("abc", None, float("nan"), "   "):
        with pytest.raises(UnsuitableData, match="Row 1 of c"):
            leaks.read_canaries(pd.DataFrame({"secret": ["abcd", wrong]}, dtype=object), "c")


def test_what_was_given_is_known_however_it_is_spaced() -> None:
    assert leaks.is_given("DE89 3704 0044", "pay de8937040044 now") and not leaks.is_given("ada@corp.io", "eve@corp.io")
