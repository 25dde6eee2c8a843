"""Calls that stream one way, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

from idiom.v1 import reason_errors as reasons
from protobuf import Message

from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import DEFAULT_DEADLINE, Pipeline, internal, late
from codegen.runtime.transcoding.disconnect import ClientGoneError
from codegen.runtime.transcoding.exchange import OCTETS, Exchange
from codegen.runtime.transcoding.feed import Feed
from codegen.runtime.transcoding.negotiation import wants_binary
from codegen.runtime.transcoding.request_stream import checked, messages
from codegen.runtime.transcoding.stream_format import EVENTS, Format, fill_cursor, format_of
from codegen.runtime.transcoding.unary import NO_CONTENT_TYPE, Response, json_limit, response_of

PATIENCE = 1.0
"""Seconds after which an answer begins though it has no message yet; until then a refusal has its status."""
KEEP_ALIVE = 15.0
"""Seconds of silence after which an event stream says that it is alive."""
NOT_BUFFERED = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
"""Proxies shall hand each message on as it comes."""


async def serve_stream(exchange: Exchange, channel: Channel, pipeline: Pipeline) -> Response | None:
    """Serves a call that streams one way; None if its answer has gone out already.

    Raises:
        Error: any, before the answer has begun; afterwards only where the answer is raw content, which ends
            with its connection then.
        ClientGoneError: nobody waits for an answer.
    """
    async with exchange.while_client_stays():
        if exchange.binding.method.client_streaming:
            return await _uploaded(exchange, channel, pipeline)
        return await _download(exchange, channel, pipeline)


async def _uploaded(exchange: Exchange, channel: Channel, pipeline: Pipeline) -> Response:
    """The answer to many messages. It may come before the last of them, which is then not awaited."""
    method, accept = exchange.binding.method, exchange.metadata.get("accept")
    binary = accept is not None and not exchange.binding.answers_http_body and wants_binary(accept)
    async with Feed(messages(exchange, pipeline)) as feed:
        answers: Any = channel.stream_bytes(method, feed.requests(), exchange.options())
        async with contextlib.aclosing(answers):
            data = await anext(answers, None)
    if data is None:
        raise Error(reasons.INTERNAL, f"{method.full_name} has not answered")
    return await response_of(exchange, data, None, binary=binary)


async def _download(exchange: Exchange, channel: Channel, pipeline: Pipeline) -> Response | None:
    binding = exchange.binding
    how = None if binding.answers_http_body else format_of(binding, exchange.metadata.get("accept"))
    request = await _request(exchange, pipeline)
    if exchange.scope["method"] == "HEAD":
        await _head(exchange, how)
    answers: Any = channel.stream_bytes(binding.method, _one(request), exchange.options())
    async with contextlib.aclosing(answers):
        if how is None:
            await _send_content(exchange, answers)
            return None
        return await _send_messages(exchange, answers, how)


async def _request(exchange: Exchange, pipeline: Pipeline) -> bytes:
    """The one request. The stream may last, reading its request may not."""
    method, left = exchange.binding.method, exchange.context.remaining
    seconds = method.policy.deadline or DEFAULT_DEADLINE
    try:
        with Deadline(seconds if left is None else min(left, seconds)):
            request = await _read(exchange, pipeline)
    except TimeoutError:
        raise late(method) from None
    if method.http.sse_cursor and "last-event-id" in exchange.metadata:
        fill_cursor(exchange.binding, request, exchange.metadata["last-event-id"])
    return checked(exchange, pipeline, request)


async def _read(exchange: Exchange, pipeline: Pipeline) -> Message[Any]:
    binding, body = exchange.binding, b""
    binary = exchange.binary_body() if not binding.takes_http_body else True
    if exchange.has_body:
        limit = pipeline.limit(binding.method)
        body = await exchange.read(limit if binary else json_limit(pipeline, limit))
    if binding.takes_http_body:
        content_type = exchange.metadata.get("content-type")
        return binding.decode_raw(exchange.segments, exchange.query, body, content_type)
    return binding.decode(exchange.segments, exchange.query, body, binary=binary)


async def _head(exchange: Exchange, how: Format | None) -> None:
    """Answers without calling the service, whose content, if it is raw, may be of any type.

    Raises:
        ClientGoneError: always; that was all.
    """
    if how is not None:
        await exchange.start(how.content_type, NOT_BUFFERED)
    headers = exchange.answer_headers(OCTETS)[NO_CONTENT_TYPE:]
    exchange.started = True
    await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
    await exchange.send({"type": "http.response.body", "body": b""})
    raise ClientGoneError


async def _send_content(exchange: Exchange, answers: AsyncIterator[bytes]) -> None:
    """Raw content, of the type that the first message says."""
    async for data in answers:
        content, content_type = exchange.binding.encode(data, binary=False)
        if not exchange.started:
            await exchange.start(content_type)
        if content:
            await exchange.write(content)
    if not exchange.started:
        await exchange.start(OCTETS)
    await exchange.finish()


async def _send_messages(exchange: Exchange, answers: AsyncIterator[bytes], how: Format) -> Response | None:
    async with _Answer(exchange, how) as answer:
        try:
            async for data in answers:
                await answer.write(how.item(data))
        except ClientGoneError:
            raise
        except Exception as failure:  # noqa: BLE001 - a stream's outermost frame once its answer has begun
            error = failure if isinstance(failure, Error) else _defect(exchange)
            if not await answer.stopped():
                raise error from None
            await exchange.finish(how.error(error))
            return None
        if not await answer.stopped():
            if how.content_type == EVENTS and "last-event-id" in exchange.metadata:
                # There is nothing behind the last event; this keeps its source from asking again for ever.
                return Response(204, exchange.answer_headers(EVENTS)[NO_CONTENT_TYPE:], b"")
            await exchange.start(how.content_type, NOT_BUFFERED)
            await exchange.finish(how.begin + how.end())
            return None
        await exchange.finish(how.end())
        return None


class _Answer:
    """An answer under way, which also begins, and says that it is alive, while no message comes."""

    def __init__(self, exchange: Exchange, how: Format) -> None:
        self._exchange = exchange
        self._how = how
        self._lock = asyncio.Lock()
        self._written = 0.0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._idling = asyncio.create_task(self._idle(), name="silence of a stream")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def write(self, data: bytes) -> None:
        """Sends a part, behind what begins the answer if it is the first."""
        async with self._lock:
            await self._send(data)

    async def stopped(self) -> bool:
        """Writes nothing more of its own accord; returns whether the answer has begun."""
        async with self._lock:  # what it is writing goes out: half of it would spoil the answer
            await self._stop()
        return self._exchange.started

    async def _stop(self) -> None:
        self._idling.cancel()
        await asyncio.wait([self._idling])
        if not self._idling.cancelled():
            self._idling.exception()  # nobody could be written to, as the next to write will notice

    async def _idle(self) -> None:
        await asyncio.sleep(PATIENCE)
        async with self._lock:
            if not self._exchange.started:
                await self._send(b"")
        while self._how.idle:
            await asyncio.sleep(self._written + KEEP_ALIVE - self._loop.time())
            async with self._lock:
                if self._loop.time() - self._written >= KEEP_ALIVE:
                    await self._send(self._how.idle)

    async def _send(self, data: bytes) -> None:
        if not self._exchange.started:
            await self._exchange.start(self._how.content_type, NOT_BUFFERED)
            data = self._how.begin + data
        self._written = self._loop.time()
        if data:
            await self._exchange.write(data)


def _defect(exchange: Exchange) -> Error:
    return internal(exchange.binding.method.full_name, exchange.context.request_id)


async def _one(request: bytes) -> AsyncIterator[bytes]:
    yield request
