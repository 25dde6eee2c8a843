"""A transport whose deadlines hold, for HTTP without asyncio.

httpx gives each read of a socket as long as the last one, so that a server that sends a byte now and then
keeps its caller for ever. Here a timeout of connecting, reading and writing is the `time.monotonic()` at
which the call ends.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from codegen.runtime.client.settings import KEEPALIVE, HttpClientSettings


def punctual_transport(settings: HttpClientSettings, tls: ssl.SSLContext) -> httpx.HTTPTransport:
    """The transport of httpx, with times instead of durations, as `until` says them."""
    transport = httpx.HTTPTransport(
        verify=tls,
        trust_env=False,
        limits=settings.limits(),
        proxy=settings.proxy or None,
        socket_options=KEEPALIVE,
    )
    pool = transport._pool  # noqa: SLF001 - httpx lets nobody choose the backend; a test holds that this works
    pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001
    return transport


def until(ends: float | None, connect: float, pool: float) -> httpx.Timeout:
    """Timeouts of a call.

    Args:
        ends: `time.monotonic()` at which it ends; None if it may last.
        connect: seconds from now for one attempt to open a connection.
        pool: seconds to wait for a free one.
    """
    now = time.monotonic()
    opened = now + connect if ends is None else min(now + connect, ends)
    waited = pool if ends is None else max(0.0, min(pool, ends - now))
    return httpx.Timeout(connect=opened, read=ends, write=ends, pool=waited)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, left, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(ends: float | None, late: type[Exception]) -> float | None:
    if ends is None:
        return None
    left = ends - time.monotonic()
    if left <= 0:
        raise late
    return left
