"""One connection to a WebSocket endpoint, from the client's side."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from google.rpc import code_pb2
from idiom.v1 import reason_errors as reasons
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from codegen.runtime.client.frames import ClientFrames
from codegen.runtime.client.http_status import error_of
from codegen.runtime.client.reconnect import LOST, SILENT, UNREADABLE, CloseCodes, declared
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error, Reason
from codegen.runtime.method import CloseCode, FrameCall, Socket
from codegen.runtime.sockets.calls import error_member

OPEN_SECONDS: Final = 10.0
"""Seconds for one attempt to open a connection."""
CALL_SECONDS: Final = 30.0
"""Seconds for a call that neither its caller nor its policy limits."""
MAX_FRAME_BYTES: Final = 16 << 20
"""Largest frame that is read."""
MAX_UNREAD: Final = 256
"""Frames that wait to be taken; then nothing more is read until one is."""
_CLOSE_SECONDS: Final = 2.0
_HEARTBEAT: Final = "heartbeat"
_MISSED: Final = 2
"""Heartbeats of the server that may fail to come."""
_GRACE: Final = 2.0
"""Seconds beyond them."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all connections to one endpoint have in common."""

    socket: Socket
    frames: ClientFrames
    closes: CloseCodes
    reasons: Mapping[str, Reason]
    """By name: error frames do not say whose reason it is."""


def terms(
    socket: Socket, frames: ClientFrames, closes: Iterable[CloseCode] = (), known: Iterable[Reason] = ()
) -> Terms:
    """Terms of a schema's close codes and reasons; those of the runtime are always known."""
    everything = (*declared(reasons, Reason), *known)
    return Terms(socket, frames, CloseCodes(closes), {reason.name: reason for reason in everything})


@contextlib.asynccontextmanager
async def opened(
    terms: Terms, url: str, headers: Mapping[str, str] | None = None, heartbeat: float | None = None
) -> AsyncIterator[FrameSocket]:
    """A connection, closed at the end of the block.

    Args:
        terms: of the endpoint.
        url: `ws://` or `wss://`.
        headers: of the handshake.
        heartbeat: seconds; None means the endpoint's.

    Raises:
        Error: it cannot be opened: DEPENDENCY_UNAVAILABLE, or what the server says instead.
    """
    connection = await _connected(terms, url, headers or {})
    socket = FrameSocket(terms, connection, heartbeat or terms.socket.heartbeat)
    tasks = [asyncio.create_task(socket.read()), asyncio.create_task(socket.beat())]
    try:
        yield socket
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await connection.close()


