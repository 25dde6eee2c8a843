"""One gRPC call on the server: from bytes to an implementation and back."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError, Message
from idiom.v1.reason_errors import DEADLINE_EXCEEDED, DRAINING, MALFORMED_BODY

from codegen.runtime.context import Context, Wire
from codegen.runtime.errors import Error, to_status
from codegen.runtime.grpc_failure import CODES, DETAILS
from codegen.runtime.grpc_metadata import received, sendable
from codegen.runtime.pipeline import internal, request_id
from codegen.runtime.validation import validate

if TYPE_CHECKING:
    from google.rpc import status_pb2
    from grpc import aio

    from codegen.runtime.method import Method
    from codegen.runtime.pipeline import Pipeline

    Servicer = aio.ServicerContext[bytes, bytes]
    Requests = AsyncIterator[bytes]

MAX_DETAILS = 4500
"""Bytes of details: gRPC clients may refuse more than 8 KiB of metadata."""
MAX_MESSAGE = 1000
"""Bytes of a message in UTF-8; outside ASCII, `grpc-message` takes three times as many."""


class Calls:
    """Makes handlers that run calls through the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.draining = asyncio.Event()
        """Set when streams of requests shall end."""
        self._abandoned = False
        self._under_way: set[asyncio.Task[Any] | None] = set()

    def drain(self) -> None:
        """End all streams of requests, so that what answers them comes to its end."""
        self.draining.set()

    def abandon(self) -> None:
        """Cancel all calls under way; their callers hear that this instance is draining."""
        self._abandoned = True
        for task in self._under_way:
            if task:
                task.cancel()

    def handler(
        self, method: Method, implementation: Callable[..., Any]
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """A handler of raw bytes, so that unreadable requests get a typed error."""
        make: Callable[[Any], grpc.RpcMethodHandler[bytes, bytes]]
        match method.client_streaming, method.server_streaming:
            case False, False:
                make, handle = grpc.unary_unary_rpc_method_handler, self._unary(method, implementation)
            case False, True:
                make, handle = (
                    grpc.unary_stream_rpc_method_handler,
                    self._unary_stream(method, implementation),
                )
            case True, False:
                make, handle = (
                    grpc.stream_unary_rpc_method_handler,
                    self._stream_unary(method, implementation),
                )
            case _:
                make, handle = grpc.stream_stream_rpc_method_handler, self._stream(method, implementation)
        return make(handle)

    def raw(
        self, method: Method, serve: Callable[[Servicer], Awaitable[None]]
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """A handler of a stream that reads and writes by itself, and runs its own pipeline."""

        async def handle(_requests: Requests, servicer: Servicer) -> None:
            async with self._answering(method, servicer):
                await serve(servicer)

        make: Callable[[Any], grpc.RpcMethodHandler[bytes, bytes]] = grpc.stream_stream_rpc_method_handler
        return make(handle)

    def _unary(self, method: Method, implementation: Callable[..., Any]) -> Any:
        async def handle(data: bytes, servicer: Servicer) -> bytes:
            async with self._answering(method, servicer):
                context = self._admit(method, servicer, len(data))
                request = parsed(method, data)
                response: Message = await self._pipeline.call(method, request, context, implementation)
                data = response.SerializeToString()
                await _tell(servicer, context)
                return data
            raise AssertionError  # the context has aborted the call

        return handle

    def _unary_stream(self, method: Method, implementation: Callable[..., Any]) -> Any:
        async def handle(data: bytes, servicer: Servicer) -> AsyncIterator[bytes]:
            async with self._answering(method, servicer):
                context = self._admit(method, servicer, len(data))
                request = parsed(method, data)
                validate(request)
                responses = implementation(request, context)
                async with contextlib.aclosing(_answers(responses, servicer, context)) as answers:
                    async for answer in answers:
                        yield answer

        return handle

    def _stream_unary(self, method: Method, implementation: Callable[..., Any]) -> Any:
        async def handle(requests: Requests, servicer: Servicer) -> bytes:
            async with self._answering(method, servicer):
                context = self._admit(method, servicer, 0)
                response: Message = await implementation(self._items(method, requests), context)
                data = response.SerializeToString()
                await _tell(servicer, context)
                return data
            raise AssertionError  # the context has aborted the call

        return handle

    def _stream(self, method: Method, implementation: Callable[..., Any]) -> Any:
        async def handle(requests: Requests, servicer: Servicer) -> AsyncIterator[bytes]:
            async with self._answering(method, servicer):
                context = self._admit(method, servicer, 0)
                responses = implementation(self._items(method, requests), context)
                async with contextlib.aclosing(_answers(responses, servicer, context)) as answers:
                    async for answer in answers:
                        yield answer

        return handle

    @contextlib.asynccontextmanager
    async def _answering(self, method: Method, servicer: Servicer) -> AsyncIterator[None]:
        """Turn whatever is raised into the call's status."""
        task = asyncio.current_task()
        self._under_way.add(task)
        try:
            yield
        except Error as error:
            await refuse(servicer, error)
        except TimeoutError:
            await refuse(servicer, Error(DEADLINE_EXCEEDED, "the deadline has passed"))
        except asyncio.CancelledError:
            if self._abandoned:
                await refuse(servicer, Error(DRAINING, "the instance is shutting down"))
            if task is None or task.cancelling():
                raise
            # Its own code has cancelled what it awaits: gRPC would leave the caller without an answer.
            await refuse(servicer, internal(method.full_name, request_id(_metadata(servicer))))
        except Exception:  # noqa: BLE001  # the outermost frame of a call: no defect crosses a border as it is
            await refuse(servicer, internal(method.full_name, request_id(_metadata(servicer))))
        finally:
            self._under_way.discard(task)

    def _admit(self, method: Method, servicer: Servicer, size: int) -> Context:
        timeout = servicer.time_remaining()
        context = self._pipeline.admit(
            method, _metadata(servicer), wire=Wire.GRPC, timeout=timeout, size=size
        )
        if any(key.endswith("-bin") for key, _ in servicer.invocation_metadata() or ()):
            context = dataclasses.replace(context, metadata=received(servicer.invocation_metadata()))
        return context

    async def _items(self, method: Method, requests: Requests) -> AsyncIterator[Message]:
        """The requests of a stream, each one checked, until the caller or this server ends it."""
        draining = asyncio.ensure_future(self.draining.wait())
        try:
            while (data := await _next(requests, draining)) is not None:
                self._pipeline.check_size(method, len(data))
                request = parsed(method, data)
                validate(request)
                yield request
        finally:
            draining.cancel()


def parsed(method: Method, data: bytes) -> Message:
    """The request of a call.

    Raises:
        Error: MALFORMED_BODY.
    """
    try:
        return method.request.FromString(data)
    except DecodeError:
        name = method.request.DESCRIPTOR.full_name
        raise Error(MALFORMED_BODY, f"the request is not a serialized {name}") from None


def bounded(error: Error, message: int, whole: int) -> status_pb2.Status:
    """The error as a status of bounded size: what is too much is left out, the largest detail first.

    Args:
        error: what happened.
        message: most bytes of its message in UTF-8.
        whole: most bytes of the status; more than those of the message.
    """
    status = to_status(error)
    if len(status.message) > message // 4:  # a character has four bytes at most
        status.message = error.message.encode()[:message].decode(errors="ignore")
    while status.ByteSize() > whole:
        status.details.remove(max(status.details, key=lambda detail: detail.ByteSize()))
    return status


async def refuse(servicer: Servicer, error: Error) -> None:
    """End a call with an error, as far as metadata can carry it."""
    status = bounded(error, MAX_MESSAGE, MAX_DETAILS)
    code = CODES.get(error.reason.code, grpc.StatusCode.UNKNOWN)
    await servicer.abort(code, status.message, ((DETAILS, status.SerializeToString()),))


def _metadata(servicer: Servicer) -> dict[str, str]:
    return {key: value for key, value in servicer.invocation_metadata() or () if isinstance(value, str)}


async def _tell(servicer: Servicer, context: Context) -> None:
    """Send what an implementation says beside its answer."""
    if context.response_metadata:
        told = {key.lower(): value for key, value in context.response_metadata.items()}
        await servicer.send_initial_metadata(sendable(told))


async def _answers(
    responses: AsyncIterator[Message], servicer: Servicer, context: Context
) -> AsyncGenerator[bytes, None]:
    """The serialized responses of a stream, metadata before the first; ends the implementation's side."""
    told = False
    try:
        async for response in responses:
            if not told:
                await _tell(servicer, context)
                told = True
            yield response.SerializeToString()
        if not told:
            await _tell(servicer, context)
    finally:
        if close := getattr(responses, "aclose", None):
            await close()


async def _next(requests: Requests, draining: asyncio.Future[Any]) -> bytes | None:
    item = asyncio.ensure_future(anext(requests, None))
    try:
        await asyncio.wait({item, draining}, return_when=asyncio.FIRST_COMPLETED)
        return item.result() if item.done() else None
    finally:
        item.cancel()
