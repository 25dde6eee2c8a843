from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from idiom.v1 import reason_errors as reasons
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode as ProtocolCode
from websockets.typing import Subprotocol

from codegen.runtime.errors import Error
from codegen.runtime.method import CloseCode, Reconnect
from codegen.runtime.sockets import Endpoint, Failure, SocketConnection
from tests.codegen.runtime.sockets.conftest import Port

TOO_LARGE = CloseCode("TOO_LARGE", 4900, Reconnect.NEVER)
GARBLED = CloseCode("GARBLED", 4901, Reconnect.NEVER)
BYE = CloseCode("BYE", 4902, Reconnect.NOW)
JSON, BINARY = Subprotocol("port.v1.json"), Subprotocol("port.v1.proto")

Handler = Callable[[SocketConnection], Any]


class Served:
    """An endpoint on a free port, and the connections it has accepted."""

    def __init__(self, port: Port, **changes: Any) -> None:
        self.port = port
        self.accepted: asyncio.Queue[SocketConnection] = asyncio.Queue()
        self.received: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.endpoint = Endpoint(
            dataclasses.replace(port.socket, **changes),
            port.json,
            {
                ProtocolCode.MESSAGE_TOO_BIG: Failure(TOO_LARGE, Error(reasons.TOO_LARGE, "too large")),
                ProtocolCode.INVALID_DATA: Failure(GARBLED, Error(reasons.MALFORMED_BODY, "garbled")),
            },
            close_seconds=1.0,
        )
        self.url = ""

    async def handle(self, connection: SocketConnection) -> None:
        await self.accepted.put(connection)
        with suppress(ConnectionClosed):
            while True:
                await self.received.put(await connection.recv())

    def bell(self, connection: SocketConnection, tone: str) -> bytes:
        frame = self.port.FromShore()
        setattr(frame.bell, "from", tone)
        return connection.codec.write(frame)


@asynccontextmanager
async def served(port: Port, **changes: Any) -> AsyncIterator[Served]:
    server = Served(port, **changes)
    listening = await server.endpoint.serve(server.handle, "127.0.0.1", 0)
    try:
        server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/talk"
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


@asynccontextmanager
async def client(server: Served, subprotocol: Subprotocol = JSON) -> AsyncIterator[ClientConnection]:
    async with (
        asyncio.timeout(20),
        connect(server.url, subprotocols=[subprotocol], max_queue=None, close_timeout=1) as connection,
    ):
        yield connection


async def closed(connection: ClientConnection) -> tuple[int | None, str | None]:
    with suppress(ConnectionClosed):
        while True:
            await connection.recv()
    return connection.close_code, connection.close_reason


async def test_both_subprotocols_are_spoken(port: Port) -> None:
    async with served(port) as server:
        for subprotocol in (JSON, BINARY):
            async with client(server, subprotocol) as connection:
                assert connection.subprotocol == subprotocol
                assert (await server.accepted.get()).codec.subprotocol == subprotocol


async def test_the_client_chooses_among_several_subprotocols(port: Port) -> None:
    async with served(port) as server:
        offers = [Subprotocol("other"), JSON, BINARY]
        async with connect(server.url + "?room=1", subprotocols=offers) as connection:
            assert connection.subprotocol == JSON


@pytest.mark.parametrize("offers", [None, [Subprotocol("port.v2.json")]])
async def test_a_handshake_without_a_known_subprotocol_is_told_which_there_are(
    port: Port, offers: list[Subprotocol] | None
) -> None:
    async with served(port) as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(server.url, subprotocols=offers)
        assert caught.value.response.status_code == 400
        assert b"port.v1.proto, port.v1.json" in caught.value.response.body


