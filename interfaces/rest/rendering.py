"""How answers are written and described: frozen dataclasses go out as they are, and give the OpenAPI schema as well."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Generic, TypeVar, get_args, get_origin

import msgspec
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework.renderers import BaseRenderer

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def encode(data: Any) -> bytes:
    """Return the JSON of dataclasses, structs and plain values; times as RFC 3339."""
    return _encoder.encode(data)


class Renderer(BaseRenderer):
    """JSON from what queries return, without a serializer between them: a list of 200 rows is one call."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else encode(data)


@dataclass(frozen=True)
class Listing(Generic[T]):
    """One page of a list. ``next`` and ``previous`` are addresses to follow as they are, or null at an end."""

    results: list[T]
    next: str | None = None
    previous: str | None = None


class _DataclassSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describe a dataclass or struct by the JSON Schema msgspec has for it; OpenAPI 3.1 speaks the same JSON Schema."""

    @classmethod
    def _matches(cls, target: Any) -> bool:
        kind = get_origin(target) or target
        if kind is list:
            return cls._matches(get_args(target)[0]) if get_args(target) else False
        return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, msgspec.Struct))

    def get_name(self, auto_schema: Any, direction: Any) -> str:
        return _name(self.target)

    def get_identity(self, auto_schema: Any, direction: Any) -> str:
        return _name(self.target)

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        (reference,), components = msgspec.json.schema_components([self.target], ref_template="#/components/schemas/{name}")
        for name, schema in components.items():
            # What is written always has every member, though a maker of the class may leave those with defaults out.
            if "properties" in schema and name not in _WITH_OPTIONAL_MEMBERS:
                schema["required"] = sorted(schema["properties"])
            for member, described in schema.get("properties", {}).items():
                if member.endswith("_at") or member in _TIMES:
                    _mark_time(described)
        own = reference["$ref"].rpartition("/")[2] if "$ref" in reference else ""
        renamed = {name: _PLAIN.sub("", name) if name != own else _name(self.target) for name in components}
        for name, schema in components.items():
            if name != own:
                component = ResolvedComponent(  # type: ignore[no-untyped-call]
                    name=renamed[name], type=ResolvedComponent.SCHEMA, object=renamed[name], schema=_rename(schema, renamed)
                )
                auto_schema.registry.register_on_missing(component)
        return dict(_rename(components[own], renamed) if own else _rename(reference, renamed))


_PLAIN = re.compile(r"\W")
# msgspec says "string" of a time, since a naive one would be no RFC 3339 date-time; ours are all aware.
_TIMES = frozenset({"at", "valid_from", "valid_to"})
_WITH_OPTIONAL_MEMBERS = frozenset({"Problem", "FieldError"})


def _mark_time(schema: dict[str, Any]) -> None:
    for choice in (schema, *schema.get("anyOf", ())):
        if choice.get("type") == "string":
            choice["format"] = "date-time"


def _name(target: Any) -> str:
    arguments = "".join(_name(argument) for argument in get_args(target))
    kind = get_origin(target) or target
    return f"{arguments}{kind.__name__.capitalize() if kind is list else kind.__name__}"


def _rename(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, dict):
        return {
            key: f"#/components/schemas/{names.get(value.rpartition('/')[2], value.rpartition('/')[2])}"
            if key == "$ref"
            else _rename(value, names)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_rename(item, names) for item in schema]
    return schema
