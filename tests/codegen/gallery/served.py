"""The gallery on loopback: gRPC behind it, HTTP before it, as in a deployment."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from codegen.runtime.discovery import FixedInstances
from codegen.runtime.grpc_client import Channel, Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.service import Gallery

USER_KEY = b"u" * 32
SERVICE_KEY = b"s" * 32
MAX_REQUEST_BYTES = 100_000

Wrap = Callable[[FastAPI], None]


@dataclass(frozen=True, slots=True)
class Served:
    """Where everything is."""

    gallery: Gallery
    url: str
    """`http://127.0.0.1:port`."""
    grpc: str
    """`127.0.0.1:port` of the gRPC server behind; it takes service tokens and user tokens."""
    token: str
    """Access token of user 5."""
    channel: Channel
    """What the dispatcher calls through."""
    app: FastAPI


@contextlib.asynccontextmanager
async def served(settings: HttpSettings | None = None, wrap: Wrap | None = None) -> AsyncIterator[Served]:
    """Serves the gallery while the context lasts.

    Args:
        settings: of the dispatcher.
        wrap: given the app before it serves, to add middleware or routes.
    """
    gallery = Gallery()
    users, services = UserTokens(USER_KEY, 3600), ServiceTokens(SERVICE_KEY, "gateway")
    behind = Pipeline(Authenticator(users, services), max_request_bytes=MAX_REQUEST_BYTES)
    before = Pipeline(Authenticator(users, None), max_request_bytes=MAX_REQUEST_BYTES)
    service = generated().rpc.GALLERY_SERVICE

    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(
            serve_grpc("127.0.0.1:0", [(service, gallery)], behind, drain=1)
        )
        instances = FixedInstances(service.target, [f"127.0.0.1:{port}"])
        upstreams = Upstreams([service], {service.target: instances}, services)
        channel = await stack.enter_async_context(upstreams)
        app = _app(channel, before, settings or HttpSettings())
        if wrap is not None:
            wrap(app)
        url = await stack.enter_async_context(serving(app))
        issued, _ = users.issue("5", "7")
        yield Served(gallery, url, f"127.0.0.1:{port}", issued, channel, app)


def _app(channel: Any, pipeline: Pipeline, settings: HttpSettings) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    dispatch = Dispatch(
        generated().routes,
        registry=generated().descriptors.registry(),
        pipeline=pipeline,
        channel=channel,
        settings=settings,
    )
    mount(app, dispatch, generated().openapi)
    return app


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serves an ASGI app by uvicorn while the context lasts; yields its URL."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        # asyncio does this for its own sockets alone; without it, a body waits 40 ms behind its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        server = _Server(config)
        task = asyncio.create_task(server.serve([listener]))
        await server.serves.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await task


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serves = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Captures none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts as ever, and says so."""
        await super().startup(sockets)
        self.serves.set()
