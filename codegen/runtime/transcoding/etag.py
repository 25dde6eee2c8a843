"""Entity tags: versions that a schema names, as HTTP compares them (RFC 9110, sections 8.8.3 and 13)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from idiom.v1 import reason_errors as reasons
from protobuf import DescField, DescMessage, Message

from codegen.runtime.codec import MessageJson
from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.json_shape import JsonValue
from codegen.runtime.transcoding.parameters import Parameter, field_path, parameter

BINARY_FORM = "pb"
"""Variant of representations that are not JSON."""

_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%;')
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t,]*|\Z)')
_BLANK = re.compile(r"[ \t,]*")


class Tag(NamedTuple):
    """One entity tag of a client, without what tells representations of the same version apart."""

    weak: bool
    value: str | None
    """The version; None if no version is written like that."""
    binary: bool
    """Whether it is one of the binary form, in whatever coding."""


class Tags:
    """The versions of one method.

    Args:
        response: its type.
        etag: response field whose value is the version, dotted; or empty.
        request: its type.
        if_match: request field that If-Match fills, dotted; or empty.

    Raises:
        ValueError: there is no such field, or text cannot fill it.
    """

    def __init__(self, response: MessageJson, etag: str, request: MessageJson, if_match: str) -> None:
        self._request = request
        self._response = response
        self._etag = _path(response.description, etag) if etag else ()
        self._if_match = _parameter(request.description, if_match) if if_match else None

    def fill(self, request: Message[Any], if_match: str) -> None:
        """Puts the version that If-Match names into the request; `*` names none.

        Raises:
            Error: INVALID_FIELD: it is no list of tags, names several versions, or another one than the
                request. PRECONDITION_FAILED: it names none that can be strongly equal to any.
        """
        if self._if_match is None or if_match.strip() == "*":
            return
        versions = {tag.value for tag in _parsed(if_match) if not tag.weak and tag.value is not None}
        if len(versions) > 1:
            raise invalid("if-match", "one version is expected")
        if not versions:
            raise _failed()
        self._set(request, self._if_match, versions.pop())

    def version(self, data: bytes) -> str:
        """The version of an answer in binary form; empty if it has none, which a default value means too."""
        if not self._etag:
            return ""
        value: Any = self._response.parse_binary(data)
        for step in self._etag:
            value = value[step] if value is not None else None
        return _text(value) if value else ""

    def _set(self, request: Message[Any], target: Parameter, version: str) -> None:
        values: dict[str, JsonValue] = {}
        try:
            target.place(values, version)
            given: Any = self._request.parse_value(values)
        except Error:
            raise _failed() from None
        message: Any = request
        for step in target.path[:-1]:
            given = given[step]
            if message[step] is None:
                message[step] = type(given)()
            message = message[step]
        field = target.path[-1]
        if not given[field]:
            raise _failed()  # a default would ask for no version at all
        if message.has_field(field.name) and message[field] != given[field]:
            raise invalid(target.name, "it contradicts If-Match")
        message[field] = given[field]


def header_of(version: str, variant: str) -> bytes:
    """The tag of a version.

    Args:
        version: as the schema has it.
        variant: tells representations of the same version apart, as a strong tag must: `gzip`, `pb-gzip`, or
            nothing. Of a binary form it begins with `BINARY_FORM`.
    """
    suffix = f";{variant}" if variant else ""
    return f'"{quote(version, safe=_SAFE)}{suffix}"'.encode()


def is_current(if_none_match: str, version: str, *, binary: bool = False) -> bool:
    """Whether a client has this version already (weak comparison), in whatever coding.

    A tag of the other form is another's: a cache would give its binary form to who asks for JSON. What cannot
    be read is passed over.
    """
    if if_none_match.strip() == "*":
        return True
    try:
        return any(tag.value == version and tag.binary is binary for tag in _parsed(if_none_match))
    except Error:
        return False


def check_match(if_match: str, version: str) -> None:
    """Refuses an answer of another version than those that a client names (strong comparison).

    Raises:
        Error: PRECONDITION_FAILED, or INVALID_FIELD if it is no list of tags.
    """
    if if_match.strip() != "*" and not any(
        not tag.weak and tag.value == version for tag in _parsed(if_match)
    ):
        raise _failed()


def _parsed(header: str) -> Sequence[Tag]:
    return list(_tags(header))


def _tags(header: str) -> Iterator[Tag]:
    text = header.strip(" \t")
    place = _blank(text, 0)
    while place < len(text):
        match = _TAG.match(text, place)
        if match is None:
            raise invalid("if-match", "entity tags in quotes are expected")
        version, _, variant = match[2].partition(";")
        yield Tag(match[1] is not None, _version(version), variant.startswith(BINARY_FORM))
        place = match.end()


def _blank(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _version(quoted: str) -> str | None:
    try:
        return unquote_to_bytes(quoted.encode("latin-1")).decode() or None
    except UnicodeDecodeError:
        return None


def _path(description: DescMessage, name: str) -> tuple[DescField, ...]:
    path = field_path(description, name)
    if path is None:
        raise ValueError(f"{description.type_name} has no field {name}")
    return path


def _parameter(description: DescMessage, name: str) -> Parameter:
    made = parameter(_path(description, name))
    if made is None or made.repeated:
        raise ValueError(f"{name} of {description.type_name} cannot be filled from a header")
    return made


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _failed() -> Error:
    return Error(reasons.PRECONDITION_FAILED, "it is not the version that If-Match names")
