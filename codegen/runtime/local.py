"""Services in the caller's own process: a channel without a network."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from idiom.v1 import reason_errors as reasons

from codegen.runtime.context import Context, Identity, Wire
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.grpc_call import parsed as parsed_request
from codegen.runtime.grpc_client import CallOptions, parsed, serialized
from codegen.runtime.grpc_metadata import sendable
from codegen.runtime.identity import MIN_KEY_BYTES, Authenticator, UserTokens
from codegen.runtime.method import Method, Service
from codegen.runtime.pipeline import REQUEST_ID, Pipeline, internal
from codegen.runtime.validation import validate

R = TypeVar("R", bound=Message)
Implementation = Callable[..., Any]


class Local:
    """A `Channel` to implementations in this process, with what a gRPC server does for each call.

    That is: policies, sizes and rules of the schema are checked, deadlines hold, messages are copies,
    whatever fails is an Error, and what an implementation says beside its answer arrives. An implementation
    runs in its caller's task, so it is cancelled with it, and a stream goes only as far as it is read.

    Args:
        handlers: services and what implements their protocols.
        service: name under which this process calls; a call without a user is its own.
        pipeline: what every call goes through; who calls is taken from `CallOptions.identity`, never from
            tokens.
    """

    def __init__(
        self,
        handlers: Sequence[tuple[Service, object]],
        *,
        service: str = "local",
        pipeline: Pipeline | None = None,
    ) -> None:
        self._service = service
        self._pipeline = pipeline or _pipeline()
        self._implementations: dict[str, Implementation] = {
            method.path: getattr(implementation, method.attribute)
            for table, implementation in handlers
            for method in table.methods
        }

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One request, one response."""
        return parsed(response, await self.unary_bytes(method, request.SerializeToString(), options))

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        implementation = self._implementation(method)
        context = self._admitted(method, options, len(request))
        with _failures(method, context):
            message = parsed_request(method, request)
            response: Message = await self._pipeline.call(method, message, context, implementation)
            data = response.SerializeToString()
        _tell(context, options)
        return data

    async def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncGenerator[R, None]:
        """Many requests, many responses."""
        stream = self.stream_bytes(method, serialized(requests), options)
        async with contextlib.aclosing(stream) as answers:
            async for data in answers:
                yield parsed(response, data)

    async def stream_bytes(
        self, method: Method, requests: AsyncIterator[bytes], options: CallOptions
    ) -> AsyncGenerator[bytes, None]:
        """Requests and responses of a method that streams either way, serialized.

        What `requests` raises goes through the implementation to the caller.
        """
        implementation = self._implementation(method)
        context = self._admitted(method, options, 0)
        items = self._items(method, requests)
        with _failures(method, context):
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(_close, items)
                answers = _answers(method, implementation, items, context)
                await stack.enter_async_context(contextlib.aclosing(answers))
                data = await _next(answers, context)
                _tell(context, options)
                while data is not None:
                    yield data
                    data = await _next(answers, context)

    def _implementation(self, method: Method) -> Implementation:
        try:
            return self._implementations[method.path]
        except KeyError:
            raise Error(reasons.UNIMPLEMENTED, f"{method.path} is not served here") from None

    def _admitted(self, method: Method, options: CallOptions, size: int) -> Context:
        caller = dataclasses.replace(options.identity or Identity(), service=self._service)
        metadata = dict(sendable({key.lower(): value for key, value in options.metadata.items()}))
        if options.request_id:
            metadata[REQUEST_ID] = options.request_id
        context = self._pipeline.admit(
            method,
            {key: value for key, value in metadata.items() if isinstance(value, str)},
            wire=Wire.LOCAL,
            timeout=options.timeout,
            size=size,
            identity=caller,
        )
        return dataclasses.replace(context, metadata=metadata)

    async def _items(self, method: Method, requests: AsyncIterator[bytes]) -> AsyncGenerator[Message, None]:
        """The requests of a stream, each one checked."""
        async for data in requests:
            self._pipeline.check_size(method, len(data))
            request = parsed_request(method, data)
            validate(request)
            yield request


def _pipeline() -> Pipeline:
    """One that verifies no token but a caller's that nobody could have issued."""
    return Pipeline(Authenticator(UserTokens(secrets.token_bytes(MIN_KEY_BYTES), 1), None))


async def _answers(
    method: Method, implementation: Implementation, items: AsyncIterator[Message], context: Context
) -> AsyncGenerator[bytes, None]:
    called = implementation(items if method.client_streaming else await _only(items), context)
    if not method.server_streaming:
        yield (await called).SerializeToString()
        return
    try:
        async for response in called:
            yield response.SerializeToString()
    finally:
        await _close(called)


async def _only(items: AsyncIterator[Message]) -> Message:
    request = await anext(items, None)
    if request is None:
        raise Error(reasons.MALFORMED_BODY, "the call has no request")
    return request


async def _next(answers: AsyncIterator[bytes], context: Context) -> bytes | None:
    if context.remaining == 0:  # an implementation that never waits is not interrupted by a deadline
        raise TimeoutError
    with Deadline(context.remaining):
        return await anext(answers, None)


async def _close(items: Any) -> None:
    """End a generator, unless a task that an implementation left behind still waits for its next item."""
    if getattr(items, "aclose", None) and not getattr(items, "ag_running", False):
        await items.aclose()


def _tell(context: Context, options: CallOptions) -> None:
    if options.response_metadata is not None and context.response_metadata:
        told = {key.lower(): value for key, value in context.response_metadata.items()}
        options.response_metadata.update(sendable(told))


@contextlib.contextmanager
def _failures(method: Method, context: Context) -> Iterator[None]:
    """Whatever is raised, as an Error; a defect is logged and hidden."""
    try:
        yield
    except Error:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Its own code has cancelled what it awaits: the caller would take it for its own end.
        raise internal(method.full_name, context.request_id) from None
    except TimeoutError:
        raise Error(reasons.DEADLINE_EXCEEDED, "the deadline has passed") from None
    except Exception:  # noqa: BLE001 - the outermost frame of a call: no defect crosses a border as it is
        raise internal(method.full_name, context.request_id) from None
