"""The serving side: the calls of one stream, each run through the pipeline by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf.message import DecodeError, Message
from idiom.v1 import reason_errors as reasons
from idiom.v1.runtime_pb2 import Call, CallFrame, Reply, ReplyFrame

from codegen.runtime.coalescing import entries_of, values_of
from codegen.runtime.context import Wire
from codegen.runtime.errors import Error, to_status
from codegen.runtime.grpc_call import parsed
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
MAX_CALLS = 2048
"""Calls of one stream under way at once; with so many, no more frames are read."""
MAX_FRAME_BYTES = 1 << 20
"""Bytes of responses from which on a frame takes no more."""

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
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._replies: list[Reply] = []
        self._more = asyncio.Event()
        """Set when there is something for `write` to do."""
        self._fewer = asyncio.Event()
        """Set when a call has ended."""
        self._read_all = False
        self._draining = False

    async def read(self) -> None:
        """Starts what comes."""
        try:
            while isinstance(data := await self._servicer.read(), bytes):
                for call, shared in _calls(data):
                    await self._start(call, shared)
        finally:
            self._read_all = True
            self._more.set()

    async def write(self) -> None:
        """Sends answers, as many at once as there are, until the stream has ended and all are sent."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._replies or self._draining:
                await self._servicer.write(self._frame())
            if self._read_all and not self._calls:
                return

    async def tell_draining(self) -> None:
        """Says once that the server is shutting down."""
        await self._serving.draining.wait()
        self._draining = True
        self._more.set()

    async def abandon(self, tasks: list[asyncio.Task[None]]) -> None:
        """Ends everything that is still under way."""
        pending = [*tasks, *self._calls.values()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _frame(self) -> bytes:
        frame = ReplyFrame(draining=self._draining)
        self._draining = False
        size, count = 0, 0
        for reply in self._replies:
            if size >= MAX_FRAME_BYTES:
                break
            size, count = size + len(reply.response), count + 1
        frame.replies.extend(self._replies[:count])
        del self._replies[:count]
        return frame.SerializeToString()

    async def _start(self, call: Call, shared: Mapping[str, str | bytes]) -> None:
        if call.cancel:
            if (task := self._calls.get(call.id)) is not None:
                task.cancel()
            return
        while len(self._calls) >= MAX_CALLS:
            self._fewer.clear()
            await self._fewer.wait()
        self._calls[call.id] = asyncio.create_task(self._run(call, shared))

    async def _run(self, call: Call, shared: Mapping[str, str | bytes]) -> None:
        try:
            self._replies.append(await self._answered(call, {**values_of(call.metadata), **shared}))
        finally:
            self._calls.pop(call.id, None)
            self._fewer.set()
            self._more.set()

    async def _answered(self, call: Call, metadata: dict[str, Any]) -> Reply:
        try:
            return await self._answer(call, metadata)
        except Error as error:
            return Reply(id=call.id, status=to_status(error))
        except Exception:  # noqa: BLE001 - the outermost frame of a call: no defect crosses a border as it is
            return Reply(id=call.id, status=to_status(internal(call.path, request_id(metadata))))

    async def _answer(self, call: Call, metadata: dict[str, Any]) -> Reply:
        method, implementation = self._found(call.path)
        timeout = call.timeout.seconds + call.timeout.nanos / 1e9 if call.HasField("timeout") else None
        data = call.request
        pipeline = self._serving.pipeline
        context = pipeline.admit(method, metadata, wire=Wire.GRPC, timeout=timeout, size=len(data))
        response: Message = await pipeline.call(method, parsed(method, data), context, implementation)
        told = entries_of(context.response_metadata) if context.response_metadata else None
        return Reply(id=call.id, response=response.SerializeToString(), metadata=told)

    def _found(self, path: str) -> tuple[Method, Callable[..., Any]]:
        found = self._serving.handlers.get(path)
        if found is None or found[0].client_streaming or found[0].server_streaming:
            raise Error(reasons.UNIMPLEMENTED, f"{path} is not a unary method that is served here")
        return found


def _calls(data: Any) -> list[tuple[Call, Mapping[str, str | bytes]]]:
    try:
        frame = CallFrame.FromString(data)
    except DecodeError:
        raise Error(reasons.MALFORMED_BODY, "the request is not a serialized CallFrame") from None
    shared = values_of(frame.metadata)
    return [(call, shared) for call in frame.calls]
