"""The calling side: calls to one instance over one stream."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from idiom.v1 import reason_errors as reasons
from idiom.v1.runtime_pb2 import CallFrame, Reply, ReplyFrame

from codegen.runtime.background import background
from codegen.runtime.coalescing import PATH, Values, entries_of, values_of
from codegen.runtime.errors import Error, from_status
from codegen.runtime.grpc_failure import lost, unsent
from codegen.runtime.grpc_link import Link

MAX_ITEMS = 256
"""Calls in one frame."""
MAX_FRAME_BYTES = 1 << 20
"""Bytes of requests from which on a frame takes no more."""
MAX_CALLS = 8192
"""Calls of one stream that wait or are under way; more are refused."""
FORGET = 30.0
"""Seconds after which an instance that did not know the stream is asked again: it may have been replaced."""

Credentials: TypeAlias = Callable[[], Mapping[str, str]]


class LostCallError(Exception):
    """A call's stream ended before its answer came.

    Args:
        failure: why.
        unsent: whether the call surely did not leave.
    """

    def __init__(self, failure: aio.AioRpcError, *, unsent: bool) -> None:
        super().__init__(failure)
        self.failure = failure
        self.unsent = unsent


class NotCoalescedError(Exception):
    """The instance does not know the stream: it is of an earlier version."""


@dataclass(slots=True, eq=False)
class _Item:
    path: str
    request: bytes
    metadata: Values
    ends: float
    told: dict[str, str | bytes] | None
    answered: asyncio.Future[bytes]
    sent: bool = False


class Caller:
    """Calls to one instance, over a stream that is opened when first used, and again after it ended.

    Args:
        link: to the instance.
        credentials: metadata that goes with each frame, asked for each.
    """

    def __init__(self, link: Link, credentials: Credentials) -> None:
        self._link = link
        self._credentials = credentials
        self._stream: _Stream | None = None
        self._running: asyncio.Task[None] | None = None
        self._unknown_until = 0.0

    async def unary(
        self,
        path: str,
        request: bytes,
        metadata: Values,
        seconds: float,
        told: dict[str, str | bytes] | None = None,
    ) -> bytes:
        """One call. Cancelling the wait cancels the call.

        Args:
            path: of the method.
            request: serialized.
            metadata: goes with it, beside the credentials.
            seconds: until its deadline, which the server keeps; who waits here keeps it too.
            told: filled with the metadata of the answer; None where nobody asks for it.

        Raises:
            Error: what the service answered, or OVERLOADED: too many calls are under way.
            LostCallError: the stream ended before the answer came.
            NotCoalescedError: the call must be made in the ordinary way.
        """
        stream = self._opened()
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        item = _Item(path, request, metadata, time.monotonic() + seconds, told, answered)
        number = stream.put(item)
        try:
            return await answered
        finally:
            stream.drop(number)

    async def close(self) -> None:
        """Ends the stream; calls under way are lost."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def _opened(self) -> _Stream:
        if time.monotonic() < self._unknown_until:
            raise NotCoalescedError
        if self._stream is not None and not self._stream.ended:
            return self._stream
        self._stream = _Stream(self._link, self._credentials)
        self._running = background(self._run(self._stream), f"calls to {self._link.address}")
        return self._stream

    async def _run(self, stream: _Stream) -> None:
        if await stream.run() is grpc.StatusCode.UNIMPLEMENTED:
            self._unknown_until = time.monotonic() + FORGET


class _Stream:
    """One stream, from its opening to its end."""

    def __init__(self, link: Link, credentials: Credentials) -> None:
        self._link = link
        self._credentials = credentials
        self._numbers = itertools.count(1)
        self._waiting: deque[int] = deque()
        self._items: dict[int, _Item] = {}
        self._gone: list[int] = []
        """Sent calls whose callers wait no longer."""
        self._draining = False
        self._idle: asyncio.Future[None] | None = None
        self.ended = False

    def put(self, item: _Item) -> int:
        """Takes a call; returns its number.

        Raises:
            Error: OVERLOADED.
            LostCallError: the server is shutting down.
        """
        if self._draining:
            raise LostCallError(lost(), unsent=True)
        if len(self._items) >= MAX_CALLS:
            raise Error(reasons.OVERLOADED, "too many calls are under way", retry_after=1.0)
        number = next(self._numbers)
        self._items[number] = item
        self._waiting.append(number)
        self._wake()
        return number

    def drop(self, number: int) -> None:
        """Nobody waits for a call any longer."""
        item = self._items.pop(number, None)
        if item is not None and item.sent:
            self._gone.append(number)
            self._wake()

    async def run(self) -> grpc.StatusCode:
        """Sends calls and takes answers until the stream ends; returns why."""
        failure = lost()
        try:
            stream = self._link.stream(PATH, self._frames(), (), None)
            async with contextlib.aclosing(stream) as replies:
                async for data in replies:
                    self._take(ReplyFrame.FromString(data))
        except aio.AioRpcError as error:
            failure = error
        except DecodeError:
            pass  # the instance is not of our kind: its answers are lost
        finally:
            self.ended = True
            self._fail(failure)
        return failure.code()

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        while not self._draining or self._gone:
            if not self._waiting and not self._gone:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
                self._idle = None
            elif (frame := self._next()) is not None:
                yield frame

    def _next(self) -> bytes | None:
        frame = CallFrame(metadata=entries_of(self._credentials()))
        calls, now, size = frame.calls, time.monotonic(), 0
        for number in self._gone:
            calls.add(id=number, cancel=True)
        self._gone = []
        while self._waiting and len(calls) < MAX_ITEMS and size < MAX_FRAME_BYTES:
            number = self._waiting.popleft()
            if (item := self._items.get(number)) is None:
                continue  # its caller went away before it was sent
            item.sent = True
            size += len(item.request)
            call = calls.add(
                id=number, path=item.path, request=item.request, metadata=entries_of(item.metadata)
            )
            left = max(0.001, item.ends - now)
            call.timeout.seconds, call.timeout.nanos = int(left), int(left % 1 * 1e9)
        return frame.SerializeToString() if calls else None

    def _take(self, frame: ReplyFrame) -> None:
        for reply in frame.replies:
            item = self._items.pop(reply.id, None)
            if item is not None and not item.answered.done():
                _answer(item, reply)
        if frame.draining and not self._draining:
            self._draining = True
            self._give_back()
            self._wake()

    def _give_back(self) -> None:
        """What has not been sent goes elsewhere."""
        for number in self._waiting:
            if (item := self._items.pop(number, None)) is not None and not item.answered.done():
                item.answered.set_exception(LostCallError(lost(), unsent=True))
        self._waiting.clear()

    def _fail(self, failure: aio.AioRpcError) -> None:
        items, self._items = list(self._items.values()), {}
        for item in items:
            if item.answered.done():
                continue
            if failure.code() is grpc.StatusCode.UNIMPLEMENTED:
                item.answered.set_exception(NotCoalescedError())
            else:
                left = item.sent and not unsent(failure)
                item.answered.set_exception(LostCallError(failure, unsent=not left))

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


def _answer(item: _Item, reply: Reply) -> None:
    if item.told is not None:
        item.told.update(values_of(reply.metadata))
    if reply.HasField("status"):
        item.answered.set_exception(from_status(reply.status))
    else:
        item.answered.set_result(reply.response)
