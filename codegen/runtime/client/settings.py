"""What holds for all calls of one HTTP client."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds for a unary call that neither its caller nor its policy limits, and for a free connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClientSettings:
    """Limits and manners. Nothing is read from the environment: no proxy, no certificates, no passwords."""

    connections: int = 100
    """Most connections at the same time. A call beyond them waits."""
    idle_seconds: float = 3.0
    """For which a connection is kept: less than servers keep it, so that none ends under a request."""
    connect_seconds: float = 5.0
    """For one attempt to open a connection, TLS included."""
    max_message_bytes: int = 64 << 20
    """Most bytes of an answer, of a stream most bytes of one message; decompressed."""
    accepts_compressed: bool = True
    """Whether answers may come compressed: gzip and brotli."""
    compressed_from: int = 0
    """Bytes from which on a JSON request of a unary call is sent as gzip; 0 means never: not every server
    reads it."""
    tls: ssl.SSLContext | None = None
    """Certificates and versions; None trusts the authorities of the package certifi."""
    proxy: str = field(default="", repr=False)
    """`http://user:password@host:port` through which all goes."""

    def context(self) -> ssl.SSLContext:
        """Of TLS."""
        return self.tls or httpx.create_ssl_context(trust_env=False)

    def limits(self) -> httpx.Limits:
        """Of the pool of connections."""
        return httpx.Limits(
            max_connections=self.connections,
            max_keepalive_connections=self.connections,
            keepalive_expiry=self.idle_seconds,
        )


DEFAULT_SETTINGS: Final = HttpClientSettings()

KEEPALIVE: Final = tuple(
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    )
    if hasattr(socket, name)
)
"""Socket options by which a stream that is silent for long learns within a minute that its peer is gone."""


def no_cookies() -> CookieJar:
    """Keeps none: a call depends on nothing that an earlier one was answered."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))
