"""One WebSocket connection that never waits to write, on the connection of the library `websockets`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.http11 import Request
from websockets.protocol import OPEN, Event
from websockets.server import ServerProtocol
from websockets.typing import LoggerLike, Subprotocol

from codegen.runtime.errors import Error
from codegen.runtime.method import CloseCode
from codegen.runtime.sockets.calls import FrameCalls
from codegen.runtime.sockets.frames import FrameCodec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a connection ends that the protocol itself has to fail."""

    close: CloseCode
    error: Error


@dataclass(frozen=True, slots=True)
class Terms:
    """What all connections of one endpoint have in common."""

    codecs: Mapping[str, FrameCodec]
    calls: FrameCalls
    failures: Mapping[int, Failure]
    """By the close code that RFC 6455, section 7.4.1, has for them."""
    max_frame_bytes: int
    send_queue_bytes: int
    flusher: Flusher
    logger: LoggerLike


class Flusher:
    """Lets all connections write once per turn of the event loop, whatever they were given in it."""

    def __init__(self) -> None:
        self._marked: list[SocketConnection] = []

    def mark(self, connection: SocketConnection) -> None:
        """The connection has something to write."""
        if not self._marked:
            asyncio.get_running_loop().call_soon(self._flush)
        self._marked.append(connection)

    def _flush(self) -> None:
        marked, self._marked = self._marked, []
        for connection in marked:
            _flush_or_abort(connection)


class SocketProtocol(ServerProtocol):
    """Requires a subprotocol of the endpoint, and fails with the endpoint's close codes."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(max_size=terms.max_frame_bytes, logger=terms.logger)
        self._terms = terms

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """The first of the client's that the endpoint speaks.

        Raises:
            NegotiationError: there is none.
        """
        for subprotocol in subprotocols:
            if subprotocol in self._terms.codecs:
                return subprotocol
        offered = ", ".join(self._terms.codecs)
        raise NegotiationError(f"the header Sec-WebSocket-Protocol must name one of: {offered}")

    def fail(self, code: int, reason: str = "") -> None:
        """Ends the connection, with the endpoint's close code and after an error frame where it has them."""
        failure = self._terms.failures.get(code)
        if failure is None or self.state is not OPEN or self.subprotocol is None:
            super().fail(code, reason)
            return
        codec = self._terms.codecs[self.subprotocol]
        self.writes.append(codec.write(self._terms.calls.error(failure.error)))
        super().fail(failure.close.code, failure.close.name)


class SocketConnection(ServerConnection):
    """A connection whose frames are queued, bounded by bytes, and written once per turn of the event loop."""

    def __init__(self, terms: Terms, server: Server, **options: Any) -> None:
        super().__init__(SocketProtocol(terms), server, **options)
        self.heard = self.said = self.loop.time()
        self._terms = terms
        self._queue: list[bytes] = []
        self._queued = 0

    @property
    def codec(self) -> FrameCodec:
        """Codec of the negotiated subprotocol."""
        return self._terms.codecs[self.subprotocol or ""]

    @property
    def open(self) -> bool:
        """Whether frames can still be written."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken by the network."""
        return self._queued + self.transport.get_write_buffer_size()

    def offer(self, frame: bytes) -> bool:
        """Queue a frame, header included; False if the queue has no space for it."""
        if self.unsent + len(frame) > self._terms.send_queue_bytes:
            return False
        if not self._queue:
            self._terms.flusher.mark(self)
        self._queue.append(frame)
        self._queued += len(frame)
        return True

    def flush(self) -> None:
        """Hand everything queued to the network."""
        queue, self._queue, self._queued = self._queue, [], 0
        if queue and self.open:
            self.transport.write(b"".join(queue))
            self.said = self.loop.time()

    def probe(self) -> None:
        """Send a ping, whose pong will count as life."""
        if self.open:
            self.protocol.send_ping(b"")
            self.send_data()

    def finish(self, close: CloseCode) -> None:
        """Write everything queued and begin the closing handshake, without waiting for it."""
        self.flush()
        if self.open:
            self.protocol.send_close(close.code, close.name)
            self.send_data()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def forget_handshake(self) -> None:
        """Let go of the headers of the handshake, a fifth of what an idle connection holds."""
        for half in (self.request, self.response):
            if half is not None:
                half.headers = Headers()

    def process_event(self, event: Event) -> None:
        """Note when the client was last heard of; any frame counts, a pong too."""
        self.heard = self.loop.time()
        super().process_event(event)


def _flush_or_abort(connection: SocketConnection) -> None:
    """One connection that cannot be written to must not keep the others from writing."""
    try:
        connection.flush()
    except Exception:
        log.exception("a connection could not be written to")
        connection.abort()


def path_of(request: Request) -> str:
    """The path of a handshake without its query."""
    return request.path.partition("?")[0]
