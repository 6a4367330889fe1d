"""One text for one value, whichever encoder writes it."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical

TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", '\x00\x1f\x7f\u2028"\\\\', "\U0001f600", "\ufb33"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.text("abz_0"), inner, max_size=6),
    max_leaves=12,
)


def text_or_refusal(write: Any, value: Any) -> Any:
    try:
        return write(value)
    except ValueError as error:
        return type(error), str(error)


@given(VALUES)
def test_the_quick_encoder_writes_what_the_reference_implementation_does(value: Any) -> None:
    assert text_or_refusal(canonical, value) == text_or_refusal(lambda given: rfc8785.dumps(given).decode(), value)


def test_keys_are_sorted_by_utf_16_and_integers_end_where_doubles_do() -> None:
    """The first is the example of RFC 8785, section 3.2.3."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = canonical(dict.fromkeys(keys, 0))
    assert written == '{"\\r":0,"1":0,"\u0080":0,"\u00f6":0,"\u20ac":0,"\U0001f600":0,"\ufb33":0}'
    assert canonical([2**53 - 1, (True, None, "x")]) == '[9007199254740991,[true,null,"x"]]'
    for value in (2**53, float("nan"), {1: 2}):
        with pytest.raises(ValueError, match=r"safe integer|JCS|must be strings"):
            canonical(value)
