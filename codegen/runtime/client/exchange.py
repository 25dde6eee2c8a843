"""One call over HTTP without its I/O: headers of the request, and what comes of the bytes of the answer.

Clients of both kinds feed an `Answering` with the bytes of a body as they come, and take what it gives.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import orjson
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.channel import Answer, HttpOptions
from codegen.runtime.client.http_status import Refusals, is_status
from codegen.runtime.client.request import NDJSON, ClientBinding, Written
from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.transcoding.compression import decoder, encoded
from codegen.runtime.transcoding.json_items import JsonItems
from codegen.runtime.transcoding.negotiation import JSON

Headers: TypeAlias = dict[str, str]

MAX_REFUSAL_BYTES: Final = 1 << 20
"""Most bytes of a refusal that are read; of a longer one only the status counts."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_MANY: Final = frozenset({NDJSON, "application/jsonl", JSON})
_MAY_FAIL: Final = re.compile(rb'\{\s*"error"\s*:')
_ERROR_INFO: Final = "google.rpc.ErrorInfo"
_NO_CONTENT: Final = (204, 205)
_FRAMED: Final = frozenset({"content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins."""

    status: int
    headers: Mapping[str, str]
    """Lower-case."""

    @property
    def ok(self) -> bool:
        """Whether it is no refusal."""
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110, section 15.3

    @property
    def media(self) -> str:
        """Type of the content, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def tell(self, answer: Answer | None) -> None:
        """Tells the caller."""
        if answer is not None:
            answer.status, answer.headers = self.status, self.headers


class Answering(Protocol):
    """Reads one answer."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Responses in binary form that the next bytes of the body complete. Bounded whatever comes.

        Raises:
            Error: what the server says instead, INTERNAL for what is no answer, TOO_LARGE.
        """
        ...

    def finish(self) -> Iterator[bytes]:
        """The rest, now that the body has ended; raises as `feed` does."""
        ...


def request_headers(
    binding: ClientBinding, options: HttpOptions, settings: HttpClientSettings, content_type: str = ""
) -> Headers:
    """Headers of a call but for its deadline and its token.

    Raises:
        Error: INVALID_FIELD: the caller gives some that HTTP cannot carry.
    """
    headers = {"accept": binding.accept, "accept-encoding": "gzip, br"}
    if not settings.accepts_compressed:
        headers["accept-encoding"] = "identity"
    headers |= given_headers(options)
    if content_type:
        headers["content-type"] = _checked("content-type", content_type)
    return headers


def given_headers(options: HttpOptions) -> Headers:
    """What the caller wants sent."""
    headers = {name.lower(): _header(name, value) for name, value in options.headers.items()}
    for name in _FRAMED & headers.keys():
        raise invalid(name, "it is said by who sends")
    if options.if_none_match:
        headers["if-none-match"] = _checked("if-none-match", options.if_none_match)
    return headers


def attempt_headers(headers: Headers, token: str, left: float | None) -> Headers:
    """Headers of an attempt.

    Args:
        headers: of the call.
        token: bearer token; empty without one.
        left: seconds until the call ends; None if it may last.

    Raises:
        Error: INVALID_FIELD: the token is none, which may be the end of its line.
    """
    found = dict(headers)
    if token:
        found["authorization"] = _checked("authorization", f"Bearer {token}")
    if left is not None:
        found["x-request-timeout"] = f"{left:.3f}"
    return found


def compressed(written: Written, headers: Headers, settings: HttpClientSettings) -> bytes | None:
    """The body as it is sent; its coding is put into the headers."""
    body, least = written.body, settings.compressed_from
    if body is None or not least or len(body) < least or written.content_type != JSON:
        return body
    headers["content-encoding"] = "gzip"
    return encoded("gzip", body)


def answering(binding: ClientBinding, head: Head, refusals: Refusals, most: int) -> Answering:
    """What reads an answer that begins so.

    Args:
        binding: that was called.
        head: as it came.
        refusals: reads errors.
        most: bytes of one response in the form that HTTP carries, decompressed.

    Raises:
        Error: INTERNAL: it is compressed in a way that was not asked for, or of another type.
    """
    content = _Content(head)
    if not head.ok:
        return _Refused(head, content, refusals)
    if not binding.route.method.server_streaming:
        return _Whole(binding, head, content, most)
    if binding.reads_raw:
        return _Parts(binding, head, content)
    if head.media not in _MANY:
        raise _strange(f"the answer is {head.media or 'of no type'}, and {NDJSON} was asked for")
    return _Items(binding, head, content, refusals, most)


def is_failure(value: object, *, ambiguous: bool) -> bool:
    """Whether an item of a stream says that it has failed: `{"error": google.rpc.Status}`.

    Args:
        value: the item, parsed.
        ambiguous: whether a response may have a member of that name too. An error is told by the ErrorInfo
            among its details then, which our servers never leave out.
    """
    if not isinstance(value, dict) or value.keys() != {"error"}:
        return False
    if not ambiguous:
        return True
    details = value["error"].get("details") if is_status(value["error"]) else None
    first = details[0] if isinstance(details, list) and details else None
    return isinstance(first, dict) and str(first.get("@type")).endswith(_ERROR_INFO)


def stated_error(status: Any, head: Head, refusals: Refusals) -> Error:
    """The error of an item that is a failure."""
    if not is_status(status):
        return _strange("the answer ends with an error that cannot be read")
    error = refusals.told(status)
    error.status, error.request_id = head.status, head.headers.get("x-request-id", "")
    return error


class _Content:
    """A body as it was before it was compressed."""

    def __init__(self, head: Head) -> None:
        try:
            self._decoder = decoder(head.headers.get("content-encoding"))
        except Error as error:
            raise _strange("the answer is compressed in a way that was not asked for") from error

    def feed(self, data: bytes) -> Iterator[bytes]:
        """In parts of at most 64 KiB, or of what came."""
        if self._decoder is None:
            yield data
            return
        try:
            yield from self._decoder.decode(data)
        except Error as error:
            raise _strange("the answer cannot be decompressed") from error

    def finish(self) -> None:
        """Nothing more comes."""
        try:
            if self._decoder is not None:
                self._decoder.finish()
        except Error as error:
            raise _strange("the answer cannot be decompressed") from error


class _Refused:
    """The answer is an error."""

    def __init__(self, head: Head, content: _Content, refusals: Refusals) -> None:
        self._head = head
        self._content = content
        self._refusals = refusals
        self._body = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for part in self._content.feed(data):
            self._body += part
            if len(self._body) > MAX_REFUSAL_BYTES:
                raise self._refusals.of(self._head.status, self._head.headers, b"")
        yield from ()

    def finish(self) -> Iterator[bytes]:
        raise self._refusals.of(self._head.status, self._head.headers, bytes(self._body))


class _Whole:
    """The answer is one message."""

    def __init__(self, binding: ClientBinding, head: Head, content: _Content, most: int) -> None:
        self._binding = binding
        self._head = head
        self._content = content
        self._most = most
        self._body = bytearray()
        if not binding.reads_raw and not _is_json(head):
            raise _strange(f"the answer is {head.media}, and {JSON} was asked for")

    def feed(self, data: bytes) -> Iterator[bytes]:
        for part in self._content.feed(data):
            self._body += part
            if len(self._body) > self._most:
                raise _too_large(self._most)
        yield from ()

    def finish(self) -> Iterator[bytes]:
        if self._body or not self._empty():
            self._content.finish()
            yield self._binding.read(bytes(self._body), self._head.headers.get("content-type", ""))
        else:
            yield b""

    def _empty(self) -> bool:
        """Whether nothing is what was to be expected."""
        return self._head.status in _NO_CONTENT or self._binding.verb == "HEAD"


class _Parts:
    """The answer is raw content in parts, which need not be those that the service made."""

    def __init__(self, binding: ClientBinding, head: Head, content: _Content) -> None:
        self._binding = binding
        self._type = head.headers.get("content-type", "")
        self._content = content
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for part in self._content.feed(data):
            if part:
                self._began = True
                yield self._binding.read(part, self._type)

    def finish(self) -> Iterator[bytes]:
        if self._began:
            self._content.finish()
        else:
            yield self._binding.read(b"", self._type)  # content without a byte has a type all the same


class _Items:
    """The answer is many messages: a line each, or elements of one array."""

    def __init__(
        self, binding: ClientBinding, head: Head, content: _Content, refusals: Refusals, most: int
    ) -> None:
        self._binding = binding
        self._head = head
        self._content = content
        self._refusals = refusals
        self._items = JsonItems(most, array=head.media == JSON)
        self._last = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        for part in self._content.feed(data):
            self._last = part[-1:] or self._last
            for item in self._found(self._items.feed(part)):
                yield self._read(item)

    def finish(self) -> Iterator[bytes]:
        if self._last:
            self._content.finish()
        for item in self._found(self._items.finish()):
            if self._last != b"\n" and _FRAMED.isdisjoint(self._head.headers):
                raise Error(reasons.DEPENDENCY_UNAVAILABLE, "the connection was lost within a message")
            yield self._read(item)

    def _found(self, items: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from items
        except Error as error:
            if error.reason is reasons.TOO_LARGE:
                raise
            raise _strange(f"the answer cannot be read: {error.message}") from error

    def _read(self, item: bytes) -> bytes:
        if _MAY_FAIL.match(item):
            with contextlib.suppress(orjson.JSONDecodeError):
                self._check(orjson.loads(item))
        return self._binding.read(item)

    def _check(self, value: Any) -> None:
        if is_failure(value, ambiguous=self._binding.may_say_error):
            raise stated_error(value["error"], self._head, self._refusals)


def _is_json(head: Head) -> bool:
    return head.media in ("", JSON) or head.media.endswith("+json")


def _header(name: str, value: str | bytes) -> str:
    if not _NAME.fullmatch(name):
        raise invalid(name, "it is no name of a header")
    return _checked(name, value) if isinstance(value, str) else base64.b64encode(value).decode()


def _checked(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise invalid(name, "a header has printable ASCII only")
    return value


def _strange(why: str) -> Error:
    return Error(reasons.INTERNAL, why)


def _too_large(most: int) -> Error:
    return Error(reasons.TOO_LARGE, f"the answer is larger than {most} bytes")
