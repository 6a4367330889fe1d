"""Read a request into a typed message once, by the protocol's conventions, and write answers by the same.

A message is a frozen Struct; its integers are ``I64``. A field without a default is required: missing, null and "" are all refused. A field that may be
absent is ``... | None = None``; None means it was not set, so "" and 0 can be told from absent. Fields may also be spelled in
camelCase, but for those that are required: like MLflow's own server, this one looks for them under their own name only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

import msgspec
from django.http import HttpRequest, QueryDict

from core.errors import Invalid

MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_CONVERTED_BYTES = 16 * 1024 * 1024  # to convert a million small values takes seconds
_MOST = (1 << 63) - 1
ONE_STATEMENT = msgspec.Meta(max_length=20_000)  # of a list of things that are looked for at once
Ids = Annotated[list[str], ONE_STATEMENT]
I64 = Annotated[int, msgspec.Meta(ge=-_MOST - 1, le=_MOST)]  # the protocol's integers


class Message(msgspec.Struct, frozen=True):
    """A request. Subclasses name fields as the protocol does, in snake_case.

    deleted_by_query: whether any client may send it as the query string of a DELETE, as on the routes only Databricks has.
    plainly_named: fields that are known in snake_case only although they may be absent, since another can stand for them.
    """

    deleted_by_query: ClassVar[bool] = False
    plainly_named: ClassVar[frozenset[str]] = frozenset()


class KeyValue(Message, frozen=True):
    """A tag or parameter; a value that was not given counts as empty."""

    key: str
    value: str = ""


class Nothing(Message, frozen=True):
    """A request without fields."""


M = TypeVar("M", bound=Message)


def read(request: HttpRequest, kind: type[M]) -> M:
    """Return the request as this message: the query string of a GET, else the JSON body (or a Databricks DELETE's query string).

    Raises Invalid for anything the protocol does not allow.
    """
    if request.method == "GET":
        return from_query(request.GET, kind)
    body = body_of(request)
    if request.method == "DELETE" and not body.strip() and _deletes_by_query(request, kind):
        return from_query(request.GET, kind)
    if (
        request.method in ("POST", "PUT")
        and request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != "application/json"
    ):
        raise Invalid("The body must be JSON, sent with `Content-Type: application/json`.")
    return from_json(body, kind)


def _deletes_by_query(request: HttpRequest, kind: type[Message]) -> bool:
    # MLflow's server looks for a DELETE's arguments in its body only; the clients of Databricks write them into the query string.
    return kind.deleted_by_query or "databricks-sdk" in request.META.get("HTTP_USER_AGENT", "")


def body_of(request: HttpRequest, limit: int = MAX_JSON_BYTES) -> bytes:
    """Return the whole body, also a chunked one. Raises Invalid when it is longer than limit bytes."""
    length = request.META.get("CONTENT_LENGTH") or ""
    chunked = "HTTP_TRANSFER_ENCODING" in request.META and not length
    if length.isdigit() and int(length) > limit:
        raise Invalid(f"The body is longer than the {limit} bytes allowed here.")
    source: Any = request.META.get("wsgi.input") if chunked else request
    body: bytes = source.read(limit + 1) if source is not None else b""
    if len(body) > limit:
        raise Invalid(f"The body is longer than the {limit} bytes allowed here.")
    return body


def from_json(body: bytes, kind: type[M]) -> M:
    """Return the message in a JSON text in any encoding of Unicode; an empty body and ``null`` count as ``{}``. Raises Invalid."""
    try:
        if not body.isascii() or b"\x00" in body[:4]:
            body = body.decode(json.detect_encoding(body)).encode()
        return _from_json(body, kind)
    except UnicodeDecodeError:
        raise Invalid("The body is not JSON.") from None
    except RecursionError:
        raise Invalid("The body is nested too deeply.") from None


def _from_json(body: bytes, kind: type[M]) -> M:
    shape = _shape(kind)
    if not shape.flags and not shape.camel.search(body) and b"\\u0000" not in body:
        try:
            message: M = shape.decoder.decode(body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # what the quick way does not read, the thorough one explains
        else:
            _check(message)
            return message
    if len(body) > MAX_CONVERTED_BYTES:
        raise Invalid(
            f"Of more than {MAX_CONVERTED_BYTES} bytes a body must be JSON that names each field as the protocol does and gives it its own type."
        )
    try:
        value = _value(body or b"{}")
        if isinstance(value, str):  # old clients encode twice
            value = _value(value)
    except ValueError:
        raise Invalid("The body is not JSON.") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")
    if b"\\u0000" in body:  # a look at each of a million texts takes longer than to read them
        refuse_nul(value)
    return _convert(value, kind)


def _value(text: bytes | str) -> Any:
    """Return what a JSON text holds, NaN and the infinities too, as Python's own reader has it. Raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = json.loads(text)
        msgspec.json.encode(value)  # refuses the half of a surrogate pair, which no text can hold
        return value


def from_query(query: QueryDict, kind: type[M]) -> M:
    """Return the message in a query string, where fields have their own names and a repeated one repeats its key. Raises Invalid."""
    shape = _shape(kind)
    values: dict[str, Any] = {}
    for key in query:
        if shape.names.get(key) != key:
            continue
        values[key] = query.getlist(key) if key in shape.repeated else query.get(key)
        if key in shape.flags:
            values[key] = {"true": True, "false": False}.get(values[key].lower())
            if values[key] is None:
                raise Invalid(f"{key!r} must be true or false.")
    refuse_nul(values)
    return _convert(values, kind)


def choice(value: str | int | None, names: Sequence[str], field: str, first: int = 1) -> str | None:
    """Return an enum's name, given by name or number (counted from ``first``); None stays None. Raises Invalid."""
    if value is None:
        return None
    if isinstance(value, str):
        if value in names:
            return value
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise Invalid(f"{value!r} is no value of {field!r}; use one of {', '.join(names)}.")
    at = int(value) - first
    if not 0 <= at < len(names):
        raise Invalid(f"{value!r} is no value of {field!r}; use one of {', '.join(names)}.")
    return names[at]


def number(value: float) -> float | str:
    """Return a double as the protocol writes it: NaN and the infinities are text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def present(**fields: Any) -> dict[str, Any]:
    """Return the fields that were set: None and empty lists are left out, 0 and "" are not."""
    return {name: value for name, value in fields.items() if value is not None and value != []}


def milliseconds(at: datetime) -> int:
    """Return a moment as the protocol writes it."""
    return int(at.timestamp() * 1000)


def row_id(text: str) -> int:
    """Return the id that a text names, 0 if it is none that a row could have."""
    number = int(text) if text.isdecimal() and len(text) < 20 else 0
    return number if number <= _MOST else 0


def pairs(tags: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return tags or parameters as the protocol lists them."""
    return [{"key": key, "value": value} for key, value in (tags.items() if isinstance(tags, Mapping) else tags)]


def mapping(items: Iterable[KeyValue] | None) -> dict[str, str]:
    """Return a list of tags as a dictionary; the last of equal keys wins."""
    return {item.key: item.value for item in items or ()}


def distinct(items: Sequence[KeyValue] | None, code: str = "BAD_REQUEST") -> dict[str, str]:
    """Return tags or parameters as a dictionary. Raises Invalid if a key is given twice, since neither value has the better right."""
    found = mapping(items)
    if len(found) < len(items or ()):
        raise Invalid("A key is given twice in one request.", code=code)
    return found


def encoded_lists(**lists: str | None) -> dict[str, msgspec.Raw]:
    """Return lists that the database made as JSON, without the empty ones."""
    return {name: msgspec.Raw(text.encode()) for name, text in lists.items() if text and text != "[]"}


def refuse_nul(value: object) -> None:
    """Refuse the NUL character, which PostgreSQL cannot store, wherever it is. Raises Invalid."""
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid("A text holds the NUL character.")
    elif isinstance(value, dict):
        for item in value.values():
            refuse_nul(item)
    elif isinstance(value, list):
        for item in value:
            refuse_nul(item)


class _Shape(msgspec.Struct, frozen=True):
    decoder: Any
    names: dict[str, str]  # both spellings -> ours
    required: tuple[str, ...]
    plain: frozenset[str]  # known by our spelling only
    repeated: frozenset[str]
    flags: frozenset[str]
    numbers: frozenset[str]
    nested: dict[str, type[Message]]
    camel: re.Pattern[bytes]


@cache
def _shape(kind: type[Message]) -> _Shape:
    names: dict[str, str] = {}
    nested: dict[str, type[Message]] = {}
    required, repeated, flags, numbers, camel = [], set(), set(), set(), set()
    for item in msgspec.structs.fields(kind):
        names[item.name] = names[_camel(item.name)] = item.name
        if _camel(item.name) != item.name:
            camel.add(_camel(item.name))
        if item.required:
            required.append(item.name)
        for part in map(_bare, (item.type, *get_args(item.type))):
            inner = part
            if get_origin(part) is list:
                repeated.add(item.name)
                inner = get_args(part)[0]
            if part is bool:
                flags.add(item.name)
            if part is float:
                numbers.add(item.name)
            if isinstance(inner, type) and issubclass(inner, Message):
                nested[item.name] = inner
                camel |= {name for name, own in _shape(inner).names.items() if name != own} | _camel_below(inner)
    pattern = b"|".join(b'"' + re.escape(name.encode()) + b'"' for name in sorted(camel)) or b"(?!)"
    return _Shape(
        decoder=msgspec.json.Decoder(kind, strict=False),
        names=names,
        required=tuple(required),
        plain=kind.plainly_named.union(required),
        repeated=frozenset(repeated),
        flags=frozenset(flags),
        numbers=frozenset(numbers),
        nested=nested,
        camel=re.compile(pattern),
    )


def _bare(kind: Any) -> Any:
    """Return a type without what ``Annotated`` says of it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _camel_below(kind: type[Message]) -> set[str]:
    found: set[str] = set()
    for inner in _shape(kind).nested.values():
        found |= {name for name, own in _shape(inner).names.items() if name != own} | _camel_below(inner)
    return found


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _convert(values: dict[str, Any], kind: type[M]) -> M:
    try:
        plain = _shape(kind).plain
        if values.get("run_uuid"):  # the old name of a run's id, beside which MLflow's server reads the new one in both spellings
            plain = plain - {"run_id"}
        message = msgspec.convert(_normal(values, kind, plain), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(_sentence(str(error))) from None
    _check(message)
    return message


def _normal(values: dict[str, Any], kind: type[Message], plain: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Name fields our way, leave out nulls and what is unknown, and read truth values where a number is meant, but not the reverse."""
    shape = _shape(kind)
    out: dict[str, Any] = {}
    for key, value in values.items():
        name = shape.names.get(key)
        if name is None:
            continue
        if name in out or (name != key and name in values):
            raise Invalid(f"The field {name!r} is spelled two ways; send it once.")
        if value is None or (name != key and name in plain):
            continue
        if name in shape.flags and not isinstance(value, bool):
            raise Invalid(f"{name!r} must be true or false.")
        if name in shape.nested:
            inner = shape.nested[name]
            if isinstance(value, dict):
                value = _normal(value, inner)
            elif isinstance(value, list):
                value = [_normal(item, inner) if isinstance(item, dict) else item for item in value]
        elif name in shape.numbers and isinstance(value, bool):
            value = float(value)
        out[name] = value
    for name in shape.required:
        if name not in out:
            raise Invalid(f"Missing value for required parameter {name!r}.")
    return out


def _check(message: Message) -> None:
    """Refuse required texts that are empty, which count as missing. Raises Invalid."""
    for name in _shape(type(message)).required:
        if getattr(message, name) == "":
            raise Invalid(f"Missing value for required parameter {name!r}.")


_MISSING = re.compile(r"missing required field `(\w+)`")


def _sentence(text: str) -> str:
    if found := _MISSING.search(text):
        return f"Missing value for required parameter {found[1]!r}."
    what, _, where = text.partition(" - at ")
    return f"Invalid value for parameter {where.strip('`').removeprefix('$.') or 'body'!r}: {what[:1].lower()}{what[1:]}."
