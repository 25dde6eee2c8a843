"""The serving side: the calls of one stream, each run through the pipeline by itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf.message import DecodeError, Message
from idiom.v1 import reason_errors as reasons
from idiom.v1.runtime_pb2 import Call, CallFrame, Reply, ReplyFrame

from codegen.runtime.coalescing import entries_of, values_of
from codegen.runtime.context import Wire
from codegen.runtime.errors import Error
from codegen.runtime.grpc_call import bounded, parsed
from codegen.runtime.grpc_metadata import sendable
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline, internal, request_id

if TYPE_CHECKING:
    from grpc import aio

    Servicer = aio.ServicerContext[bytes, bytes]

METHOD = Method(
    service="idiom.v1.Coalescing",
    name="Calls",
    attribute="calls",
    request=CallFrame,
    response=ReplyFrame,
    client_streaming=True,
    server_streaming=True,
)
MAX_CALLS = 8192
"""Calls of one stream under way at once; more are refused. A caller of ours has no more than that."""
MAX_FRAME_BYTES = 1 << 20
"""Bytes of answers in one frame, unless a single one is larger."""
MAX_REPLY_BYTES = (16 << 20) - 1024
"""Bytes of one answer: what gRPC carries in one message on either side."""
MAX_UNSENT_BYTES = 4 << 20
"""Bytes of answers that the caller has not taken; with more than that, no more frames are read."""
MAX_MESSAGE, MAX_STATUS = 16 << 10, 64 << 10
"""Bytes of an error, and of its message. A frame carries more of it than metadata does."""

_DRAINING = ReplyFrame(draining=True).SerializeToString()

Handlers: TypeAlias = "Mapping[str, tuple[Method, Callable[..., Any]]]"
"""Methods and what implements them, by path."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What all streams of a server share."""

    pipeline: Pipeline
    handlers: Handlers
    draining: asyncio.Event

    async def serve(self, servicer: Servicer) -> None:
        """One stream, until its caller ends it and all its calls are answered.

        Raises:
            Error: MALFORMED_BODY: a frame cannot be read.
        """
        stream = _Stream(self, servicer)
        tasks = [
            asyncio.create_task(work) for work in (stream.read(), stream.write(), stream.tell_draining())
        ]
        reading, writing, _ = tasks
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            await writing
        finally:
            await stream.abandon(tasks)


class _Stream:
    def __init__(self, serving: Serving, servicer: Servicer) -> None:
        self._serving = serving
        self._servicer = servicer
        self._calls: dict[int, asyncio.Task[bytes]] = {}
        self._gone: set[int] = set()
        """Calls under way whose callers take no answer."""
        self._replies: deque[bytes] = deque()
        """Frames of one reply each: frames one after the other are a frame, as every protobuf message."""
        self._unsent = 0
        self._more = asyncio.Event()
        """Set when there is something for `write` to do."""
        self._space = asyncio.Event()
        """Set while the caller takes its answers."""
        self._space.set()
        self._read_all = False
        self._draining = False

    async def read(self) -> None:
        """Starts what comes."""
        try:
            while isinstance(data := await self._servicer.read(), bytes):
                frame = _frame(data)
                shared = values_of(frame.metadata)
                for call in frame.calls:
                    self._start(call, shared)
                await self._space.wait()
        finally:
            self._read_all = True
            self._more.set()

    async def write(self) -> None:
        """Sends answers, as many at once as there are, until the stream has ended and all are sent."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._replies or self._draining:
                await self._servicer.write(self._next())
            if self._read_all and not self._calls:
                return

    async def tell_draining(self) -> None:
        """Says once that the server is shutting down."""
        await self._serving.draining.wait()
        self._draining = True
        self._more.set()

    async def abandon(self, tasks: list[asyncio.Task[None]]) -> None:
        """Ends everything that is still under way."""
        self._gone.update(self._calls)
        pending = [*tasks, *self._calls.values()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _next(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        if self._draining:
            parts.append(_DRAINING)
            self._draining = False
        while self._replies and (not size or size + len(self._replies[0]) <= MAX_FRAME_BYTES):
            size += len(self._replies[0])
            parts.append(self._replies.popleft())
        self._unsent -= size
        if self._unsent <= MAX_UNSENT_BYTES:
            self._space.set()
        return b"".join(parts)

    def _start(self, call: Call, shared: Mapping[str, str | bytes]) -> None:
        number = call.id
        known = self._calls.get(number)
        if call.cancel:
            if known is not None:
                self._gone.add(number)
                known.cancel()
        elif known is not None:
            raise Error(reasons.MALFORMED_BODY, f"two calls at the same time have the id {number}")
        elif len(self._calls) >= MAX_CALLS:
            error = Error(reasons.OVERLOADED, "too many calls are under way", retry_after=1.0)
            self._reply(_refusal(number, error))
        else:
            metadata = values_of(call.metadata)
            metadata.update(shared)
            task = asyncio.create_task(self._answered(call, metadata))
            self._calls[number] = task
            # Not at the end of the task itself: one that is cancelled before it begins runs nothing.
            task.add_done_callback(partial(self._ended, number))

    def _ended(self, number: int, task: asyncio.Task[bytes]) -> None:
        del self._calls[number]
        self._gone.discard(number)
        if not task.cancelled() and task.exception() is None:
            self._reply(task.result())
        self._more.set()

    def _reply(self, data: bytes) -> None:
        self._replies.append(data)
        self._unsent += len(data)
        if self._unsent > MAX_UNSENT_BYTES:
            self._space.clear()
        self._more.set()

    async def _answered(self, call: Call, metadata: dict[str, Any]) -> bytes:
        try:
            try:
                return await self._answer(call, metadata)
            except Error as error:
                return _refusal(call.id, error)
        except (
            Exception,
            asyncio.CancelledError,
        ):  # the outermost frame: no defect crosses a border
            if call.id in self._gone:
                raise
            # If it was cancelled, then by its own code, and its caller waits.
            return _refusal(call.id, internal(call.path, request_id(metadata)))

    async def _answer(self, call: Call, metadata: dict[str, Any]) -> bytes:
        method, implementation = self._found(call.path)
        timeout = call.timeout.seconds + call.timeout.nanos / 1e9 if call.HasField("timeout") else None
        data = call.request
        pipeline = self._serving.pipeline
        context = pipeline.admit(method, metadata, wire=Wire.GRPC, timeout=timeout, size=len(data))
        response: Message = await pipeline.call(method, parsed(method, data), context, implementation)
        frame = ReplyFrame()
        reply = frame.replies.add(id=call.id, response=response.SerializeToString())
        if context.response_metadata:
            told = {key.lower(): value for key, value in context.response_metadata.items()}
            reply.metadata.extend(entries_of(dict(sendable(told))))
        if len(answer := frame.SerializeToString()) > MAX_REPLY_BYTES:
            raise Error(reasons.TOO_LARGE, "the request or response is too large")
        return answer

    def _found(self, path: str) -> tuple[Method, Callable[..., Any]]:
        found = self._serving.handlers.get(path)
        if found is None or found[0].client_streaming or found[0].server_streaming:
            raise Error(reasons.UNIMPLEMENTED, f"{path} is not a unary method that is served here")
        return found


def _frame(data: bytes) -> CallFrame:
    try:
        return CallFrame.FromString(data)
    except DecodeError:
        raise Error(reasons.MALFORMED_BODY, "the request is not a serialized CallFrame") from None


def _refusal(number: int, error: Error) -> bytes:
    status = bounded(error, MAX_MESSAGE, MAX_STATUS)
    return ReplyFrame(replies=[Reply(id=number, status=status)]).SerializeToString()
