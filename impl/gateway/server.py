"""The HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from impl.gateway.protocol import BoundedHttp

BACKLOG = 2048
MAX_CONNECTIONS = 10_000


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, so that a busy port is found before anything else is started.

    Raises:
        OSError: one sentence.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen for HTTP on {host}:{port}: {error.strerror or error}") from None
    with made:
        yield made


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, drain: float) -> AsyncIterator[None]:
    """Serves an app while the context lasts.

    Args:
        app: what to serve.
        listener: a listening socket.
        drain: seconds that requests under way may take at the end.
    """
    server = _Server(_config(app, drain))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve([listener]))
        await server.serves.wait()
        try:
            yield
        finally:
            server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serves = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts as ever, and says so."""
        await super().startup(sockets)
        self.serves.set()


def _config(app: ASGIApp, drain: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=max(1, math.ceil(drain)),
    )
