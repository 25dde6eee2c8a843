"""Connect's unary form of a POST, which is nearly plain HTTP: served here, for it is what most calls are.

docs/adr/0013 has the numbers. Protocol: connectrpc.com/docs/protocol, "Unary-Request" and "Unary-Response".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson
from idiom.v1 import reason_errors as reasons
from starlette.types import Receive

from codegen.runtime.connect.call import Call
from codegen.runtime.connect.refusal import RefusalError
from codegen.runtime.errors import Error
from codegen.runtime.pipeline import REQUEST_ID, internal, late
from codegen.runtime.relay import Relay
from codegen.runtime.transcoding.compression import chosen, decoder, encoded
from codegen.runtime.transcoding.disconnect import ClientGoneError, LoopRounds, Watch, cancelled
from codegen.runtime.transcoding.http_error import headers_of
from codegen.runtime.transcoding.unary import COMPRESSED_HERE, Response

CODINGS = frozenset({"", "identity", "gzip", "br"})
"""Of requests."""


class Unary:
    """Answers unary calls.

    Args:
        relay: passes them on.
        compressed_from: bytes from which on an answer is compressed; 0 means never.
    """

    def __init__(self, relay: Relay, compressed_from: int) -> None:
        self._relay = relay
        self._compressed_from = compressed_from
        self._rounds = LoopRounds()

    async def answer(self, call: Call, receive: Receive, headers: Mapping[str, str]) -> Response:
        """The answer to a request, or what refuses it."""
        try:
            data = await self._called(call, receive, headers.get("content-encoding", ""))
            return await self._response(call, data, headers.get("accept-encoding"))
        except ClientGoneError:
            return refusal(call, cancelled())
        except Error as error:
            return refusal(call, error)
        except Exception:  # noqa: BLE001 - the outermost frame of a request: no defect crosses a border as it is
            return refusal(call, internal(call.entry.method.full_name, call.name))

    async def _called(self, call: Call, receive: Receive, coding: str) -> bytes:
        context, method = call.admitted, call.entry.method
        try:
            async with Watch(self._rounds.current(), receive, context.remaining, body_read=False) as watch:
                body = await _body(receive, watch, coding, call.entry.max_bytes)
                message, payload = call.read(body)
                return await self._relay.once(method, message, payload, context)
        except TimeoutError:
            raise late(method) from None

    async def _response(self, call: Call, data: bytes, accepted: str | None) -> Response:
        body = call.written(data)
        headers = _headers(call, call.form.content_type)
        headers += self._relay.exposed_headers(call.admitted)
        headers.append((b"vary", b"accept-encoding"))
        if 0 < self._compressed_from <= len(body) and (coding := chosen(accepted)):
            headers.append((b"content-encoding", coding.encode()))
            large = len(body) > COMPRESSED_HERE
            body = await asyncio.to_thread(encoded, coding, body) if large else encoded(coding, body)
        return Response(200, headers, body)


def refusal(call: Call, error: Error) -> Response:
    """An error as the body and the status of an answer."""
    headers = _headers(call, "application/json") + headers_of(error, error.http_status)
    return Response(error.http_status, headers, orjson.dumps(RefusalError(error).told()))


def _headers(call: Call, content_type: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", content_type.encode()),
        (b"x-content-type-options", b"nosniff"),
        (REQUEST_ID.encode(), call.name.encode()),
    ]


async def _body(receive: Receive, watch: Watch, coding: str, limit: int) -> bytes:
    """The whole body, decompressed; at most `limit` bytes, before and after."""
    if coding.lower() not in CODINGS:
        raise Error(reasons.UNIMPLEMENTED, f"unknown compression; known are {', '.join(sorted(CODINGS)[1:])}")
    decode = decoder(coding)
    chunks: list[bytes] = []
    received = size = 0
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        more = event.get("more_body", False)
        if not more:
            watch.body_read()
        data: bytes = event.get("body", b"")
        received += len(data)
        for part in (data,) if decode is None else decode.decode(data):
            chunks.append(part)
            size += len(part)
            if max(size, received) > limit:
                raise Error(reasons.TOO_LARGE, f"the body is larger than {limit} bytes")
    if decode is not None and received:
        decode.finish()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
