"""Values of a request as text in paths and queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import orjson
from protobuf import DescField, DescFieldValueMessage

from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.json_shape import OPAQUE, JsonValue
from codegen.runtime.transcoding.parameters import dotted, parameter
from codegen.runtime.transcoding.response_field import field_json

_DOTS = frozenset({".", ".."})


def taken(values: dict[str, JsonValue], path: tuple[DescField, ...]) -> JsonValue:
    """Removes the value at a path, and returns it: its default if it is absent."""
    for step in path[:-1]:
        values = values.get(step.json_name) or {}
    value = field_json(values, path[-1])
    values.pop(path[-1].json_name, None)
    if value is None:
        raise invalid(dotted(path), "it is not set, and stands in the path")
    return value


def expanded(text: str, pattern: Sequence[str], name: str) -> str:
    """A variable's value, percent-encoded; slashes separate segments if it takes several."""
    parts = text.split("/") if pattern != ("*",) else [text]
    if not _fits(parts, pattern):
        raise invalid(name, f"'{text}' does not fit '{'/'.join(pattern)}' in the path")
    if not _DOTS.isdisjoint(parts):
        raise invalid(
            name, f"'{text}' cannot stand in a path, where '.' and '..' have a meaning of their own"
        )
    return "/".join(quote(part, safe="") for part in parts)


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if "**" not in pattern:
        return len(parts) == len(pattern) and all(map(_matches, parts, pattern))
    at = pattern.index("**")
    behind = len(pattern) - at - 1
    ends = [*parts[:at], *parts[len(parts) - behind :]]
    return len(parts) >= at + behind and all(map(_matches, ends, [*pattern[:at], *pattern[at + 1 :]]))


def _matches(part: str, segment: str) -> bool:
    return bool(part) if segment == "*" else part == segment


def literal(segment: str) -> str:
    """A literal as it stands in a path. For a wildcard that no field fills, any value will do."""
    return {"*": "-", "**": "-"}.get(segment) or quote(segment, safe="-._~!$&'()+,;@")


def leaves(path: tuple[DescField, ...], value: JsonValue) -> Iterator[tuple[str, str]]:
    """Name and text of every leaf below a field."""
    last = path[-1].value
    if isinstance(last, DescFieldValueMessage) and last.message.type_name not in OPAQUE:
        fields = {field.json_name: field for field in last.message.fields}
        for name, item in value.items():
            yield from leaves((*path, fields[name]), item)
        return
    if parameter(path) is None:
        raise invalid(dotted(path), "a value of its type cannot stand in a query")
    name = ".".join(step.json_name for step in path)
    for item in value if isinstance(value, list) else [value]:
        yield name, text_of(item)


def text_of(value: JsonValue) -> str:
    """A scalar of ProtoJSON as text."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