class FrameSocket:
    """Calls and frames over one connection; made by `opened`. Iterating gives the frames that answer no call.

    A frame is a generated message with one oneof. Members called `heartbeat` show life; where the schema has
    none, WebSocket's own pings do. Nobody needs to iterate for calls to be answered, as long as frames that
    nobody takes are few: once `MAX_UNREAD` wait, nothing more is read.
    """

    def __init__(self, terms: Terms, connection: ClientConnection, heartbeat: float) -> None:
        self.heartbeat = heartbeat
        """Seconds within which either side shows life; may be changed to what the server says."""
        self.ended: CloseCode | None = None
        """How the connection ended; None while it lasts."""
        self._terms = terms
        self._connection = connection
        self._oneof = terms.socket.method.response.DESCRIPTOR.oneofs[0].name
        self._error = error_member(terms.socket.method.response)
        self._calls = {call.frame: call for call in terms.socket.calls}
        self._pending: dict[str, tuple[FrameCall, asyncio.Future[Any]]] = {}
        self._unread: deque[Any] = deque()
        self._arrived, self._taken = asyncio.Event(), asyncio.Event()
        self._ids = itertools.count(1)
        self._heard = self._said = _now()

    async def post(self, kind: str, content: Message) -> None:
        """Send a frame that nobody answers.

        Args:
            kind: member of the client frame's oneof.
            content: its message.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE if the connection has ended, TOO_LARGE.
        """
        frame: Any = self._terms.socket.method.request()
        getattr(frame, kind).CopyFrom(content)
        await self._send(frame)

    async def call(self, kind: str, request: Message, seconds: float | None = None) -> Any:
        """Send a frame that calls a method; returns the method's response.

        Args:
            kind: member of the client frame's oneof.
            request: of the method.
            seconds: None means the method's deadline.

        Raises:
            Error: what the server answers instead; DEPENDENCY_UNAVAILABLE if the connection ends,
                DEADLINE_EXCEEDED, OVERLOADED if too many calls are under way, TOO_LARGE.
        """
        call = self._calls[kind]
        if len(self._pending) >= self._terms.socket.max_calls:
            raise Error(reasons.OVERLOADED, "too many calls are under way")
        request_id = str(next(self._ids))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = (call, answer)
        try:
            with Deadline(seconds or call.method.policy.deadline or CALL_SECONDS):
                await self._send(self._calling(call, request_id, request))
                return await answer
        except TimeoutError:
            raise Error(reasons.DEADLINE_EXCEEDED, "the server took too long to answer") from None
        finally:
            del self._pending[request_id]
            if answer.done() and not answer.cancelled():
                answer.exception()  # it counts as seen, though the call may have failed before

    def __aiter__(self) -> AsyncIterator[Any]:
        """Frames that answer no call under way, until the connection ends."""
        return self

    async def __anext__(self) -> Any:
        """The next of them."""
        while not self._unread:
            if self.ended is not None:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        self._taken.set()
        return self._unread.popleft()

    def abort(self, why: CloseCode = LOST) -> None:
        """End the connection at once."""
        self._end(why)
        self._connection.transport.abort()

    async def read(self) -> None:
        """Read until the connection ends; run by `opened`."""
        try:
            async for data in self._connection:
                await self._receive(self._terms.frames.read(data))
        except Error as error:
            LOG.debug("%s", error)
            self.abort(UNREADABLE)
        except ConnectionClosed:
            pass
        finally:
            told = self._connection.protocol.close_rcvd
            self._end(self._terms.closes.of(told.code, told.reason) if told else LOST)

    async def beat(self) -> None:
        """Show life, and give up on a server that shows none; run by `opened`."""
        while self.ended is None:
            await asyncio.sleep(self.heartbeat / 2)
            if len(self._unread) >= MAX_UNREAD:
                self._heard = _now()  # nothing is heard because nothing is read
            if _now() - self._heard > _MISSED * self.heartbeat + _GRACE:
                self.abort(SILENT)
            elif _now() - self._said >= self.heartbeat / 2:
                with contextlib.suppress(Error, ConnectionClosed):
                    await self._show_life()

    async def _show_life(self) -> None:
        frame: Any = self._terms.socket.method.request()
        if _HEARTBEAT in frame.DESCRIPTOR.fields_by_name:
            getattr(frame, _HEARTBEAT).SetInParent()
            await self._send(frame)
        else:
            await self._connection.ping()
            self._said = _now()

    async def _receive(self, frame: Any) -> None:
        self._heard = _now()
        kind = frame.WhichOneof(self._oneof)
        if kind is None or kind == _HEARTBEAT or self._answers(kind, getattr(frame, kind)):
            return
        while len(self._unread) >= MAX_UNREAD:
            self._taken.clear()
            await self._taken.wait()
        self._unread.append(frame)
        self._arrived.set()

    def _answers(self, kind: str, member: Any) -> bool:
        """Whether the frame answers a call under way, which has its answer then."""
        call, answer = self._pending.get(getattr(member, "request_id", ""), (None, None))
        if call is None or answer is None or answer.done() or kind not in (call.reply, self._error):
            return False
        if kind == self._error:
            answer.set_exception(self.refusal(member))
        else:
            answer.set_result(member.response)
        return True

    def refusal(self, member: Any) -> Error:
        """The error that an error frame says."""
        code = code_pb2.Code.DESCRIPTOR.values_by_name.get(member.code)
        number = code.number if code is not None else code_pb2.UNKNOWN
        known = self._terms.reasons.get(member.reason)
        return Error(known or Reason(member.reason or member.code, "", number), member.message)

    def _calling(self, call: FrameCall, request_id: str, request: Message) -> Message:
        frame: Any = self._terms.socket.method.request()
        member = getattr(frame, call.frame)
        member.request_id = request_id
        getattr(member, call.request).CopyFrom(request)
        return frame  # type: ignore[no-any-return]

    async def _send(self, frame: Message) -> None:
        data = self._terms.frames.write(frame)
        size = len(data if isinstance(data, bytes) else data.encode())
        if size > self._terms.socket.max_frame_bytes:
            raise Error(reasons.TOO_LARGE, "this is too large to be sent")
        self._said = _now()
        try:
            await self._connection.send(data)
        except ConnectionClosed:
            raise _closed() from None

    def _end(self, how: CloseCode) -> None:
        if self.ended is not None:
            return
        self.ended = how
        for _, answer in self._pending.values():
            if not answer.done():
                answer.set_exception(_closed())
        self._arrived.set()
        self._taken.set()


async def _connected(terms: Terms, url: str, headers: Mapping[str, str]) -> ClientConnection:
    try:
        return await connect(
            url,
            subprotocols=[Subprotocol(terms.frames.subprotocol)],
            additional_headers=headers,
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            ping_interval=None,
            max_size=MAX_FRAME_BYTES,
        )
    except InvalidStatus as refused:
        response = refused.response
        retry_after = response.headers.get("retry-after")
        raise error_of(response.status_code, bytes(response.body), retry_after) from refused
    except InvalidURI as error:
        raise Error(reasons.DEPENDENCY_UNAVAILABLE, f"{url} is no address of a socket") from error
    except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
        raise Error(reasons.DEPENDENCY_UNAVAILABLE, f"{url} cannot be reached now") from error


def _closed() -> Error:
    return Error(reasons.DEPENDENCY_UNAVAILABLE, "the connection is closed")


def _now() -> float:
    return asyncio.get_running_loop().time()
