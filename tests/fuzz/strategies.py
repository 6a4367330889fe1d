"""Requests to every route, built from the routing table and the types of its messages; and junk that follows no type."""

from __future__ import annotations

import base64
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import quote_from_bytes

import msgspec
from hypothesis import strategies as st

from interfaces.mlflow.dispatch import TABLE
from interfaces.mlflow.messages import Message
from interfaces.mlflow.routing import Route
from tests.fuzz.filters import filters, orders
from tests.fuzz.wire import Request

Strategy = st.SearchStrategy[Any]

ODD_TEXTS = (
    "", " ", "\x00", "a\x00b", "\ud800", "x\udfffy", "x" * 251, "x" * 501, "x" * 9000, "\u00b2", "\u0663", "9" * 5000, "-1", "0",
    "00", "1.0", "NaN", "..", "../..", "a/../b", "/etc/passwd", "a//b", "a\\b", "%2e%2e", "%", "'", '"', "a'b", "\U0001f600",
    "e\u0301", "\u202e", "\r\n", "{}", "[]", "null", "true", "latest", "None", "m-", "runs:/", "models:/a/1", "file:///etc",
    "http://[", "s3://", "mlflow-artifacts:/", "mlflow-artifacts://host:port/x", "dbfs:/x", "\ufeff", "a:b", "a" * 70_000,
)  # fmt: skip
ODD_NUMBERS = (0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30, 10**400, 1.0, 1.5, 1e308, -0.0)
_TOKENS = [
    base64.b64encode(text.encode()).decode()
    for text in (
        '{"offset":1}',
        '{"offset":0}',
        '{"offset":-1}',
        '{"offset":4611686018427387903}',
        '{"offset":1e3}',
        "[]",
        "{",
        "null",
    )
]
_HEADERS = (
    (b"Range", b"bytes=0-1"), (b"Range", b"bytes=-" + b"9" * 5000), (b"Range", b"bytes=5-2"), (b"Range", b"bytes=0-1,3-4"),
    (b"Range", b"bytes=99999999999999999999-"), (b"Content-Digest", b"sha-256=:AAAA:"), (b"Content-Digest", b"sha-256=:" + b"A" * 43 + b"=:"),
    (b"User-Agent", b"databricks-sdk-py/0.1"), (b"X-Forwarded-For", b"\xff, ::1"), (b"X-Request-ID", b"\x80" * 10),
    (b"Content-Encoding", b"gzip"), (b"Accept", b"text/html"), (b"Cookie", b"sessionid=\xff;;=;a"), (b"If-None-Match", b'"x"'),
    (b"Expect", b"100-continue"), (b"Accept-Encoding", b"gzip, br"), (b"X-Long", b"x" * 5000), (b"X-HTTP-Method-Override", b"DELETE"),
)  # fmt: skip
_JSON_JUNK = (
    b"[" * 100_000, b'{"a":' * 50_000, b'{"name":' + b"[" * 2000 + b"]" * 2000 + b"}", b'{"name":' + b"[" * 900 + b"]" * 900 + b"}", b"{}" * 10, b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
    b'{"name":"\xff"}', b'{"name":"\\ud800"}', b'{"name":1e999999}', b'{"max_results":' + b"9" * 10_000 + b"}", b'{"a":1,"a":2}', b"null",
    b'"{}"', b'"\\"{}\\""', b"NaN", b'{"value":NaN}', b"", b" ", b"\x00", b"{'a':1}", b"<xml/>", b'{"run_id":{"a":[]}}', b'{"name":true}',
    b'{"' + b"k" * 300_000 + b'":1}', b'{"name":"' + b"x" * 1_000_000 + b'"}',
)  # fmt: skip
_CONTENT_TYPES = (
    b"application/json; charset=utf-8", b"application/json; charset=no-such", b"text/plain", b"multipart/form-data", b"\xff", b"",
    b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded", b"application/octet-stream", b"application/json;" + b"x" * 3000,
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What exists on the server: values of fields by name, and the tokens of who may send."""

    known: Mapping[str, tuple[str, ...]]
    tokens: tuple[str, ...]

    @property
    def everything(self) -> tuple[str, ...]:
        """Return every value there is."""
        return tuple(sorted({value for values in self.known.values() for value in values}))


def requests(world: World) -> st.SearchStrategy[Request]:
    """Return requests of all kinds; most are typed and go to a route, so that they reach what lies behind the parser."""
    routes = [(verb, route) for route in TABLE.routes for verb in route.verbs()]
    typed = st.sampled_from(routes).flatmap(lambda pair: _typed(world, *pair))
    return st.one_of(*[typed] * 7, _junk(world, routes))


@st.composite
def _typed(draw: st.DrawFn, world: World, verb: str, route: Route) -> Request:
    address = draw(st.sampled_from(route.addresses()))
    for name in ("model_id", "key", "call", "path"):
        for mark in (f"{{{name}}}", f"<{name}>"):
            if mark in address:
                address = address.replace(mark, _quoted(draw(_text(world, name))))
    fields = draw(_fields(world, route.message, verb)) if route.message else draw(_loose(world))
    headers = [(b"Authorization", draw(_authorization(world)))]
    headers += draw(st.lists(st.sampled_from(_HEADERS), max_size=1)) if draw(st.integers(0, 5)) == 0 else []
    chunked = draw(st.integers(0, 9)) == 0
    if verb == "GET" or route.raw:
        target = f"{address}?{_query(fields)}".encode()
        body = draw(st.binary(max_size=200)) if verb != "GET" else b""
        return Request(verb.encode(), target, (*headers, (b"Content-Type", b"application/octet-stream")), body, chunked)
    kind = draw(st.sampled_from(_CONTENT_TYPES)) if draw(st.integers(0, 19)) == 0 else b"application/json"
    text = json.dumps(fields)
    if draw(st.integers(0, 29)) == 0:
        text = json.dumps(text)  # as old clients encode, twice
    return Request(verb.encode(), address.encode(), (*headers, (b"Content-Type", kind)), text.encode(), chunked)


@st.composite
def _junk(draw: st.DrawFn, world: World, routes: list[tuple[str, Route]]) -> Request:
    verb, route = draw(st.sampled_from(routes))
    address = draw(st.sampled_from(route.addresses())).encode()
    if draw(st.booleans()):
        address = (
            draw(st.sampled_from([b"/api/2.0/", b"/api/3.0/mlflow/", b"/ajax-api/2.0/mlflow/runs/", address + b"/"]))
            + quote_from_bytes(draw(st.binary(max_size=60)), safe="/%").encode()
        )
    if draw(st.booleans()):
        noise = draw(st.one_of(st.binary(max_size=60), st.just(b"&" * 3000), st.just(b"run_id=" + b"%ff%00" * 50)))
        address += b"?" + quote_from_bytes(noise, safe="=&%+;").encode()
    method = draw(
        st.sampled_from(
            [verb.encode()] * 4 + [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"FOO"]
        )
    )
    kind = draw(st.sampled_from([b"application/json"] * 8 + list(_CONTENT_TYPES)))
    body = draw(st.one_of(st.sampled_from(_JSON_JUNK), st.binary(max_size=300), _json.map(lambda v: json.dumps(v).encode())))
    headers = (
        (b"Authorization", draw(_authorization(world))),
        (b"Content-Type", kind),
        *draw(st.lists(st.sampled_from(_HEADERS), max_size=2)),
    )
    return Request(method, address, headers, body, draw(st.booleans()))


_json: Strategy = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(ODD_TEXTS), st.sampled_from(ODD_NUMBERS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["key", "value", "name", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def _authorization(world: World) -> Strategy:
    good = [f"Bearer {token}".encode() for token in world.tokens]
    odd = [
        b"",
        b"Bearer",
        b"Bearer \xff",
        b"Basic \xff",
        b"Basic Og==",
        b"Basic " + base64.b64encode(b"a\x00b:x"),
        b"Basic " + base64.b64encode(b"x" * 3000 + b":\xc2\x80"),
        b"Bearer cs_" + b"x" * 4000,
    ]
    return st.sampled_from(good[:1] * 60 + good + odd)


def _fields(world: World, kind: type[Message], verb: str) -> Strategy:
    """Return the fields of a message: most as they should be, some missing, odd, of another type or spelled otherwise."""

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for item in msgspec.structs.fields(kind):
            if not item.required and draw(st.integers(0, 9)) < 4:
                continue
            if draw(st.integers(0, 39)) == 0:
                continue
            value = draw(_json) if draw(st.integers(0, 24)) == 0 else draw(_value(world, item.name, item.type, kind.__name__))
            head, *rest = item.name.split("_")
            name = head + "".join(part.capitalize() for part in rest) if draw(st.integers(0, 19)) == 0 else item.name
            out[name] = value
        if draw(st.integers(0, 19)) == 0:
            out[draw(st.sampled_from(["unknown", "__class__", "run_id", "name", ""]))] = draw(_json)
        return out

    return build()


def _loose(world: World) -> Strategy:
    names = ["run_id", "run_uuid", "path", "metric_key", "max_results", "artifact_file_path", "name", "version"]
    return st.lists(st.sampled_from(names), unique=True, max_size=8).flatmap(
        lambda chosen: st.fixed_dictionaries({name: _text(world, name) for name in chosen})
    )


def _value(world: World, name: str, kind: Any, owner: str) -> Strategy:
    """Return values of a type, as its name suggests them."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        parts = [part for part in get_args(kind) if part is not type(None)]
        return st.one_of(*(_value(world, name, part, owner) for part in parts))
    if get_origin(kind) is list:
        inner = _value(world, name, get_args(kind)[0], owner)
        return st.one_of(
            *[st.lists(inner, min_size=1, max_size=3)] * 9,
            st.builds(lambda item, n: [item] * n, inner, st.sampled_from([0, 101, 1001])),
        )
    if isinstance(kind, type) and issubclass(kind, Message):
        return _fields(world, kind, "POST")
    if kind is bool:
        return st.booleans()
    if kind is int:
        usual = st.integers(1, 30)
        return st.one_of(usual, usual, usual, st.sampled_from(ODD_NUMBERS), st.integers().map(str))
    if kind is float:
        return st.one_of(st.floats(), st.sampled_from(["NaN", "Infinity", "-Infinity", "1e400", True, *ODD_NUMBERS]))
    return _text(world, name)


_LIKE = {
    "run_uuid": "run_id", "run_ids": "run_id", "source_run_id": "run_id", "experiment_ids": "experiment_id", "new_name": "name",
    "metric_key": "key", "experiment_name": "name", "source": "path", "artifact_location": "path", "artifact_file_path": "path",
    "artifact_directory_path": "path", "stages": "stage", "dataset_name": "key", "dataset_digest": "key", "digest": "key", "status": "status",
}  # fmt: skip
_CHOICES = {
    "status": ("RUNNING", "FINISHED", "FAILED", "3", "99", "LOGGED_MODEL_READY", "LOGGED_MODEL_PENDING", "\u00b2"),
    "view_type": ("ACTIVE_ONLY", "ALL", "DELETED_ONLY", "1", "0"),
    "run_view_type": ("ACTIVE_ONLY", "ALL", "DELETED_ONLY", "3", "\u00b2"),
    "stage": ("None", "Staging", "Production", "Archived", "production", "Nowhere"),
    "key": ("loss", "a", "team", "mlflow.runName", "mlflow.parentRunId", "a/b c.d", "p1", "mlflow.prompt.is_prompt",
        "mlflow.log-model.history",
        "mlflow.modelVersions",
),
    "value": ("red", "b", "[", "5", "{}", "[" * 3000, "[1]", "true"),
    "version": ("1", "2", "01", "0", "-1", "99999999999999999999", "\u00b2", "1.0", "9" * 5000),
    "max_results": ("1", "2", "0", "-1", "1000", "99999999999", "\u00b2", "9" * 5000),
    "model_json": ("{}", "[", '{"artifact_path":"m","flavors":{},"run_id":"x","utc_time_created":"x"}', "[" * 100_000, '{"artifact_path":1}'),
}  # fmt: skip


def _text(world: World, name: str) -> Strategy:
    """Return texts, most of them such as a field of this name may hold."""
    if name == "filter":
        return filters(world.everything)
    if name in ("order_by", "field_name"):
        return orders()
    if name == "page_token":
        ours = st.sampled_from(["", "", _TOKENS[0]])
        junk = st.binary(max_size=30).map(lambda noise: base64.b64encode(noise).decode())
        return st.one_of(ours, ours, ours, st.sampled_from(_TOKENS), st.sampled_from(ODD_TEXTS), junk)
    known = world.known.get(name, ()) + world.known.get(_LIKE.get(name, ""), ())
    known += _CHOICES.get(name, ()) + _CHOICES.get(_LIKE.get(name, ""), ())
    free = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=30), st.sampled_from(world.everything))
    if not known:
        return st.one_of(st.sampled_from(["a", "b", "some text"]), free)
    likely = st.sampled_from(known)
    return st.one_of(*[likely] * 7, free)


def _quoted(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="/")


def _query(fields: Mapping[str, Any]) -> str:
    """Return fields as a query string, a repeated one once per item; what is no text is written as JSON."""
    pairs = [(key, item) for key, value in fields.items() for item in (value if isinstance(value, list) else [value])]
    return "&".join(f"{_quoted(key)}={_quoted(item if isinstance(item, str) else json.dumps(item))}" for key, item in pairs)
