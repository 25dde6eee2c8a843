"""Native gRPC for callers outside: calls are let in as on every wire, checked, and passed on as bytes."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message
from idiom.v1 import reason_errors as reasons

from codegen.runtime.context import Context, Wire
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.grpc_call import Calls, parsed
from codegen.runtime.grpc_metadata import received, sendable
from codegen.runtime.grpc_server import serving
from codegen.runtime.pipeline import REQUEST_ID, Pipeline, request_id
from codegen.runtime.relay import Relay
from codegen.runtime.transcoding.settings import HttpSettings

if TYPE_CHECKING:
    from grpc import aio

    from codegen.runtime.grpc_client import Channel
    from codegen.runtime.method import Method, Service

    Servicer = aio.ServicerContext[bytes, bytes]
    Requests = AsyncIterator[bytes]

MARGIN = 2
"""Times the largest limit of a method that gRPC itself reads, so that most refusals are the pipeline's.

It bounds what is unpacked of a compressed message, too.
"""

OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
)
"""A connection from outside has 100 calls at most, pings every ten seconds, ends after five idle minutes."""


@contextlib.asynccontextmanager
async def serve_grpc_edge(  # noqa: PLR0913 - what it needs, by keyword
    address: str,
    services: Sequence[Service],
    *,
    pipeline: Pipeline,
    channel: Channel,
    settings: HttpSettings | None = None,
    drain: float = 5.0,
) -> AsyncIterator[int]:
    """Serve services over gRPC by calling a channel while the context lasts; yields the bound port.

    Health and reflection are served to anybody. At the end new calls are refused, and calls under way have
    `drain` seconds.

    Args:
        address: `host:port`; port 0 takes a free one.
        services: whose methods are served.
        pipeline: run once per call.
        channel: reaches the services.
        settings: which metadata passes; the rest is for HTTP.
        drain: seconds.

    Raises:
        OSError: the address cannot be listened on.
    """
    calls = PassedOn(Relay(pipeline, channel, settings or HttpSettings()))
    methods = [method for each in services for method in each.methods]
    largest = max((pipeline.limit(method) for method in methods), default=0)
    options = (*OPTIONS, ("grpc.max_receive_message_length", MARGIN * largest))
    table = {method.path: calls.passing(method) for method in methods}
    names = [each.name for each in services]
    async with serving(address, names, table, calls, options=options, drain=drain) as port:
        yield port


class PassedOn(Calls):
    """Makes handlers that pass calls on.

    Every handler reads its requests itself, whatever the kind of its method: gRPC would read a single request
    before anybody has looked at who calls. At the end of the server streams of requests go on until they are
    abandoned: those that end early here would be taken for complete behind.

    Args:
        relay: passes them on.
    """

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay.pipeline)
        self._relay = relay

    def passing(self, method: Method) -> grpc.RpcMethodHandler[bytes, bytes]:
        """A handler of raw bytes."""
        make: Callable[[Any], grpc.RpcMethodHandler[bytes, bytes]] = grpc.stream_stream_rpc_method_handler
        streams = method.client_streaming or method.server_streaming
        return make(self._many(method) if streams else self._one(method))

    def _one(self, method: Method) -> Any:
        async def handle(requests: Requests, servicer: Servicer) -> AsyncGenerator[bytes, None]:
            async with self._answering(method, servicer):
                context = self._let_in(method, servicer)
                with Deadline(context.remaining):
                    data = await anext(aiter(requests), None)
                if data is None:
                    raise Error(reasons.MALFORMED_BODY, "a request is expected")
                answer = await self._relay.unary(method, parsed(method, data), data, context)
                await self._say(servicer, context)
                yield answer

        return handle

    def _many(self, method: Method) -> Any:
        def read(data: bytes) -> tuple[Message, bytes]:
            return parsed(method, data), data

        async def handle(requests: Requests, servicer: Servicer) -> AsyncGenerator[bytes, None]:
            async with self._answering(method, servicer):
                context = self._let_in(method, servicer)
                stream: Any = self._relay.stream(method, requests, read, context)
                said = False
                async with contextlib.aclosing(stream) as answers:
                    async for answer in answers:
                        if not said:
                            said = True
                            await self._say(servicer, context)
                        yield answer

        return handle

    def _let_in(self, method: Method, servicer: Servicer) -> Context:
        told = received(servicer.invocation_metadata())
        metadata = {key: _text(value) for key, value in told.items()}
        metadata[REQUEST_ID] = request_id(metadata)
        return self._relay.admit(method, metadata, Wire.GRPC, servicer.time_remaining())

    async def _say(self, servicer: Servicer, context: Context) -> None:
        said = {**self._relay.exposed(context), REQUEST_ID: context.request_id}
        await servicer.send_initial_metadata(sendable(said))


def _text(value: str | bytes) -> str:
    """Metadata as a header would say it."""
    return value if isinstance(value, str) else base64.b64encode(value).decode()
