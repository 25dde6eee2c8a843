"""A peer of the generated browser client that says what the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.servers import free_port

CLIENT = (
    "const { createClient, compareInt64, RpcError, ReadSocket, ShelfReason } = await import('/web/shelf.js');"
)

REFUSAL = {
    "code": 5,
    "message": "There is no such book.",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NO_BOOK", "domain": "shelf"},
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "name", "description": "unknown"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"},
    ],
}


class Peer:
    """Serves the generated files, answers HTTP calls with what it got, and hands sockets to the test."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.url = ""
        self.sockets: asyncio.Queue[WebSocket] = asyncio.Queue()
        self.held = asyncio.Event()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                WebSocketRoute("/read", self.read),
                Route("/", self.page),
                Route("/web/{name}", self.file),
                Route("/{path:path}", self.echo, methods=["GET", "POST", "PATCH"]),
            ]
        )

    async def page(self, _: Request) -> Response:
        return Response("<!doctype html><title>t</title>", media_type="text/html")

    async def file(self, request: Request) -> Response:
        return Response(self.files["web/" + request.path_params["name"]], media_type="text/javascript")

    async def echo(self, request: Request) -> Response:
        body = (await request.body()).decode()
        seen = {
            "verb": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "body": json.loads(body) if body else None,
            "authorization": request.headers.get("authorization"),
            "type": request.headers.get("content-type"),
        }
        if "refused" in seen["path"]:
            return JSONResponse(REFUSAL, 404)
        if "proxy" in seen["path"]:
            return Response("<h1>Bad Gateway</h1>", 502, media_type="text/html")
        if "slow" in seen["path"]:
            await self.held.wait()
        return JSONResponse(seen)

    async def read(self, socket: WebSocket) -> None:
        self.held.clear()
        await socket.accept("shelf.v1.json")
        await self.sockets.put(socket)
        try:
            await self.held.wait()
        except (WebSocketDisconnect, asyncio.CancelledError):
            return

    async def greeted(self, heartbeat_seconds: int = 1) -> WebSocket:
        """The next socket, after its hello."""
        socket = await self.sockets.get()
        assert await socket.receive_json() == {"hello": {"token": "t"}}
        await socket.send_json({"welcome": {"heartbeatSeconds": heartbeat_seconds}})
        return socket


@asynccontextmanager
async def served(peer: Peer) -> AsyncIterator[None]:
    port = free_port()
    config = uvicorn.Config(
        peer.app(),
        port=port,
        log_level="error",
        ws="websockets-sansio",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        peer.url = f"http://127.0.0.1:{port}"
        try:
            yield
        finally:
            peer.held.set()
            server.should_exit = True


async def run(page: Page, *body: str) -> Any:
    """What a script with the client at hand returns."""
    return await page.evaluate(f"async () => {{ {CLIENT} {' '.join(body)} }}")
