"""Connect in apps of all sorts, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from codegen.runtime.connect import mount_connect
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.runtime.connect.conftest import SETTINGS, pipeline
from tests.codegen.runtime.http.request import Client

PATH = "/gallery.v1.GalleryService/ListTitles"
JSON = {"content-type": "application/json"}


class Silent:
    """A channel to a service that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def unary_bytes(self, *_: Any) -> bytes:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return b""


class Quick:
    """A channel to a service that answers nothing."""

    async def unary_bytes(self, *_: Any) -> bytes:
        return b""


@pytest.fixture
def emptied() -> None:
    """There is nothing to empty."""


def mounted(app: Any, channel: Any, settings: HttpSettings | None = None) -> Any:
    mount_connect(
        app,
        [generated().rpc.GALLERY_SERVICE],
        registry=generated().descriptors.registry(),
        pipeline=pipeline(),
        channel=channel,
        settings=settings,
    )
    return app


async def test_middleware_of_the_app_applies() -> None:
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["POST"])
    client = Client(mounted(app, Quick()))
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    preflight = await client.send("OPTIONS", PATH, headers=asked)
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, "https://a.example")
    answer = await client.send("POST", PATH, b"{}", {**JSON, "origin": "https://a.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://a.example")


async def test_an_app_below_another_serves_it_too() -> None:
    client = Client(Starlette(routes=[Mount("/rpc", mounted(Starlette(), Quick()))]))
    assert (await client.send("POST", f"/rpc{PATH}", b"{}", JSON)).content == b"{}"
    web = {"content-type": "application/grpc-web+json"}
    assert (await client.send("POST", f"/rpc{PATH}", b"\0\0\0\0\2{}", web)).status == 200
    assert (await client.send("POST", PATH, b"{}", JSON)).status == 404


@pytest.mark.parametrize(
    ("kind", "body"), [("application/json", b"{}"), ("application/grpc-web+json", b"\0\0\0\0\2{}")]
)
async def test_a_client_that_goes_away_cancels_its_call(kind: str, body: bytes) -> None:
    silent = Silent()
    app = mounted(FastAPI(), silent)
    events = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        if (event := next(events, None)) is not None:
            return event
        await silent.asked.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    await asyncio.wait_for(app(_post([(b"content-type", kind.encode())]), receive, send), 5)
    assert silent.cancelled.is_set()
    assert not any(event.get("status") == 200 and kind == "application/json" for event in sent)


@pytest.mark.parametrize(
    ("kind", "body"), [("application/json", b"{}"), ("application/grpc-web+json", b"\0\0\0\0\2{}")]
)
async def test_middleware_that_gives_a_body_again_and_again_holds_nothing_up(kind: str, body: bytes) -> None:
    app, asked = mounted(FastAPI(), Silent()), 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        if asked > 100:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    headers = [(b"content-type", kind.encode()), (b"connect-timeout-ms", b"300"), (b"grpc-timeout", b"300m")]
    await asyncio.wait_for(app(_post(headers), receive, send), 5)
    assert asked <= 3
    assert sent[0]["status"] == (504 if kind == "application/json" else 200)


@pytest.mark.parametrize("root", ["/gallery", "/gallery.v1", "/proxied"])
async def test_a_prefix_that_a_proxy_took_away_is_no_part_of_a_name(root: str) -> None:
    app = mounted(FastAPI(), Quick())

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": root}, receive, send)

    client = Client(proxied)
    assert (await client.send("POST", PATH, b"{}", JSON)).content == b"{}"
    assert (await client.send("POST", f"{root}{PATH}", b"{}", JSON)).content == b"{}"


class Curious:
    """A channel that keeps what a service would hear."""

    def __init__(self) -> None:
        self.heard: dict[str, Any] = {}

    async def unary_bytes(self, _method: Any, _request: bytes, options: Any) -> bytes:
        self.heard = dict(options.metadata)
        return b""


@pytest.mark.parametrize("connection", ["X-Tone", "keep-alive"])
async def test_what_connection_names_means_this_connection_only(connection: str) -> None:
    curious = Curious()
    client = Client(mounted(FastAPI(), curious, SETTINGS))
    await client.send("POST", PATH, b"{}", {**JSON, "x-tone": "low", "connection": connection})
    assert curious.heard == ({} if connection == "X-Tone" else {"x-tone": "low"})


def _post(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": headers,
    }
