"""HTTP/1.1 byte by byte: other clients tidy paths up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httptools

PATIENCE = 20.0
"""Seconds for one answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out."""

    verb: str
    target: str
    """Raw, as latin-1."""
    body: bytes | None = None
    content_type: str = "application/json"
    accept: str = ""
    chunk: int = 0
    """Bytes in each chunk of the body; 0 sends its length instead."""


@dataclass(slots=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connections:
    """Connections to one port, kept open, as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        """Opens none yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes all."""
        for connection in self._idle:
            connection.close()

    async def send(self, request: Request, headers: Mapping[str, str]) -> Response:
        """One exchange."""
        connection = self._idle.pop() if self._idle else await _Connection.opened(self._port)
        try:
            async with asyncio.timeout(PATIENCE):
                return await connection.exchange(request, headers)
        finally:
            if connection.reusable:
                self._idle.append(connection)
            else:
                connection.close()


class _Connection:
    """Parses with httptools, whose callbacks are the methods `on_…`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.reusable = False

    @classmethod
    async def opened(cls, port: int) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def close(self) -> None:
        self._writer.close()

    async def exchange(self, request: Request, headers: Mapping[str, str]) -> Response:
        self._writer.write(_head(request, headers) + _body(request))
        self.reusable = False
        self._done, self._body, self._headers = False, bytearray(), dict[str, str]()
        parser: Any = httptools.HttpResponseParser(self)
        while not self._done:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionResetError(f"no whole answer to {request}")
            parser.feed_data(data)
        self.reusable = parser.should_keep_alive()
        return Response(parser.get_status_code(), self._headers, bytes(self._body))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._done = True


def _head(request: Request, headers: Mapping[str, str]) -> bytes:
    lines = [f"{request.verb} {request.target} HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if request.accept:
        lines.append(f"accept: {request.accept}")
    if request.body is not None:
        chunked = "transfer-encoding: chunked"
        lines.append(chunked if request.chunk else f"content-length: {len(request.body)}")
        lines += [f"content-type: {request.content_type}"] * bool(request.content_type)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _body(request: Request) -> bytes:
    body = request.body or b""
    if not request.chunk:
        return body
    parts = [body[start : start + request.chunk] for start in range(0, len(body), request.chunk)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
