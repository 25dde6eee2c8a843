"""One WebSocket endpoint as the generated table declares it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.protocol import Protocol

from codegen.runtime.codec import JsonCodec
from codegen.runtime.method import Socket
from codegen.runtime.sockets.calls import FrameCalls
from codegen.runtime.sockets.connection import Failure, Flusher, SocketConnection, Terms, path_of
from codegen.runtime.sockets.frames import frame_codecs

_MAX_UNREAD_FRAMES = 4

Handler = Callable[[SocketConnection], Awaitable[None]]


class Endpoint:
    """Accepts connections on the path and with the subprotocols of a socket.

    A handshake for another path is answered with 404, one without a known subprotocol with 400.

    Args:
        socket: table of the endpoint.
        json: codec for types of its schema.
        failures: how a connection ends that the protocol has to fail, by the close code that RFC 6455 has
            for it; others keep that code.
        close_seconds: longest closing handshake.
    """

    def __init__(
        self, socket: Socket, json: JsonCodec, failures: Mapping[int, Failure], close_seconds: float
    ) -> None:
        self.socket = socket
        self.calls = FrameCalls(socket)
        self.codecs = frame_codecs(socket, json)
        self._close_seconds = close_seconds
        self._logger = logging.getLogger(f"{__name__}.wire")
        # The library logs a traceback for each peer that speaks no HTTP or goes away in mid-handshake.
        self._logger.setLevel(logging.CRITICAL)
        self._terms = Terms(
            codecs=self.codecs,
            calls=self.calls,
            failures=failures,
            max_frame_bytes=socket.max_frame_bytes,
            send_queue_bytes=socket.send_queue_bytes,
            flusher=Flusher(),
            logger=self._logger,
        )

    async def serve(self, handler: Handler, host: str, port: int) -> Server:
        """Listen; the caller closes the server. The handler of a connection returns when it is closed."""
        return await serve(
            cast("Callable[[ServerConnection], Awaitable[None]]", handler),
            host,
            port,
            create_connection=cast("type[ServerConnection]", self._connection),
            process_request=self._check_path,
            compression=None,
            server_header=None,
            open_timeout=self.socket.hello_timeout,
            ping_interval=None,
            close_timeout=self._close_seconds,
            max_queue=_MAX_UNREAD_FRAMES,
            logger=self._logger,
        )

    def _connection(self, _protocol: Protocol, server: Server, **options: Any) -> SocketConnection:
        return SocketConnection(self._terms, server, **options)

    def _check_path(self, connection: ServerConnection, request: Request) -> Response | None:
        if path_of(request) == self.socket.path:
            return None
        return connection.respond(HTTPStatus.NOT_FOUND, f"The socket is at {self.socket.path}.\n")
