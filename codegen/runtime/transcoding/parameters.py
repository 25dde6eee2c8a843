"""Text in paths and queries as values of fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from idiom.v1 import reason_errors as reasons
from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    ScalarType,
)

from codegen.runtime.json_diagnosis import expected, field_error, invalid
from codegen.runtime.json_shape import OPAQUE, JsonValue, element_of
from codegen.runtime.transcoding.matcher import unescaped

Convert: TypeAlias = Callable[[str], JsonValue]
"""Text to ProtoJSON; ValueError if it cannot be."""

MAX_KNOWN = 1024
"""Most names of parameters remembered per route; recursive types have any number of them."""
MAX_LEVELS = 32
"""Deepest parameter name, `a.b.c`."""

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_BOOLS = {"true": True, "false": False}
_UNSCALAR = frozenset(f"google.protobuf.{name}" for name in ("Any", "ListValue", "Struct", "Value"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A leaf of a request that text can fill."""

    path: tuple[DescField, ...]
    repeated: bool
    convert: Convert

    name: str = field(init=False)
    """Proto names, dotted."""

    def __post_init__(self) -> None:
        """Works out the name once: every request asks for it."""
        object.__setattr__(self, "name", dotted(self.path))

    def value(self, text: str) -> JsonValue:
        """ProtoJSON of the text; the codec checks ranges and the like.

        Raises:
            Error: INVALID_FIELD.
        """
        try:
            return self.convert(text)
        except (ValueError, KeyError):
            raise invalid(self.name, f"{expected(element_of(self.path[-1]))} is expected") from None

    def place(self, values: dict[str, JsonValue], text: str) -> None:
        """Puts the text's value where it belongs in the ProtoJSON of a request.

        Raises:
            Error: INVALID_FIELD, also for a second value of a field that takes one.
        """
        for step in self.path[:-1]:
            values = values.setdefault(step.json_name, {})
        key = self.path[-1].json_name
        if self.repeated:
            values.setdefault(key, []).append(self.value(text))
        elif key in values:
            raise invalid(self.name, "several values are given, and it takes one")
        else:
            values[key] = self.value(text)


class Parameters:
    """The query parameters of one route.

    Args:
        description: type of the request.
        taken: fields that path and body fill, by dotted proto name, and from where.
        ignore_unknown: whether parameters without a field are passed over rather than refused.
    """

    def __init__(
        self, description: DescMessage, taken: dict[str, str], *, ignore_unknown: bool = False
    ) -> None:
        self._ignore_unknown = ignore_unknown
        self._description = description
        self._taken = taken
        self._known: dict[str, Parameter] = {}

    def place(self, values: dict[str, JsonValue], query: bytes) -> dict[str, Parameter]:
        """Puts all parameters of a query string into the ProtoJSON of a request.

        Returns:
            Those that are given, by name.

        Raises:
            Error: INVALID_FIELD or UNKNOWN_FIELD.
        """
        given: dict[str, Parameter] = {}
        for name, text in _pairs(query):
            found = self._parameter(name)
            if found is not None:
                found.place(values, text)
                given[found.name] = found
        return given

    def _parameter(self, name: str) -> Parameter | None:
        """The parameter of a name; None if it is unknown and that does not matter."""
        if (known := self._known.get(name)) is not None:
            return known
        made = self._resolved(name)
        if made is not None and len(self._known) < MAX_KNOWN:
            self._known[name] = made
        return made

    def _resolved(self, name: str) -> Parameter | None:
        path = field_path(self._description, name)
        made = parameter(path) if path else None
        if path is None or made is None:
            if self._ignore_unknown:
                return None
            raise field_error(reasons.UNKNOWN_FIELD, name, "there is no such parameter")
        for length in range(len(path) + 1):
            if (source := self._taken.get(dotted(path[:length]))) is not None:
                raise invalid(made.name, f"it is taken from the {source}")
        return made


def field_path(description: DescMessage, name: str) -> tuple[DescField, ...] | None:
    """Fields of a dotted name, in proto or JSON names; None if there is no such path of singular messages."""
    path: list[DescField] = []
    within: DescMessage | None = description
    for part in name.split(".", MAX_LEVELS):
        field = (
            next((each for each in within.fields if part in (each.name, each.json_name)), None)
            if within
            else None
        )
        if field is None:
            return None
        path.append(field)
        within = _message(field)
    return tuple(path)


def parameter(path: tuple[DescField, ...]) -> Parameter | None:
    """How text fills the last field of a path; None if it cannot."""
    field = path[-1]
    convert = None if isinstance(field.value, DescFieldValueMap) else _convert(element_of(field))
    if convert is None:
        return None
    return Parameter(path, isinstance(field.value, DescFieldValueList), convert)


def dotted(path: tuple[DescField, ...]) -> str:
    """Proto names of a path."""
    return ".".join(step.name for step in path)


def _message(field: DescField) -> DescMessage | None:
    value = field.value
    if isinstance(value, DescFieldValueMessage) and value.message.type_name not in OPAQUE:
        return value.message
    return None


def _convert(element: Any) -> Convert | None:
    if isinstance(element, DescMessage):
        return _convert_message(element)
    if isinstance(element, DescEnum):
        return _enum
    if element is ScalarType.BOOL:
        return _BOOLS.__getitem__
    if element in (ScalarType.STRING, ScalarType.BYTES, ScalarType.FLOAT, ScalarType.DOUBLE):
        return str
    return _integer


def _convert_message(element: DescMessage) -> Convert | None:
    name = element.type_name
    if name not in OPAQUE or name in _UNSCALAR:
        return None
    if name == "google.protobuf.BoolValue":
        return _BOOLS.__getitem__
    return _integer if name.endswith(("Int32Value", "Int64Value")) else str


def _enum(text: str) -> JsonValue:
    return int(text) if _INTEGER.fullmatch(text) else text


def _integer(text: str) -> JsonValue:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return text


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a query string (`application/x-www-form-urlencoded`)."""
    raw = query.decode("latin-1")
    encoded = "%" in raw or "+" in raw or not raw.isascii()
    for part in raw.split("&"):
        if part:
            name, _, text = part.partition("=")
            yield (_plain(name, name), _plain(text, name)) if encoded else (name, text)


def _plain(text: str, name: str) -> str:
    plain = unescaped(text.replace("+", " "))
    if plain is None:
        raise invalid(name, "it is not percent-encoded UTF-8")
    return plain
