"""The client's side of a socket, against the runtime's own endpoint."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from idiom.v1 import reason_errors as reasons
from im.client.v1.session_service_socket import SESSION
from im.descriptors import registry
from websockets.exceptions import ConnectionClosed

from codegen.runtime.client.frames import Encoding, client_frames
from codegen.runtime.client.reconnect import LOST, SILENT, UNREADABLE, CloseCodes, Pauses, declared
from codegen.runtime.client.socket import FrameSocket, Terms, opened, terms
from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error, Reason
from codegen.runtime.method import CloseCode, Reconnect, Socket
from codegen.runtime.sockets import Endpoint, SocketConnection
from tests.codegen.runtime.sockets.conftest import Port
from tests.servers import free_port

SOLD_OUT = Reason("SOLD_OUT", "port", 9)
NIGHT = CloseCode("NIGHT", 4900, Reconnect.NEVER)
PORT = Port()


class Harbour:
    """A server that answers as the test says."""

    def __init__(self, socket: Socket, codec: JsonCodec) -> None:
        self.endpoint = Endpoint(socket, codec, {}, close_seconds=1.0)
        self.connections: asyncio.Queue[SocketConnection] = asyncio.Queue()
        self.frames: asyncio.Queue[Any] = asyncio.Queue()
        self.url = ""

    async def handle(self, connection: SocketConnection) -> None:
        await self.connections.put(connection)
        with suppress(ConnectionClosed):
            while True:
                frame = connection.codec.read(await connection.recv())
                await self.frames.put(frame)
                self.answer(connection, frame)

    def answer(self, connection: SocketConnection, frame: Any) -> None:
        kind = self.endpoint.calls.kind(frame)
        request = self.endpoint.calls.request(kind, frame)
        if request is None or frame.order.request.ship == "silent":
            return
        if frame.order.request.ship == "late":
            asyncio.get_running_loop().call_later(0.3, self.reply, connection, request, 0)
        elif frame.order.request.ship == "none":
            self.say(connection, self.endpoint.calls.error(Error(SOLD_OUT, "there is none"), request.id))
        else:
            self.reply(connection, request, frame.order.request.crates)

    def reply(self, connection: SocketConnection, request: Any, number: int) -> None:
        self.say(connection, self.endpoint.calls.reply(request, PORT.Receipt(number=number)))

    def say(self, connection: SocketConnection, frame: Any) -> None:
        connection.offer(connection.codec.write(frame))

    def ring(self, connection: SocketConnection, tone: str) -> None:
        self.say(connection, bell(PORT.FromShore, tone))


def bell(kind: Callable[..., Any], tone: str) -> Any:
    return kind(bell=PORT.Bell(**{"from": tone}))


@asynccontextmanager
async def harbour(socket: Socket = PORT.socket, codec: JsonCodec = PORT.json) -> AsyncIterator[Harbour]:
    made = Harbour(socket, codec)
    server = await made.endpoint.serve(made.handle, "127.0.0.1", 0)
    made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{socket.path}"
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


def known(encoding: Encoding = "json", **changes: Any) -> Terms:
    socket = dataclasses.replace(PORT.socket, **changes)
    return terms(socket, client_frames(socket, PORT.json.registry, encoding), [NIGHT], [SOLD_OUT])


async def order(client: FrameSocket, ship: str, crates: int = 0, seconds: float = 10) -> int:
    receipt = await client.call("order", PORT.Order(ship=ship, crates=crates), seconds)
    return int(receipt.number)


async def drained(client: FrameSocket) -> list[Any]:
    return [frame async for frame in client]


@pytest.mark.parametrize("encoding", ["json", "proto"])
async def test_answers_find_their_calls_and_other_frames_come_in_order(encoding: Encoding) -> None:
    async with harbour() as server, opened(known(encoding), server.url) as client:
        connection = await server.connections.get()
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(order(client, "argo", number)) for number in range(20)]
        assert [call.result() for call in calls] == list(range(20))
        await client.post("bell", PORT.Bell(**{"from": "ship"}))
        while (await server.frames.get()).WhichOneof("frame") != "bell":
            pass
        for tone in ("a", "b"):
            server.ring(connection, tone)
        assert [getattr((await anext(client)).bell, "from") for _ in range(2)] == ["a", "b"]


async def test_a_refusal_is_typed_with_the_domain_of_the_schema() -> None:
    async with harbour() as server, opened(known(), server.url) as client:
        with pytest.raises(Error) as refused:
            await order(client, "none")
    assert (refused.value.reason, refused.value.message) == (SOLD_OUT, "there is none")


async def test_a_reason_that_nobody_knows_keeps_its_name() -> None:
    member = PORT.Trouble(request_id="1", code="ABORTED", reason="NEW", message="no")
    async with harbour() as server, opened(known(), server.url) as client:
        error = client.refusal(member)
    assert (error.reason, error.code_name) == (Reason("NEW", "", 10), "ABORTED")


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        (NIGHT, NIGHT),
        (CloseCode("NEW", 4999, Reconnect.NEVER), CloseCode("NEW", 4999, Reconnect.BACKOFF)),
    ],
)
async def test_the_close_code_says_whether_to_come_back(code: CloseCode, ended: CloseCode) -> None:
    async with harbour() as server, opened(known(), server.url) as client:
        waiting = asyncio.create_task(order(client, "silent"))
        await server.frames.get()
        (await server.connections.get()).finish(code)
        with pytest.raises(Error) as lost:
            await waiting
        assert await drained(client) == []
        assert client.ended == ended
        with pytest.raises(Error) as later:
            await order(client, "argo")
    assert lost.value.reason == later.value.reason == reasons.DEPENDENCY_UNAVAILABLE


async def test_a_connection_that_breaks_is_lost() -> None:
    async with harbour() as server, opened(known(), server.url) as client:
        (await server.connections.get()).abort()
        assert await drained(client) == []
    assert client.ended == LOST


@pytest.mark.parametrize(("encoding", "data"), [("json", '{"bell": {"from"'), ("proto", b"\x0a\xff")])
async def test_a_frame_that_cannot_be_read_ends_the_connection(encoding: Encoding, data: str | bytes) -> None:
    async with harbour() as server, opened(known(encoding), server.url) as client:
        connection = await server.connections.get()
        await connection.send(data)
        server.ring(connection, "after")
        assert await drained(client) == []
    assert client.ended == UNREADABLE


async def test_frames_that_only_a_newer_server_has_are_passed_over() -> None:
    async with harbour() as server, opened(known(), server.url) as client:
        connection = await server.connections.get()
        await connection.send('{"fog": {"horn": 1}}')
        server.ring(connection, "a")
        assert (await anext(client)).WhichOneof("frame") == "bell"


async def test_an_answer_that_comes_too_late_is_a_frame_of_its_own() -> None:
    async with harbour() as server, opened(known(), server.url) as client:
        with pytest.raises(Error) as late:
            await order(client, "late", seconds=0.1)
        assert late.value.reason == reasons.DEADLINE_EXCEEDED
        assert (await anext(client)).receipt.request_id == "1"


async def test_calls_under_way_and_frames_are_bounded() -> None:
    async with harbour() as server, opened(known(max_calls=1, max_frame_bytes=200), server.url) as client:
        waiting = asyncio.create_task(order(client, "silent"))
        await server.frames.get()
        with pytest.raises(Error) as many:
            await order(client, "argo")
        waiting.cancel()
        await asyncio.wait([waiting])
        with pytest.raises(Error) as large:
            await order(client, "x" * 200)
        assert await order(client, "argo", 7) == 7
    assert (many.value.reason, large.value.reason) == (reasons.OVERLOADED, reasons.TOO_LARGE)


async def test_what_nobody_takes_is_not_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codegen.runtime.client.socket.MAX_UNREAD", 2)
    async with harbour() as server, opened(known(), server.url) as client:
        connection = await server.connections.get()
        for tone in "abcd":
            server.ring(connection, tone)
        with pytest.raises(Error):
            await order(client, "argo", seconds=0.2)
        tones = [getattr((await anext(client)).bell, "from") for _ in range(4)]
        assert tones == ["a", "b", "c", "d"]
        assert await order(client, "argo", 1) == 1


async def test_life_is_shown_by_pings_where_the_schema_has_no_heartbeat() -> None:
    async with harbour() as server, opened(known(), server.url, heartbeat=0.1) as client:
        connection = await server.connections.get()
        first = connection.heard
        async with asyncio.timeout(10):
            while connection.heard == first:  # noqa: ASYNC110 - nothing tells of pings
                await asyncio.sleep(0.02)
        assert client.ended is None


async def test_life_is_shown_by_heartbeats_where_the_schema_has_them() -> None:
    codec = JsonCodec(registry())
    made = terms(SESSION, client_frames(SESSION, registry(), "json"))
    async with harbour(SESSION, codec) as server, opened(made, server.url, heartbeat=0.1):
        async with asyncio.timeout(10):
            assert (await server.frames.get()).WhichOneof("frame") == "heartbeat"


async def test_a_server_that_shows_no_life_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codegen.runtime.client.socket._GRACE", 0.1)
    async with harbour() as server, opened(known(), server.url, heartbeat=0.1) as client:
        connection = await server.connections.get()
        connection.transport.pause_reading()
        async with asyncio.timeout(10):
            assert await drained(client) == []
        connection.abort()
    assert client.ended == SILENT


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ws://127.0.0.1:{free}/talk", "DEPENDENCY_UNAVAILABLE"),
        ("http://127.0.0.1:{free}/talk", "DEPENDENCY_UNAVAILABLE"),
        ("ws://127.0.0.1:{port}/elsewhere", "NOT_FOUND"),
    ],
)
async def test_a_connection_that_cannot_be_made_is_a_typed_error(url: str, reason: str) -> None:
    async with harbour() as server:
        port = server.url.split(":")[2].split("/")[0]
        with pytest.raises(Error) as failed:
            async with opened(known(), url.format(free=free_port(), port=port)):
                pass
    assert failed.value.reason.name == reason


def test_pauses_grow_with_full_jitter_and_begin_anew_after_a_stable_connection() -> None:
    pauses = Pauses()
    longest = [max(Pauses(failures).after(Reconnect.BACKOFF, 0) for _ in range(300)) for failures in range(9)]
    assert all(0.25 * 2**n * 0.8 < each <= 0.25 * 2**n for n, each in enumerate(longest[:7]))
    assert all(15 < each <= 30 for each in longest[7:])
    assert pauses.after(Reconnect.NOW, 0) == 0
    assert pauses.after(Reconnect.NOW, 0) > 0
    assert pauses.after(Reconnect.NOW, 6) == 0


def test_a_module_of_close_codes_is_a_table() -> None:
    from im.errors.v1 import close_closes as closes  # noqa: PLC0415 - only here

    table = CloseCodes(declared(closes, CloseCode))
    assert table.of(4000) == closes.DRAINING
    assert table.of(1000, "bye") == CloseCode("bye", 1000, Reconnect.BACKOFF)
    assert table.of(None) == LOST
