"""The calling side: calls to one instance over one stream."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from idiom.v1 import reason_errors as reasons
from idiom.v1.runtime_pb2 import CallFrame, Reply, ReplyFrame

from codegen.runtime.coalescing import PATH, Values, values_of
from codegen.runtime.errors import Error
from codegen.runtime.grpc_failure import lost, refused, unsent
from codegen.runtime.grpc_link import Link

LOG = logging.getLogger(__name__)

MAX_ITEMS = 256
"""Calls in one frame."""
MAX_FRAME_BYTES = 1 << 20
"""Bytes of calls from which on a frame takes no more. A call of more bytes than that has none."""
MAX_CALLS = 8192
"""Calls of one stream that wait or are under way; more are refused."""
MAX_SECONDS = 86_400.0
"""Longest time that is asked of a server; the waiting here knows the true one."""
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
    """The call fits no frame, or the instance is of an earlier version and does not know the stream."""


@dataclass(slots=True, eq=False)
class _Item:
    path: str
    request: bytes
    metadata: Values
    size: int
    """Bytes that it takes in a frame, roughly."""
    ends: float
    told: dict[str, str | bytes] | None
    answered: asyncio.Future[bytes]


class Caller:
    """Calls to one instance, over a stream that is opened when first used, and again after it ended.

    The stream belongs to the caller and to none of the calls: it has its own task, with a context of its own.
    Whoever makes a caller closes it.

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
        self._closed = False

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
            AioRpcError: the service refused the call, as it would have one that travels by itself.
            Error: OVERLOADED: too many calls are under way.
            LostCallError: the stream ended before the answer came.
            NotCoalescedError: the call must be made in the ordinary way.
        """
        size = len(request) + sum(map(len, metadata)) + sum(map(len, metadata.values()))
        if size > MAX_FRAME_BYTES:
            raise NotCoalescedError
        stream = self._opened()
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        ends = time.monotonic() + min(seconds, MAX_SECONDS)
        number = stream.put(_Item(path, request, metadata, size, ends, told, answered))
        try:
            return await answered
        finally:
            stream.drop(number)

    async def close(self, grace: float = 0.0) -> None:
        """Takes no more calls and ends the stream.

        Args:
            grace: seconds that calls which were sent have; after that they are lost.
        """
        self._closed = True
        if self._stream is None or self._running is None:
            return
        self._stream.drain()
        try:
            if grace:
                await asyncio.wait([self._running], timeout=grace)
        finally:
            self._running.cancel()
            await asyncio.wait([self._running])

    def _opened(self) -> _Stream:
        if self._closed:
            raise LostCallError(lost(), unsent=True)
        if time.monotonic() < self._unknown_until:
            raise NotCoalescedError
        if self._stream is None or self._stream.ended:
            stream = self._stream = _Stream(self._link, self._credentials)
            self._running = asyncio.create_task(
                self._run(stream), name=f"calls to {self._link.address}", context=contextvars.Context()
            )
            # A task that is cancelled before it begins runs nothing of itself.
            self._running.add_done_callback(lambda _: stream.end(lost()))
        return self._stream

    async def _run(self, stream: _Stream) -> None:
        if await stream.run():
            self._unknown_until = time.monotonic() + FORGET


class _Stream:
    """One stream, from its opening to its end."""

    def __init__(self, link: Link, credentials: Credentials) -> None:
        self._link = link
        self._credentials = credentials
        self._numbers = itertools.count(1)
        self._waiting: OrderedDict[int, _Item] = OrderedDict()
        self._sent: dict[int, _Item] = {}
        self._gone: list[int] = []
        """Sent calls whose callers wait no longer."""
        self._heard = False
        """Whether the server has said anything, so that it knows the stream and was connected."""
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
        if len(self._waiting) + len(self._sent) >= MAX_CALLS:
            raise Error(reasons.OVERLOADED, "too many calls are under way", retry_after=1.0)
        number = next(self._numbers)
        self._waiting[number] = item
        self._wake()
        return number

    def drop(self, number: int) -> None:
        """Nobody waits for a call any longer."""
        if self._waiting.pop(number, None) is None and self._sent.pop(number, None) is not None:
            self._gone.append(number)
            self._wake()

    def drain(self) -> None:
        """Sends no more calls, and ends once all that were sent are answered. The rest goes elsewhere."""
        self._draining = True
        _lose(self._waiting, lambda: LostCallError(lost(), unsent=True))
        self._wake()

    def end(self, failure: aio.AioRpcError) -> None:
        """No answer comes any more."""
        self.ended = True
        if self._is_unknown(failure):
            _lose(self._sent, NotCoalescedError)
            _lose(self._waiting, NotCoalescedError)
        never_left = not self._heard and unsent(failure)
        _lose(self._sent, lambda: LostCallError(failure, unsent=never_left))
        _lose(self._waiting, lambda: LostCallError(failure, unsent=True))

    async def run(self) -> bool:
        """Sends calls and takes answers until the stream ends; returns whether the server knows none."""
        failure = lost()
        try:
            await self._link.connected()  # so that no call counts as sent that had nowhere to go
            async with contextlib.aclosing(self._frames()) as frames:
                stream = self._link.stream(PATH, frames, (), None)
                async with contextlib.aclosing(stream) as replies:
                    async for data in replies:
                        self._take(ReplyFrame.FromString(data))
        except aio.AioRpcError as error:
            failure = error
        except DecodeError:
            LOG.warning("%s answers what is no ReplyFrame", self._link.address)
        except Exception:  # the outermost frame of the task: its calls are lost, the next one opens another
            LOG.exception("the stream of calls to %s failed", self._link.address)
        finally:
            self.end(failure)
        return self._is_unknown(failure)

    def _is_unknown(self, failure: aio.AioRpcError) -> bool:
        return failure.code() is grpc.StatusCode.UNIMPLEMENTED and not self._heard

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        while not self._draining or self._sent or self._gone:
            if not self._waiting and not self._gone:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
            elif (frame := self._next()) is not None:
                yield frame

    def _next(self) -> bytes | None:
        frame = CallFrame()
        for key, value in self._credentials().items():
            frame.metadata.add(key=key, value=value.encode())
        for number in self._gone:
            frame.calls.add(id=number, cancel=True)
        self._gone.clear()
        now, size = time.monotonic(), 0
        while self._waiting and len(frame.calls) < MAX_ITEMS and size < MAX_FRAME_BYTES:
            number, item = self._waiting.popitem(last=False)
            if item.answered.done():
                continue  # its caller has just gone away
            self._sent[number] = item
            size += item.size
            _add(frame, number, item, max(0.001, item.ends - now))
        return frame.SerializeToString() if frame.calls else None

    def _take(self, frame: ReplyFrame) -> None:
        self._heard = True
        for reply in frame.replies:
            item = self._sent.pop(reply.id, None)
            if item is not None and not item.answered.done():
                _answer(item, reply)
        if frame.draining:
            self.drain()
        if self._draining:
            self._wake()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


def _add(frame: CallFrame, number: int, item: _Item, left: float) -> None:
    call = frame.calls.add(id=number, path=item.path, request=item.request)
    add = call.metadata.add
    for key, value in item.metadata.items():
        add(key=key, value=value if isinstance(value, bytes) else value.encode())
    timeout = call.timeout
    timeout.seconds, timeout.nanos = int(left), int(left % 1 * 1e9)


def _answer(item: _Item, reply: Reply) -> None:
    if reply.HasField("status"):
        item.answered.set_exception(refused(reply.status))
        return
    if item.told is not None:
        item.told.update(values_of(reply.metadata))
    item.answered.set_result(reply.response)


def _lose(items: dict[int, _Item], why: Callable[[], Exception]) -> None:
    for item in items.values():
        if not item.answered.done():
            item.answered.set_exception(why())
    items.clear()
