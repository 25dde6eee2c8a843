"""Calls that stream both ways, as WebSockets: a real server before a real service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from codegen.runtime.context import Context
from codegen.runtime.errors import Error, Reason
from codegen.runtime.transcoding.websocket import take_token
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import MAX_REQUEST_BYTES, Served, served
from tests.codegen.gallery.service import Gallery

HANDSHAKE = (
    b"GET /v1/talk HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n"
)


@pytest.fixture
async def gallery() -> AsyncIterator[Served]:
    async with served() as gallery:
        yield gallery


def talk(gallery: Served, query: str = "", subprotocols: Any = None, token: str | None = None) -> connect:
    """A socket of user 5."""
    headers = {"authorization": f"Bearer {token or gallery.token}"} if token != "" else {}
    return connect(
        f"{gallery.url.replace('http', 'ws')}/v1/talk{query}",
        subprotocols=subprotocols,
        additional_headers=headers,
        open_timeout=10,
        max_queue=None,
    )


def binary(text: str) -> bytes:
    data: bytes = generated().pb.Event(text=text).SerializeToString()
    return data


async def said(socket: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        received = await socket.recv()
    return json.loads(received) if isinstance(received, str) else generated().pb.Event.FromString(received)


async def ended(socket: ClientConnection) -> tuple[int, str, list[Any]]:
    """Close code and reason, and what came before."""
    messages = []
    async with asyncio.timeout(10):
        try:
            while True:
                messages.append(await said(socket))
        except ConnectionClosed:
            return socket.close_code or 0, socket.close_reason or "", messages


async def test_text_is_answered_with_text(gallery: Served) -> None:
    async with talk(gallery) as socket:
        await socket.send('{"id":"1","text":"abc"}')
        assert await said(socket) == {"id": "1", "text": "cba", "painting": {}}


async def test_bytes_are_answered_with_bytes(gallery: Served) -> None:
    async with talk(gallery) as socket:
        await socket.send(binary("abc"))
        assert (await said(socket)).text == "cba"
        await socket.send('{"text":"abc"}')
        assert (await said(socket))["text"] == "cba"


@pytest.mark.parametrize(("name", "right", "wrong"), [("json", "{}", b""), ("proto", b"", "{}")])
async def test_a_subprotocol_has_one_kind_of_messages(
    gallery: Served, name: str, right: str | bytes, wrong: str | bytes
) -> None:
    async with talk(gallery, subprotocols=["unknown", name]) as socket:
        assert socket.subprotocol == name
        await socket.send(right)
        assert isinstance(await socket.recv(), type(right))
        await socket.send(wrong)
        code, reason, messages = await ended(socket)
    assert (code, reason) == (1003, "MALFORMED_BODY")
    assert messages[-1]["error"]["code"] == 3


async def test_a_client_ends_its_side_with_an_empty_text(gallery: Served) -> None:
    async with talk(gallery) as socket:
        await socket.send('{"text":"twice"}')
        await socket.send("")
        code, _, messages = await ended(socket)
    assert (code, [each["text"] for each in messages]) == (1000, ["eciwt", "eciwt"])


async def test_nothing_may_follow_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forever(_: Gallery, _requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(Gallery, "talk", forever)
    async with served() as gallery, talk(gallery) as socket:
        await socket.send("")
        await socket.send("{}")
        code, reason, _ = await ended(socket)
    assert (code, reason) == (1008, "MALFORMED_BODY")


async def test_a_service_that_comes_to_its_end_closes_the_socket(gallery: Served) -> None:
    async with talk(gallery) as socket:
        await socket.send('{"text":"bye"}')
        assert (await ended(socket))[::2] == (1000, [])


async def test_an_error_is_said_and_then_a_code_of_its_own(gallery: Served) -> None:
    async with talk(gallery) as socket:
        await socket.send('{"text":"a"}')
        await socket.send('{"text":"fail"}')
        code, reason, messages = await ended(socket)
    assert (code, reason) == (4010, "ABORTED")
    assert (messages[0]["text"], messages[1]["error"]["message"]) == ("a", "as asked")


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("{", 1007, "MALFORMED_BODY"),
        ("\x00", 1007, "MALFORMED_BODY"),
        (b"\xff\xff", 1007, "MALFORMED_BODY"),
        ("[]", 1007, "MALFORMED_BODY"),
        ('{"text":5}', 4003, "INVALID_FIELD"),
        ('{"no":5}', 4003, "UNKNOWN_FIELD"),
        (json.dumps({"text": "x" * 1001}), 4003, "VALIDATION_FAILED"),
        (b"x" * (MAX_REQUEST_BYTES + 1), 1009, "TOO_LARGE"),
        ('{"text":"' + "x" * 600_001, 1009, "TOO_LARGE"),
    ],
)
@pytest.mark.parametrize("before", [0, 1])
async def test_a_bad_message_ends_the_socket(
    gallery: Served, message: str | bytes, code: int, reason: str, before: int
) -> None:
    async with talk(gallery) as socket:
        for _ in range(before):
            await socket.send("{}")
            await said(socket)
        await socket.send(message)
        closed = await ended(socket)
    assert closed[:2] == (code, reason)
    assert closed[2][-1]["error"]["details"][0]["reason"] == reason


async def test_query_fills_the_first_message(gallery: Served) -> None:
    async with talk(gallery, "?id=7") as socket:
        await socket.send('{"text":"a"}')
        assert (await said(socket))["id"] == "7"
        await socket.send('{"text":"a"}')
        assert "id" not in await said(socket)


async def test_a_first_message_may_not_contradict_the_query(gallery: Served) -> None:
    async with talk(gallery, "?id=7") as socket:
        await socket.send('{"id":8}')
        assert (await ended(socket))[0] == 4003


@pytest.mark.parametrize(
    ("query", "subprotocols", "token", "status"),
    [
        ("?id=x", None, None, 400),
        ("?no=1", None, None, 400),
        ("", ["other"], None, 400),
        ("", None, "x", 401),
        ("", None, "", 401),
        ("", ["json", "bearer.x"], "", 401),
    ],
)
async def test_a_handshake_is_refused_as_a_request_is(
    gallery: Served, query: str, subprotocols: Any, token: str | None, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await talk(gallery, query, subprotocols, token)
    response = refused.value.response
    assert response.status_code == status
    assert json.loads(response.body or b"")["details"][0]["reason"]


async def test_a_browser_shows_its_token_as_a_subprotocol(gallery: Served) -> None:
    async with talk(gallery, subprotocols=[f"bearer.{gallery.token}", "json"], token="") as socket:
        assert socket.subprotocol == "json"
        await socket.send("{}")
        await said(socket)
    async with talk(gallery, subprotocols=[f"bearer.{gallery.token}"], token="") as socket:
        assert socket.subprotocol is None


def test_two_tokens_are_refused_as_one() -> None:
    metadata = {"authorization": "Bearer a", "sec-websocket-protocol": "json, bearer.b,proto"}
    take_token(metadata)
    assert metadata == {"authorization": "Bearer a,Bearer b", "sec-websocket-protocol": "json,proto"}


async def test_without_a_handshake_the_path_asks_for_one(gallery: Served) -> None:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {gallery.token}"}) as client:
        answer = await client.get(f"{gallery.url}/v1/talk")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")


async def test_a_client_that_goes_away_cancels_the_call(gallery: Served) -> None:
    async with talk(gallery) as socket:
        await socket.send("{}")
        await said(socket)
        socket.transport.abort()
        async with asyncio.timeout(5):
            await gallery.gallery.left.wait()


class Keeping(Gallery):
    """Keeps what it hears, and says it has heard the end."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.whole = asyncio.Event()

    async def talk(self, requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        async for request in requests:
            self.heard.append(request.text)
        self.whole.set()
        yield self.pb.Event()


async def test_a_socket_closed_in_good_order_ends_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = Keeping()
    monkeypatch.setattr(Gallery, "talk", lambda _, requests, context: keeping.talk(requests, context))
    async with served() as gallery:
        async with talk(gallery) as socket:
            await socket.send('{"text":"a"}')
            await socket.send('{"text":"b"}')
        async with asyncio.timeout(5):
            await keeping.whole.wait()
    assert keeping.heard == ["a", "b"]


async def test_a_client_that_does_not_read_stops_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, left = 0, asyncio.Event()

    async def flood(self: Gallery, _requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        nonlocal sent
        try:
            while True:
                yield self.pb.Event(text="x" * 10_000)
                sent += 10_000
        finally:
            left.set()

    monkeypatch.setattr(Gallery, "talk", flood)
    async with served() as gallery:
        host, _, port = gallery.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(HANDSHAKE + f"authorization: Bearer {gallery.token}\r\n\r\n".encode())
        assert b"101" in await reader.readline()
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.5)  # nothing tells that nothing more happens
        assert sent < 50_000_000
        writer.transport.abort()
        async with asyncio.timeout(5):
            await left.wait()


async def test_a_defect_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Gallery, _requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        raise ZeroDivisionError("a secret")
        yield

    monkeypatch.setattr(Gallery, "talk", broken)
    async with served() as gallery, talk(gallery) as socket:
        code, reason, messages = await ended(socket)
    assert (code, reason) == (1011, "INTERNAL")
    assert "secret" not in json.dumps(messages)


async def test_a_reason_of_any_text_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refusing(_: Gallery, _requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        raise Error(Reason("ü" * 100, "gallery", 10), "no")
        yield

    monkeypatch.setattr(Gallery, "talk", refusing)
    async with served() as gallery, talk(gallery) as socket:
        code, reason, _ = await ended(socket)
    assert (code, reason) == (4010, "ü" * 61)


async def test_a_deadline_ends_the_socket(gallery: Served) -> None:
    headers = {"authorization": f"Bearer {gallery.token}", "x-request-timeout": "0.3"}
    async with connect(f"{gallery.url.replace('http', 'ws')}/v1/talk", additional_headers=headers) as socket:
        assert (await ended(socket))[:2] == (4004, "DEADLINE_EXCEEDED")


async def test_any_messages_are_answered_or_refused(gallery: Served) -> None:
    messages = st.lists(st.text(max_size=20) | st.binary(max_size=20), min_size=1, max_size=4)

    async def exchange(said: list[str | bytes]) -> int:
        async with asyncio.timeout(5), talk(gallery) as socket:
            try:
                for each in said:
                    await socket.send(each)
                await socket.send("")
            except ConnectionClosedError:
                pass
            return (await ended(socket))[0]

    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None)
    @given(messages)
    def fuzz(said: list[str | bytes]) -> None:
        code = asyncio.run_coroutine_threadsafe(exchange(said), loop).result()
        assert code in (1000, 1007, 1008, 4003)

    await asyncio.to_thread(fuzz)
