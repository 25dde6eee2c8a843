"""Calls that stream both ways over a WebSocket: what frames mean, without I/O.

A message of the socket is a message of the stream: requests go out in binary form, responses are read in
both forms.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from google.protobuf.message import EncodeError, Message
from idiom.v1 import reason_errors as reasons
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from codegen.runtime.client.calling import Calling, late, left, lost, needs_token
from codegen.runtime.client.channel import HttpOptions
from codegen.runtime.client.exchange import Head, Headers, attempt_headers, is_failure, stated_error
from codegen.runtime.errors import HTTP_STATUS, Error, Reason, code_name
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.transcoding.route import Route

END: Final = ""
"""The text that ends the requests: JSON is never empty."""
LEFT: Final = 4001
"""Close code of a client that does not wait for the end: 4000 and CANCELLED."""
CLOSE_SECONDS: Final = 2.0
"""For the closing handshake."""
_NORMAL: Final = 1000
_OWN_CODES: Final = 4000
"""Close codes from here on are canonical codes."""
_REASONS: Mapping[int, Reason] = {
    1003: reasons.UNSUPPORTED_MEDIA_TYPE,
    1007: reasons.MALFORMED_BODY,
    1008: reasons.FORBIDDEN,
    1009: reasons.TOO_LARGE,
    1011: reasons.INTERNAL,
}
"""What a connection says that ends without saying why otherwise. RFC 6455, section 7.4.1."""
_MAY_FAIL: Final = re.compile(r'\s*\{\s*"error"\s*:')


class Talk:
    """One call.

    Args:
        calling: of the client.
        route: of the method.
        first: request, where the path needs it.
        options: of the call.
        ends: `time.monotonic()` at which it ends; None if it may last.

    Raises:
        Error: INVALID_FIELD.
    """

    def __init__(
        self,
        calling: Calling,
        route: Route,
        first: Message | None,
        options: HttpOptions,
        ends: float | None,
    ) -> None:
        self.url, self._headers = calling.socket(route, first, options)
        self._ends = ends
        self.needs_token = needs_token(route)
        self._binding = calling.binding(route)
        self._calling = calling
        self._options = options
        self._head = Head(0, {})

    def left(self) -> float | None:
        """Seconds until the call ends; None if it may last."""
        return left(self._ends)

    def opening(self) -> float:
        """Seconds for the opening handshake."""
        longest = self._calling.settings.connect_seconds
        return min(longest, self.left() or longest)

    def connection(self, token: str) -> dict[str, Any]:
        """How to open the connection, for either kind of client of the package websockets."""
        settings = self._calling.settings
        return {
            "additional_headers": attempt_headers(self._headers, token, self.left()),
            "ssl": self._calling.tls if self.url.startswith("wss:") else None,
            "proxy": settings.proxy or None,
            "compression": "deflate" if settings.accepts_compressed else None,
            "open_timeout": self.opening(),
            "close_timeout": CLOSE_SECONDS,
            "max_size": settings.max_message_bytes,
        }

    def opened(self, headers: Headers) -> None:
        """The server has agreed."""
        self._head = Head(HTTPStatus.SWITCHING_PROTOCOLS, headers)
        self._head.tell(self._options.answer)

    def write(self, request: Message) -> bytes:
        """A request as the payload of a binary frame."""
        try:
            return request.SerializeToString()
        except EncodeError as error:
            raise invalid(request.DESCRIPTOR.name, str(error)) from None

    def read(self, frame: str | bytes) -> bytes:
        """The response in binary form that a frame says.

        Raises:
            Error: what the server says instead; INTERNAL: it is no response.
        """
        if isinstance(frame, bytes):
            return self._binding.check(frame)
        if _MAY_FAIL.match(frame):
            with contextlib.suppress(orjson.JSONDecodeError):
                self._check(orjson.loads(frame))
        return self._binding.read(frame.encode())

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """What goes wrong with the connection in the block is an Error, and its ordinary end is none."""
        try:
            yield
        except InvalidStatus as refused:
            response = refused.response
            head = Head(response.status_code, lowered(response.headers.raw_items()))
            head.tell(self._options.answer)
            raise self._calling.refusals.of(head.status, head.headers, bytes(response.body)) from None
        except ConnectionClosed as closed:
            self._closed(closed)
        except TimeoutError as failure:
            if self._ends is not None and time.monotonic() >= self._ends:
                raise late() from failure
            raise self._calling.unreachable() from failure
        except (OSError, InvalidHandshake) as failure:
            raise self._calling.unreachable() from failure

    def _closed(self, closed: ConnectionClosed) -> None:
        sent, said = closed.sent, closed.rcvd
        if said is None:
            if sent is not None and sent.code in _REASONS:  # this side found a frame too large, or broken
                raise Error(_REASONS[sent.code], "the answer cannot be read") from closed
            raise lost() from closed
        if said.code != _NORMAL:
            why = said.reason or f"the connection ended with code {said.code}"
            raise Error(_reason(said.code), why) from closed

    def _check(self, value: Any) -> None:
        if is_failure(value, ambiguous=self._binding.may_say_error):
            raise stated_error(value["error"], self._head, self._calling.refusals)


def _reason(close_code: int) -> Reason:
    if (code := close_code - _OWN_CODES) in HTTP_STATUS:
        return Reason(code_name(code), "", code)
    return _REASONS.get(close_code, reasons.DEPENDENCY_UNAVAILABLE)


def lowered(headers: Any) -> Headers:
    """Headers by lower-case names; values of a repeated one joined by commas."""
    joined: Headers = {}
    for name, value in headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
