"""One message, parsed by the conventions of the protocol."""

from __future__ import annotations

import math

import pytest
from django.http import QueryDict
from django.test import RequestFactory

from core.errors import Invalid
from interfaces.mlflow import messages
from interfaces.mlflow.messages import I64, KeyValue, Message


class Point(Message, frozen=True):
    metric_key: str
    value: float
    step: I64 | None = None
    is_last: bool | None = None
    tags: list[KeyValue] | None = None
    run_ids: list[str] | None = None


def read(text: str) -> Point:
    return messages.from_json(text.encode(), Point)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"metric_key":"a","value":1}', Point("a", 1.0)),
        ('{"metric_key":"a","value":1,"isLast":true}', Point("a", 1.0, is_last=True)),
        ('{"metric_key":"a","value":"1.5","step":"17"}', Point("a", 1.5, 17)),
        ('{"metric_key":"a","value":true,"step":3.0}', Point("a", 1.0, 3)),
        ('{"metric_key":"a","value":"-Infinity","step":null,"tags":null}', Point("a", -math.inf)),
        ('{"metric_key":"a","value":0,"nobody":"knows"}', Point("a", 0.0)),
        ('{"metric_key":"a","value":0,"tags":[{"key":"k"}]}', Point("a", 0.0, tags=[KeyValue("k", "")])),
        ('"{\\"metric_key\\":\\"a\\",\\"value\\":2}"', Point("a", 2.0)),
    ],
)
def test_what_the_protocol_allows_is_read(text: str, expected: Point) -> None:
    assert read(text) == expected


class Profile(Message, frozen=True):
    source_type: str = ""
    version: I64 = 0
    profile: str = ""


def test_a_very_long_body_is_read_as_it_is_or_not_at_all() -> None:
    """To convert one with a million small values would keep a thread for seconds."""
    profile = "x" * messages.MAX_CONVERTED_BYTES
    plain = f'{{"source_type":"a","version":"3","profile":"{profile}"}}'
    assert messages.from_json(plain.encode(), Profile) == Profile("a", 3, profile)
    for odd in (
        '{"sourceType":"a","profile":"%s"}',
        '"{\\"version\\":3,\\"profile\\":\\"%s\\"}"',
    ):
        assert messages.from_json((odd % "x").encode(), Profile).profile == "x"
        with pytest.raises(Invalid, match=str(messages.MAX_CONVERTED_BYTES)):
            messages.from_json((odd % profile).encode(), Profile)


def test_a_body_is_read_in_any_encoding_of_unicode_and_with_bare_numbers_that_are_none() -> None:
    """As by Python's reader, which MLflow's server uses."""
    text = '{"metric_key":"é","value":2}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"):
        assert messages.from_json(text.encode(encoding), Point) == Point("é", 2.0), encoding
    assert math.isnan(read('{"metric_key":"a","value":NaN}').value)
    assert read('{"metric_key":"a","value":-Infinity,"x":NaN}') == Point("a", -math.inf)
    assert messages.from_json(b"null", messages.Nothing) == messages.Nothing()
    for wrong in (
        b'{"metric_key":"a","value":1,"x":"\xe9"}',
        b'{"metric_key":"\\ud800","value":NaN}',
        b'{"metric_key":"\\ud800","value":1}',
    ):
        with pytest.raises(Invalid, match="not JSON"):
            messages.from_json(wrong, Point)


def test_nan_travels_as_text_both_ways() -> None:
    assert math.isnan(read('{"metric_key":"a","value":"NaN"}').value)
    assert [messages.number(v) for v in (math.nan, math.inf, -math.inf, 0.5)] == ["NaN", "Infinity", "-Infinity", 0.5]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{not json", "not JSON"),
        ("[1, 2]", "must be a JSON object"),
        ("5", "must be a JSON object"),
        ('{"metric_key":' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ("", "Missing value for required parameter 'metric_key'"),
        ('{"metric_key":"","value":1}', "'metric_key'"),
        ('{"metric_key":null,"value":1}', "'metric_key'"),
        ('{"metric_key":5,"value":1}', "'metric_key'"),
        ('{"metric_key":"a","metricKey":"a","value":1}', "two ways"),
        ('{"metricKey":"a","value":1}', "Missing value for required parameter 'metric_key'"),
        ('{"metric_key":"a","value":1,"is_last":"true"}', "'is_last' must be true or false"),
        ('{"metric_key":"a","value":1,"step":1.5}', "'step'"),
        ('{"metric_key":"a","value":1,"step":9223372036854775808}', "'step'"),
        ('{"metric_key":"a","value":1,"step":"many"}', "'step'"),
        ('{"metric_key":"a","value":1,"tags":"x"}', "'tags'"),
        ('{"metric_key":"a","value":1,"tags":[{"value":"v"}]}', "'key'"),
        ('{"metric_key":"a\\u0000","value":1}', "NUL"),
    ],
)
def test_what_it_does_not_allow_is_refused_with_the_field_named(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        read(text)


def test_a_query_repeats_the_key_of_a_repeated_field() -> None:
    assert messages.from_query(QueryDict("metric_key=a&value=2&run_ids=x&run_ids=y&is_last=TRUE"), Point) == Point(
        "a", 2.0, is_last=True, run_ids=["x", "y"]
    )
    with pytest.raises(Invalid, match="true or false"):
        messages.from_query(QueryDict("metric_key=a&value=2&is_last=1"), Point)


def test_post_needs_the_json_content_type_and_delete_does_not() -> None:
    make, body = RequestFactory(), '{"metric_key":"a","value":1}'
    assert messages.read(make.post("/x", body, content_type="application/json; charset=utf-8"), Point).metric_key == "a"
    assert messages.read(make.delete("/x", body, content_type="text/plain"), Point).metric_key == "a"
    with pytest.raises(Invalid, match="Content-Type"):
        messages.read(make.post("/x", body, content_type="text/plain"), Point)


def test_an_enum_is_given_by_name_or_number() -> None:
    names = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")
    assert [messages.choice(v, names, "view") for v in ("ALL", 2, "1", None)] == ["ALL", "DELETED_ONLY", "ACTIVE_ONLY", None]
    for wrong in ("SOME", 0, 4):
        with pytest.raises(Invalid, match="'view'"):
            messages.choice(wrong, names, "view")


@pytest.mark.parametrize("depth", [900, 100_000])
@pytest.mark.parametrize("around", ["{}", '{{"unknown":{}}}', '{{"metricKey":{}}}'])
def test_what_is_nested_too_deeply_is_refused(around: str, depth: int) -> None:
    with pytest.raises(Invalid):
        read(around.format("[" * depth + "]" * depth))


@pytest.mark.parametrize("wrong", ["²", "٣", "9" * 5000])
def test_what_only_looks_like_a_number_names_no_choice(wrong: str) -> None:
    with pytest.raises(Invalid, match="'view'"):
        messages.choice(wrong, ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"), "view")