async def test_another_path_is_not_found(port: Port) -> None:
    async with served(port) as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(server.url + "/er", subprotocols=[JSON])
        assert caught.value.response.status_code == 404
        assert b"/talk" in caught.value.response.body


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /talk HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /talk HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
        b"GET /talk HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"",
    ],
)
async def test_who_speaks_no_websocket_is_refused_without_a_traceback(
    port: Port, request_text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(port) as server, asyncio.timeout(10):
        host, number = server.url.removeprefix("ws://").removesuffix("/talk").split(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        writer.write(request_text)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert not caplog.records


async def test_a_frame_of_the_largest_size_is_read(port: Port) -> None:
    async with served(port) as server, client(server) as connection:
        await connection.send("x" * port.socket.max_frame_bytes)
        assert await server.received.get() == "x" * port.socket.max_frame_bytes


@pytest.mark.parametrize("pieces", [1, 4])
async def test_a_larger_frame_ends_the_connection_by_name(port: Port, pieces: int) -> None:
    size = port.socket.max_frame_bytes // pieces + 1
    async with served(port) as server, client(server) as connection:
        await connection.send(["x" * size] * pieces)
        error = json.loads(await connection.recv())["trouble"]
        assert (error["code"], error["reason"]) == ("RESOURCE_EXHAUSTED", "TOO_LARGE")
        assert await closed(connection) == (4900, "TOO_LARGE")


async def test_text_that_is_no_utf8_ends_the_connection_by_name(port: Port) -> None:
    async with served(port) as server, client(server) as connection:
        await connection.send(b"\xff\xfe", text=True)
        assert json.loads(await connection.recv())["trouble"]["reason"] == "MALFORMED_BODY"
        assert await closed(connection) == (4901, "GARBLED")


async def test_frames_of_one_turn_arrive_in_order_in_one_write(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(port) as server, client(server) as connection:
        accepted = await server.accepted.get()
        writes: list[int] = []
        flush = accepted.flush

        def counted() -> None:
            writes.append(accepted.unsent)
            flush()

        monkeypatch.setattr(accepted, "flush", counted)
        for number in range(100):
            assert accepted.offer(server.bell(accepted, str(number)))
        tones = [json.loads(await connection.recv())["bell"]["from"] for _ in range(100)]
        assert tones == [str(number) for number in range(100)]
        assert len(writes) == 1


async def test_a_full_queue_refuses_and_the_close_follows_what_was_queued(port: Port) -> None:
    async with served(port) as server, client(server) as connection:
        accepted = await server.accepted.get()
        frame = server.bell(accepted, "x" * 1000)
        taken = 0
        while accepted.offer(frame):
            taken += 1
        assert taken == port.socket.send_queue_bytes // len(frame)
        accepted.finish(BYE)
        assert not accepted.open
        seen = 0
        with suppress(ConnectionClosed):
            while await connection.recv():
                seen += 1
        assert seen == taken
        assert (connection.close_code, connection.close_reason) == (4902, "BYE")


async def test_a_client_that_does_not_read_fills_its_queue_and_can_be_cut(port: Port) -> None:
    async with served(port) as server, client(server) as connection:
        accepted = await server.accepted.get()
        connection.transport.pause_reading()
        frame = server.bell(accepted, "x" * 1000)
        while accepted.offer(frame):  # noqa: ASYNC110 - one turn of the loop, one write
            await asyncio.sleep(0)
        assert accepted.unsent <= port.socket.send_queue_bytes
        accepted.finish(BYE)
        accepted.abort()
        await accepted.wait_closed()
        connection.transport.resume_reading()


async def test_any_frame_and_any_pong_count_as_life(port: Port) -> None:
    async with served(port) as server, client(server) as connection:
        accepted = await server.accepted.get()
        for speak in (connection.send("{}"), connection.ping(), connection.pong(b"unasked")):
            accepted.heard = 0.0
            await speak
            await connection.ping()
            await _heard(accepted)
        accepted.heard = 0.0
        accepted.probe()
        await _heard(accepted)


async def _heard(connection: SocketConnection) -> None:
    async with asyncio.timeout(5):
        while not connection.heard:  # noqa: ASYNC110 - nothing tells of a pong
            await asyncio.sleep(0.001)


async def test_nothing_is_written_to_a_connection_that_ends(port: Port) -> None:
    async with served(port) as server:
        async with client(server) as connection:
            accepted = await server.accepted.get()
        await accepted.wait_closed()
        assert connection.close_code == 1000
        accepted.offer(server.bell(accepted, "late"))
        accepted.flush()
        accepted.probe()
        accepted.finish(BYE)


async def test_a_connection_that_cannot_be_written_to_does_not_hinder_others(
    port: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(port) as server, client(server) as broken, client(server) as sound:
        first, second = await server.accepted.get(), await server.accepted.get()

        def fail() -> None:
            raise RuntimeError("unable to write")

        monkeypatch.setattr(first, "flush", fail)
        for accepted in (first, second):
            accepted.offer(server.bell(accepted, "tone"))
        assert json.loads(await sound.recv())["bell"]["from"] == "tone"
        assert (await closed(broken))[0] == 1006
    assert "unable to write" in caplog.text
