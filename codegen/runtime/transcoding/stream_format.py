"""How the messages of a stream are written: lines, events, or one array."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from idiom.v1 import reason_errors as reasons
from protobuf import Message

from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.transcoding.binding import Binding
from codegen.runtime.transcoding.etag import Tags
from codegen.runtime.transcoding.http_error import body_of
from codegen.runtime.transcoding.negotiation import JSON, liked
from codegen.runtime.transcoding.parameters import field_path, parameter
from codegen.runtime.transcoding.request_stream import LINES

EVENTS = "text/event-stream"
RETRY_MILLISECONDS = 3000
"""After how long an event source connects again; said once."""

_OFFERS = (LINES, frozenset({EVENTS}), frozenset({JSON}))
_ARRAY = 2
_BREAK = re.compile(rb"\r\n|\r|\n")


class Format(Protocol):
    """What a stream consists of; each part is sent as it is made."""

    content_type: str
    begin: bytes
    idle: ClassVar[bytes]
    """Sent now and then while nothing happens; empty for nothing."""

    def item(self, data: bytes) -> bytes:
        """A message, given in binary form."""
        ...

    def error(self, error: Error) -> bytes:
        """What ends a stream that fails."""
        ...

    def end(self) -> bytes:
        """What ends a stream that does not fail."""
        ...


class Lines:
    """A message a line (NDJSON)."""

    begin = b""
    idle: ClassVar[bytes] = b""

    def __init__(self, binding: Binding, content_type: str) -> None:
        self._binding = binding
        self.content_type = content_type

    def item(self, data: bytes) -> bytes:
        """The message's line."""
        return self._binding.encode(data, binary=False)[0] + b"\n"

    def error(self, error: Error) -> bytes:
        """The last line."""
        return stated(error) + b"\n"

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Array:
    """One JSON array."""

    content_type = JSON
    begin = b"["
    idle: ClassVar[bytes] = b""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._comma = b""

    def item(self, data: bytes) -> bytes:
        """An element."""
        return self._element(self._binding.encode(data, binary=False)[0])

    def error(self, error: Error) -> bytes:
        """The last element and the end."""
        return self._element(stated(error)) + b"]"

    def end(self) -> bytes:
        """The end of the array."""
        return b"]"

    def _element(self, text: bytes) -> bytes:
        comma, self._comma = self._comma, b","
        return comma + text


class Events:
    """Server-Sent Events (HTML, section 9.2). An event is named only if it is an error: `error`."""

    content_type = EVENTS
    begin = b"retry: %d\n\n" % RETRY_MILLISECONDS
    idle: ClassVar[bytes] = b":\n\n"

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        named = binding.method.http.sse_id
        self._id: Callable[[bytes], str] | None = (
            Tags(binding.response, named, binding.request, "").version if named else None
        )

    def item(self, data: bytes) -> bytes:
        """An event, with its id if the schema has one and it is no default."""
        text = self._binding.encode(data, binary=False)[0]
        return (self._id_line(self._id(data)) if self._id else b"") + _data(text)

    def error(self, error: Error) -> bytes:
        """The last event."""
        return b"event: error\n" + _data(body_of(error))

    def end(self) -> bytes:
        """Nothing."""
        return b""

    @staticmethod
    def _id_line(name: str) -> bytes:
        fits = name and not any(sign in name for sign in "\0\r\n")
        return f"id: {name}\n".encode() if fits else b""


def format_of(binding: Binding, accept: str | None) -> Format:
    """The format that a client likes best; one array for whoever does not say.

    Raises:
        Error: NOT_ACCEPTABLE.
    """
    if accept is None or not accept.strip():
        return Array(binding)
    match liked(accept, _OFFERS, _ARRAY):
        case 0:
            named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
            return Lines(binding, next((each for each in named if each in LINES), "application/x-ndjson"))
        case 1:
            return Events(binding)
        case 2:
            return Array(binding)
    offered = f"{JSON}, application/x-ndjson or {EVENTS}"
    raise Error(reasons.NOT_ACCEPTABLE, f"a stream of messages is {offered}")


def fill_cursor(binding: Binding, request: Message[Any], event: str) -> None:
    """Puts the id of the last event that a client has seen where the schema wants it, whatever is there.

    Raises:
        Error: INVALID_FIELD: it is no such id.
    """
    path = field_path(binding.request.description, binding.method.http.sse_cursor)
    target = parameter(path) if path else None
    if target is None or not event:
        return
    values: dict[str, Any] = {}
    try:
        # A header is latin-1 here, and what event sources send is UTF-8.
        target.place(values, event.encode("latin-1").decode())
        given: Any = binding.request.parse_value(values)
    except (Error, UnicodeError):
        raise invalid("last-event-id", "it is not the id of an event of this stream") from None
    into: Any = request
    for step in target.path[:-1]:
        given = given[step]
        if into[step] is None:
            into[step] = type(given)()
        into = into[step]
    into[target.path[-1]] = given[target.path[-1]]


def stated(error: Error) -> bytes:
    """An error among messages: `{"error": google.rpc.Status}`."""
    return b'{"error":' + body_of(error) + b"}"


def _data(text: bytes) -> bytes:
    lines = _BREAK.split(text) if b"\n" in text or b"\r" in text else (text,)
    return b"".join(b"data: %b\n" % line for line in lines) + b"\n"
