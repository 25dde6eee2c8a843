"""One HTTP binding as a client sees it: requests out, responses in.

The rules are those of google/api/http.proto: what the path takes comes out of the request first, then the
body, and all that is left is the query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

import orjson
from google.protobuf.message import Message
from idiom.v1 import reason_errors as reasons
from protobuf import DescField, DescFieldValueMessage

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.json_shape import OPAQUE, JsonValue
from codegen.runtime.transcoding.parameters import dotted, field_path, parameter
from codegen.runtime.transcoding.response_field import field_json
from codegen.runtime.transcoding.route import Route, Variable

WHOLE = "*"
_DOTS = frozenset({".", ".."})
_ANY_VERB = "*"


class Written(NamedTuple):
    """A request as HTTP carries it."""

    target: str
    """Path and query."""
    body: bytes | None
    """JSON; None where there is none."""


class ClientBinding:
    """A route with all that is worked out once.

    Raises:
        ValueError: the route names fields that do not exist.
    """

    def __init__(self, route: Route, codec: JsonCodec) -> None:
        self.route = route
        self.verb = "POST" if route.verb == _ANY_VERB else route.verb
        self._request = codec.type(route.method.request.DESCRIPTOR.full_name)
        self._response = codec.type(route.method.response.DESCRIPTOR.full_name)
        fields = self._request.description.fields
        self._fields = {field.json_name: field for field in fields}
        self._body = next((field for field in fields if field.name == route.body), None)
        answered = self._response.description.fields
        self._answer = next((field for field in answered if field.name == route.response_body), None)
        variables = sorted(route.variables, key=lambda variable: variable.start)
        self._variables = tuple((each, self._path(each)) for each in variables)

    def write(self, request: Message) -> Written:
        """The request as path, query and body.

        Raises:
            Error: INVALID_FIELD: a field has a value that cannot stand in a path or in a query.
        """
        told = self._request.to_json(request.SerializeToString())
        if self.route.body == WHOLE and not self._variables:
            return Written(self._target({}), told)
        values: dict[str, JsonValue] = orjson.loads(told)
        path = self._target(values)
        if self.route.body == WHOLE:
            return Written(path, orjson.dumps(values))
        body = None
        if self._body is not None and self._body.json_name in values:
            body = orjson.dumps(values.pop(self._body.json_name))
        query = urlencode(list(self._query(values)), quote_via=quote)
        return Written(f"{path}?{query}" if query else path, body)

    def read(self, body: bytes) -> bytes:
        """The binary form of the response that a body says.

        Raises:
            Error: INTERNAL: it cannot be read.
        """
        try:
            if self._answer is None:
                return self._response.parse(body).to_binary()
            whole = {self._answer.json_name: orjson.loads(body)}
            return self._response.parse_value(whole).to_binary()
        except (Error, ValueError):
            name = self._response.description.type_name
            raise Error(reasons.INTERNAL, f"the answer is no {name}") from None

    def _path(self, variable: Variable) -> tuple[DescField, ...]:
        path = field_path(self._request.description, ".".join(variable.field))
        if path is None:
            name = self._request.description.type_name
            raise ValueError(f"{name} has no field {'.'.join(variable.field)}")
        return path

    def _target(self, values: dict[str, JsonValue]) -> str:
        """The path; what it takes is removed from the values."""
        pattern = self.route.segments
        parts: list[str] = []
        at = 0
        for variable, path in self._variables:
            end = variable.end if variable.end >= 0 else len(pattern) + 1 + variable.end
            parts += (_literal(segment) for segment in pattern[at : variable.start])
            parts.append(_expanded(_text(_taken(values, path)), pattern[variable.start : end], dotted(path)))
            at = end
        parts += (_literal(segment) for segment in pattern[at:])
        custom = f":{_literal(self.route.custom_verb)}" if self.route.custom_verb else ""
        return f"/{'/'.join(parts)}{custom}"

    def _query(self, values: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            yield from _leaves((self._fields[name],), value)


def _taken(values: dict[str, JsonValue], path: tuple[DescField, ...]) -> JsonValue:
    """Removes the value at a path, and returns it: its default if it is absent."""
    for step in path[:-1]:
        values = values.get(step.json_name) or {}
    value = field_json(values, path[-1])
    values.pop(path[-1].json_name, None)
    if value is None:
        raise invalid(dotted(path), "it is not set, and stands in the path")
    return value


def _expanded(text: str, pattern: Sequence[str], name: str) -> str:
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


def _literal(segment: str) -> str:
    """A literal as it stands in a path. For a wildcard that no field fills, any value will do."""
    return {"*": "-", "**": "-"}.get(segment) or quote(segment, safe="-._~!$&'()+,;@")


def _leaves(path: tuple[DescField, ...], value: JsonValue) -> Iterator[tuple[str, str]]:
    """Name and text of every leaf below a field."""
    last = path[-1].value
    if isinstance(last, DescFieldValueMessage) and last.message.type_name not in OPAQUE:
        fields = {field.json_name: field for field in last.message.fields}
        for name, item in value.items():
            yield from _leaves((*path, fields[name]), item)
        return
    if parameter(path) is None:
        raise invalid(dotted(path), "a value of its type cannot stand in a query")
    name = ".".join(step.json_name for step in path)
    for item in value if isinstance(value, list) else [value]:
        yield name, _text(item)


def _text(value: JsonValue) -> str:
    """A scalar of ProtoJSON as text."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
