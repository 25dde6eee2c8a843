"""Methods as Connect's library calls them: bytes in, bytes out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import Endpoint
from idiom.v1 import reason_errors as reasons

from codegen.runtime.connect.call import CALL, Call, Entry
from codegen.runtime.connect.refusal import own
from codegen.runtime.errors import Error
from codegen.runtime.relay import Relay

Ctx = RequestContext[bytes, bytes]


class Passing:
    """A codec that leaves messages as they are: what they say is read and written where errors have names.

    Args:
        name: `json` or `proto`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        """Suffix of the content type."""
        return self._name

    def encode(self, message: bytes) -> bytes:
        """The same."""
        return message

    def decode(self, data: bytes | bytearray, _type: type[bytes]) -> bytes:
        """The same."""
        return data if isinstance(data, bytes) else bytes(data)


class Endpoints:
    """Endpoints of methods, each of which passes its calls on.

    Args:
        relay: passes them on.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def of(self, entry: Entry) -> Any:
        """The endpoint of a method."""
        match entry.method.client_streaming, entry.method.server_streaming:
            case False, False:
                return Endpoint.unary(_info(entry, StreamType.UNARY), self._unary)
            case True, False:
                return Endpoint.client_stream(_info(entry, StreamType.CLIENT_STREAM), self._client_stream)
            case False, True:
                return Endpoint.server_stream(_info(entry, StreamType.SERVER_STREAM), self._server_stream)
            case _:
                return Endpoint.bidi_stream(_info(entry, StreamType.BIDI_STREAM), self._bidi_stream)

    async def _unary(self, data: bytes, ctx: Ctx) -> bytes:
        call = CALL.get()
        if call.form.binary:
            self._relay.pipeline.check_size(call.entry.method, len(data))
        message, payload = call.read(data)
        answer = await self._relay.unary(call.entry.method, message, payload, call.admitted)
        self._tell(call, ctx)
        return call.written(answer)

    async def _client_stream(self, requests: AsyncIterator[bytes], ctx: Ctx) -> bytes:
        async with contextlib.aclosing(self._bidi_stream(requests, ctx)) as answers:
            given = [answer async for answer in answers]
        if len(given) != 1:
            raise Error(reasons.INTERNAL, "the service did not answer once")
        return given[0]

    async def _server_stream(self, data: bytes, ctx: Ctx) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._bidi_stream(_once(data), ctx)) as answers:
            async for answer in answers:
                yield answer

    async def _bidi_stream(self, requests: AsyncIterator[bytes], ctx: Ctx) -> AsyncGenerator[bytes, None]:
        call = CALL.get()
        method = call.entry.method
        stream: Any = self._relay.stream(method, _refusing(requests), call.read, call.admitted)
        told = False
        async with contextlib.aclosing(stream) as answers:
            async for answer in answers:
                if not told:
                    told = True
                    self._tell(call, ctx)
                yield call.written(answer)

    def _tell(self, call: Call, ctx: Ctx) -> None:
        for name, value in self._relay.exposed_headers(call.admitted):
            ctx.response_headers[name.decode()] = value.decode()


def _info(entry: Entry, kind: StreamType) -> MethodInfo[bytes, bytes]:
    harmless = "GET" in entry.verbs
    return MethodInfo(
        name=entry.method.name,
        service_name=entry.method.service,
        input=bytes,
        output=bytes,
        idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS if harmless else IdempotencyLevel.UNKNOWN,
        stream_type=kind,
    )


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


async def _refusing(requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same requests; what is wrong with their envelopes is an Error, as all that ends a call."""
    try:
        async for request in requests:
            yield request
    except ConnectError as error:
        raise own(error) from None
