"""Calls that stream both ways, as WebSockets: a message of the call is a message of the socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from idiom.v1 import reason_errors as reasons
from starlette.types import Message as Event

from codegen.runtime.errors import Error, Reason
from codegen.runtime.grpc_client import Channel
from codegen.runtime.json_diagnosis import invalid, malformed
from codegen.runtime.pipeline import Pipeline, internal
from codegen.runtime.transcoding.disconnect import ClientGoneError
from codegen.runtime.transcoding.exchange import Exchange
from codegen.runtime.transcoding.feed import Feed
from codegen.runtime.transcoding.negotiation import JSON
from codegen.runtime.transcoding.request_stream import checked
from codegen.runtime.transcoding.stream_format import stated
from codegen.runtime.transcoding.unary import json_limit

SUBPROTOCOLS: Mapping[str, bool] = {"json": False, "proto": True}
"""Whether messages of a subprotocol are binary."""
BEARER = "bearer."
"""Prefix of a subprotocol that is no such thing but a token, from browsers, which cannot set headers."""
END = ""
"""Text with which a client says that it sends no more and goes on to listen. JSON is never empty."""
GRACE = 5.0
"""Seconds that a service has to come to its end after its client has closed the socket in good order."""

NORMAL, GOING_AWAY, WRONG_KIND, POLICY_VIOLATION = 1000, 1001, 1003, 1008
CODES: Mapping[Reason, int] = {
    reasons.MALFORMED_BODY: 1007,
    reasons.TOO_LARGE: 1009,
    reasons.INTERNAL: 1011,
}
"""Close codes that RFC 6455 has for reasons (section 7.4.1); others are 4000 and the canonical code."""
OWN_CODES = 4000
MAX_REASON = 123
"""Most bytes of a reason for closing (RFC 6455, section 5.5)."""


class _UsageError(Exception):
    """A client breaks the rules of the socket rather than those of the schema."""

    def __init__(self, code: int, error: Error) -> None:
        self.code = code
        self.error = error


def take_token(metadata: dict[str, str]) -> None:
    """Moves a token among the subprotocols of a handshake to where tokens belong.

    Beside an `Authorization` header, or another token, it makes a list of two, which is refused.
    """
    offered = [each.strip() for each in metadata.get("sec-websocket-protocol", "").split(",")]
    tokens = [f"Bearer {each[len(BEARER) :]}" for each in offered if each.startswith(BEARER)]
    if not tokens:
        return
    given = metadata.get("authorization")
    metadata["authorization"] = ",".join([*([given] if given is not None else []), *tokens])
    metadata["sec-websocket-protocol"] = ",".join(each for each in offered if not each.startswith(BEARER))


async def serve_socket(exchange: Exchange, channel: Channel, pipeline: Pipeline) -> None:
    """Serves a call that streams both ways.

    Raises:
        Error: before the handshake: a path, query or subprotocol that cannot be.
    """
    subprotocol = _subprotocol(exchange.metadata.get("sec-websocket-protocol", ""))
    exchange.binding.decode_frame(exchange.segments, exchange.query, b"", binary=True)
    socket = _Socket(exchange, pipeline, subprotocol)
    await socket.accept()
    try:
        async with Feed(socket.requests()) as feed:
            answers: Any = channel.stream_bytes(exchange.binding.method, feed.requests(), exchange.options())
            async with contextlib.aclosing(answers):
                async for data in answers:
                    await socket.answer(data)
        await socket.close(NORMAL)
    except ClientGoneError:
        return
    except _UsageError as failure:
        await socket.fail(failure.error, failure.code)
    except Error as error:
        await socket.fail(error, CODES.get(error.reason, OWN_CODES + error.reason.code))
    except Exception:  # noqa: BLE001 - a socket's outermost frame: no defect crosses a border as it is
        defect = internal(exchange.binding.method.full_name, exchange.context.request_id)
        await socket.fail(defect, CODES[reasons.INTERNAL])


class _Socket:
    """One connection."""

    def __init__(self, exchange: Exchange, pipeline: Pipeline, subprotocol: str | None) -> None:
        self._exchange = exchange
        self._pipeline = pipeline
        self._subprotocol = subprotocol
        self._binary = SUBPROTOCOLS.get(subprotocol or "", False)
        self._gone = False
        limit = pipeline.limit(exchange.binding.method)
        self._limits = {True: limit, False: json_limit(pipeline, limit)}

    async def accept(self) -> None:
        """Completes the handshake."""
        await self._exchange.receive()  # websocket.connect
        headers = [(b"x-request-id", self._exchange.context.request_id.encode())]
        self._exchange.started = True
        await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol, "headers": headers})

    async def requests(self) -> AsyncGenerator[bytes | None, None]:
        """What the client says; None once it says no more.

        Raises:
            Error: what it says is refused.
            ClientGoneError: it has gone away.
        """
        ended, first = False, True
        while (said := await self._received()) is not None:
            if ended:
                raise _UsageError(POLICY_VIOLATION, malformed("a message follows the end of the requests"))
            if said == END:
                ended = True
                yield None
            else:
                yield self._read(said, first=first)
                first = False
        yield None
        await asyncio.sleep(GRACE)
        raise ClientGoneError

    async def answer(self, data: bytes) -> None:
        """Sends a message as the client sent its last, or as the subprotocol has it."""
        sent, content_type = self._exchange.binding.encode(data, binary=self._binary)
        if content_type == JSON:
            await self._send({"type": "websocket.send", "text": sent.decode()})
        else:
            await self._send({"type": "websocket.send", "bytes": sent})

    async def fail(self, error: Error, code: int) -> None:
        """Says what is wrong, to a client that is still there, and closes."""
        with contextlib.suppress(ClientGoneError):
            await self._send({"type": "websocket.send", "text": stated(error).decode()})
            await self.close(code, error.reason.name)

    async def close(self, code: int, reason: str = "") -> None:
        """Begins the closing handshake."""
        told = reason.encode()[:MAX_REASON].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": told})

    async def _received(self) -> str | bytes | None:
        """The next message; None if the client has closed the socket in good order."""
        event = await self._exchange.receive()
        if event["type"] == "websocket.disconnect":
            self._gone = True
            if event.get("code") in (NORMAL, GOING_AWAY):
                return None
            raise ClientGoneError
        text: str | None = event.get("text")
        return text if text is not None else event["bytes"]

    def _read(self, said: str | bytes, *, first: bool) -> bytes:
        binary = isinstance(said, bytes)
        if self._subprotocol is None:
            self._binary = binary
        elif binary != self._binary and said != END:
            kind = "binary" if binary else "text"
            raise _UsageError(WRONG_KIND, malformed(f"{self._subprotocol} has no {kind} messages"))
        data = said if isinstance(said, bytes) else said.encode("utf-8", "surrogatepass")
        if len(data) > (limit := self._limits[binary]):
            raise Error(reasons.TOO_LARGE, f"the message is larger than {limit} bytes")
        binding = self._exchange.binding
        if first:
            message = binding.decode_frame(self._exchange.segments, self._exchange.query, data, binary=binary)
        else:
            message = binding.request.parse_binary(data) if binary else binding.request.parse(data)
        return checked(self._exchange, self._pipeline, message)

    async def _send(self, event: Event) -> None:
        if self._gone:
            return
        try:
            await self._exchange.send(event)
        except RuntimeError:  # what some servers have for a socket that has closed meanwhile
            raise ClientGoneError from None


def _subprotocol(offered: str) -> str | None:
    """The first of the client's that is known; None if it names none.

    Raises:
        Error: INVALID_FIELD: it names others only.
    """
    names = [name for each in offered.split(",") if (name := each.strip())]
    known = next((name for name in names if name in SUBPROTOCOLS), None)
    if names and known is None:
        raise invalid("sec-websocket-protocol", f"one of {', '.join(SUBPROTOCOLS)} is expected")
    return known
