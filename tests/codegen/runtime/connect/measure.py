"""How fast one call is by Connect and gRPC-Web, next to the same call by REST.

All in one app, with its own stack, requests as a server hands them over, an upstream in process that takes a
turn of the event loop. In processor time.

    python -m tests.codegen.runtime.connect.measure
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import orjson
import uvloop
from fastapi import FastAPI
from im.descriptors import registry
from im.logic.v1 import message_service_pb2 as messages
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE

from codegen.runtime.connect import mount_connect
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.settings import HttpSettings
from gateway_routes import ROUTES
from impl.cli.bench.by_hand import KEY, QUIET, TEXT, answer
from tests.codegen.runtime.connect.wire import envelope

CONNECT = "/im.logic.v1.MessageService/SendMessage"
Headers = list[tuple[bytes, bytes]]


class Upstream:
    """The upstream, as a channel."""

    async def unary_bytes(self, method: Method, request: bytes, _options: CallOptions) -> bytes:
        """One call."""
        await asyncio.sleep(0)
        answered: Any = await answer(method.request.FromString(request))
        data: bytes = answered.SerializeToString()
        return data


def app() -> FastAPI:
    """All wires of HTTP."""
    made = FastAPI(redirect_slashes=False, telemetry=QUIET)
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 3600), None))
    channel: Any = Upstream()
    settings = HttpSettings()
    mount(
        made, Dispatch(ROUTES, registry=registry(), pipeline=pipeline, channel=channel, settings=settings), {}
    )
    mount_connect(
        made, [MESSAGE_SERVICE], registry=registry(), pipeline=pipeline, channel=channel, settings=settings
    )
    return made


async def rate(served: FastAPI, path: str, body: bytes, headers: Headers, seconds: float = 2.0) -> float:
    """Calls per second of processor time, one after the other."""
    token, _ = UserTokens(KEY, 3600).issue("5", "7")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            *((b"host", b"localhost"), (b"user-agent", b"measure"), (b"accept", b"*/*")),
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    gone = asyncio.Event()

    def receiver() -> Any:
        events = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            if (event := next(events, None)) is not None:
                return event
            await gone.wait()
            return {"type": "http.disconnect"}

        return receive

    async def send(event: Any) -> None:
        assert event.get("status", 200) == 200, event

    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for _ in range(100):
            await served(dict(scope), receiver(), send)
            await asyncio.sleep(0)  # a server returns to its event loop, too
        count += 100
    return count / (time.process_time() - start)


async def main() -> None:
    """Prints a table."""
    text = orjson.dumps({"clientMessageId": "a1b2c3", "toUserId": "12345", "text": TEXT})
    data = messages.SendMessageRequest(
        client_message_id="a1b2c3", to_user_id=12345, text=TEXT
    ).SerializeToString()
    cases: list[tuple[str, str, bytes, str, Headers]] = [
        ("REST, JSON", "/v1/messages", text, "application/json", []),
        ("Connect, JSON", CONNECT, text, "application/json", []),
        ("Connect, JSON, gzip accepted", CONNECT, text, "application/json", [(b"accept-encoding", b"gzip")]),
        ("Connect, binary", CONNECT, data, "application/proto", []),
        ("gRPC-Web, JSON", CONNECT, envelope(text), "application/grpc-web+json", []),
        ("gRPC-Web, binary", CONNECT, envelope(data), "application/grpc-web+proto", []),
    ]
    served = app()
    for name, path, body, kind, headers in cases:
        found = await rate(served, path, body, [(b"content-type", kind.encode()), *headers])
        sys.stdout.write(f"{name}: {found:,.0f}/s, {1e6 / found:.0f} us\n")


if __name__ == "__main__":
    uvloop.run(main())
