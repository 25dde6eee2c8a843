"""HTTP/1.1 for strangers: what a request takes before anybody looks at it is bounded, in bytes and time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from idiom.v1 import reason_errors as reasons
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from codegen.runtime.errors import Error
from codegen.runtime.transcoding.http_error import body_of

MAX_HEAD_BYTES = 64 << 10
"""Of the request line and the headers; of trailers and whatever else is not body, too."""
HEAD_SECONDS = 10.0
"""From a connection's start, or from a later head's first bytes, until a head is complete; also from an
answer until the end of a body that it did not wait for."""
LINGER_SECONDS = 1.0
"""For which a refused client is still listened to: whoever closes on unread bytes takes the answer back."""

_AROUND_HEADER = len(": \r\n")

_TOO_LARGE = Error(reasons.TOO_LARGE, f"the head of a request has at most {MAX_HEAD_BYTES} bytes")
_TOO_SLOW = Error(
    reasons.DEADLINE_EXCEEDED, f"the head of the request was not complete after {HEAD_SECONDS:g} s"
)
_MALFORMED = Error(reasons.MALFORMED_BODY, "this is not HTTP/1.1")


class BoundedHttp(HttpToolsProtocol):
    """Uvicorn's protocol with bounds on heads, and with refusals that are `google.rpc.Status`.

    Bytes are counted as they come, since the parser gives a header away only once it is complete.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._received = 0
        """Since the last byte of body, or the end of the last message; whole chunks only, that is no more."""
        self._chunk = 0
        """Length of what is being parsed."""
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: anybody may ask for an upgrade, and there is nothing for an operator to do."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for a first head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what has come, unless the connection is refused already."""
        if self._refused:
            return
        self._chunk = len(data)
        super().data_received(data)
        self._received += self._chunk
        if self._refused:
            return
        if self._received > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)
        elif not (self._answered_early() or (self._in_head and self._received)):
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        """Lets a request in whose head is small enough."""
        if max(self._received, 0) + self._chunk > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)
            raise ValueError(_TOO_LARGE.message)  # makes the parser stop
        self._in_head = False
        self._received = -self._chunk
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Counts anew: bodies have limits of their own."""
        self._received = -self._chunk
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Counts anew."""
        self._in_head = True
        self._received = -self._chunk
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Waits for no later request as long as the body of this one has not come to its end."""
        super().on_response_complete()
        if self._answered_early() and self._timer is None and not self.transport.is_closing():
            self._start_timer()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it says no more than ours
        """Refuses what cannot be parsed, unless the parser was stopped from here."""
        if not self._refused:
            self._refuse(HTTPStatus.BAD_REQUEST, _MALFORMED)

    def _answered_early(self) -> bool:
        """Whether the rest of a body is still to come that nobody reads."""
        return not self._in_head and self.cycle.response_complete

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _AROUND_HEADER for name, value in self.headers)

    def _refuse(self, status: HTTPStatus, error: Error) -> None:
        """Answers and ends the connection; what still comes is not looked at."""
        self._refused = True
        self._stop_timer()
        cycle = self.cycle
        under_way = cycle is not None and not cycle.response_complete
        if under_way and self._in_head:
            cycle.keep_alive = False  # an answer now would be taken for that of the earlier request
        elif self._answered_early() or (under_way and (cycle.response_started or self.pipeline)):
            self.transport.close()
        else:
            if under_way:  # its body is broken: nobody waits for what the app may say
                cycle.disconnected = True
                cycle.message_event.set()
            self._answer(status, error)

    def _answer(self, status: HTTPStatus, error: Error) -> None:
        body = body_of(error)
        head = (
            b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        )
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._end_waiting)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_waiting(self) -> None:
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_timer()  # an earlier request is still under way: it is not the client that is slow
        elif self._received and self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW)
        else:
            self.transport.close()
