"""What a stranger may send before anybody looks at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from impl.gateway import app as gateway
from impl.gateway import protocol
from impl.gateway.protocol import MAX_HEAD_BYTES
from impl.settings import Settings
from tests.impl.gateway.conftest import lonely, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

_GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
_POST = b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
_CHUNKED = _POST + b"transfer-encoding: chunked\r\n\r\n"
_END = b"connection: close\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """Settings of a gateway that runs."""
    settings = lonely(tmp_path_factory.mktemp("gateway"))
    async with running(gateway, settings):
        yield settings


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", settings.gateway_port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _exchange(settings: Settings, *parts: bytes) -> bytes:
    """All that is answered to some bytes, until the server closes."""
    async with _connected(settings) as (reader, writer), asyncio.timeout(20):
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()


def _assert_refused(answer: bytes, status: int, reason: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    document: Any = json.loads(body)
    assert document["details"][0]["reason"] == reason


_MIB = b"y" * (1 << 20)
_LONG = b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (_GET + _LONG + _END,),
        (_GET, _LONG, _END),
        (_GET + b"x: y\r\n" * (MAX_HEAD_BYTES // 4) + _END,),
        (b"GET /?" + b"q" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: x\r\n" + _END,),
        (_GET + b"x: ", *[_MIB] * 32),
        (b"\r\n" * MAX_HEAD_BYTES,),
        (_CHUNKED + b"1\r\n{\r\n0\r\n", *(b"x: " + b"y" * 1000 + b"\r\n" for _ in range(200))),
    ],
    ids=["one header", "in parts", "many headers", "address", "endless", "empty lines", "trailers"],
)
async def test_a_head_that_is_too_large_is_refused(served: Settings, parts: tuple[bytes, ...]) -> None:
    _assert_refused(await _exchange(served, *parts), 431, "TOO_LARGE")


async def test_an_endless_head_is_not_kept(served: Settings) -> None:
    # One object sent 128 times: what the process grows by is what the server keeps.
    before = _resident_bytes()
    await _exchange(served, _GET + b"x: ", *[_MIB] * 128)
    assert _resident_bytes() - before < 64 << 20


def _resident_bytes() -> int:
    with open("/proc/self/status") as status:  # noqa: PTH123 - not a file on a disk
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


async def test_heads_within_the_limit_are_taken_one_after_the_other(served: Settings) -> None:
    large = _GET + b"x: " + b"y" * (MAX_HEAD_BYTES - 100) + b"\r\n"
    for parts in ([large + b"\r\n"] * 3 + [large + _END], [(large + b"\r\n") * 3 + large + _END]):
        answer = await _exchange(served, *parts)
        assert answer.count(b"HTTP/1.1 200 ") == 4, answer


async def test_a_body_is_not_a_head(served: Settings) -> None:
    body = b'{"username":"' + b" " * 100_000 + b'"}'
    sized = _POST + b"content-length: %d\r\n\r\n" % len(body) + body
    chunked = _CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer = await _exchange(served, sized, chunked, sized + chunked + _GET + _END)
    assert answer.count(b"HTTP/1.1 4") == 4, answer
    assert answer.count(b"HTTP/1.1 200 ") == 1, answer
    assert b" 431 " not in answer


@pytest.mark.parametrize(
    "data",
    [b"nonsense\r\n\r\n", _GET + b"content-length: x\r\n" + _END, _CHUNKED + b"zz\r\n", b"\x16\x03\x01\x02"],
)
async def test_what_is_not_http_is_refused_as_everything_else(served: Settings, data: bytes) -> None:
    _assert_refused(await _exchange(served, data), 400, "MALFORMED_BODY")


async def test_who_asks_for_an_upgrade_is_answered_and_fills_no_log(
    served: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = b"upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: YQ==\r\n"
    answer = await _exchange(served, _GET + upgrade + b"connection: upgrade, close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_the_answer_to_an_earlier_request_is_not_mistaken(served: Settings) -> None:
    answer = await _exchange(served, _GET + b"\r\n" + b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("first", [b"", _GET + b"\r\n"], ids=["new connection", "kept connection"])
async def test_a_head_that_does_not_come_to_an_end_is_refused(
    served: Settings, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    async with _connected(served) as (reader, writer), asyncio.timeout(10):
        if first:
            writer.write(first)
            await reader.readuntil(b"}")
        begun = time.monotonic()
        slowly = asyncio.create_task(_trickle(writer))
        answer = await reader.read()
        assert 0.3 < time.monotonic() - begun < 1.3
        slowly.cancel()
    _assert_refused(answer, 408, "DEADLINE_EXCEEDED")


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(_GET)
    while True:
        writer.write(b"x: y\r\n")
        await asyncio.sleep(0.05)


async def test_a_connection_that_says_nothing_is_closed(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    assert await _exchange(served) == b""


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["stalled", "dripping"])
@pytest.mark.parametrize(
    "framing", [b"content-length: 1000\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n5;"]
)
async def test_a_body_that_nobody_reads_does_not_keep_its_connection(
    served: Settings, monkeypatch: pytest.MonkeyPatch, framing: bytes, drip: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    head, _, body = framing.partition(b"\r\n\r\n")
    async with _connected(served) as (reader, writer), asyncio.timeout(10):
        writer.write(b"POST /nope HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n")
        answer = await reader.readuntil(b"]}")
        begun = time.monotonic()
        writer.write(body)
        slowly = asyncio.create_task(_drip(writer, drip))
        with contextlib.suppress(ConnectionResetError):  # whose bytes nobody has read
            assert await reader.read() == b""
        assert 0.2 < time.monotonic() - begun < 1.3
        slowly.cancel()
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_a_body_that_breaks_behind_its_answer_has_no_other(served: Settings) -> None:
    async with _connected(served) as (reader, writer), asyncio.timeout(10):
        writer.write(b"POST /nope HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n")
        assert (await reader.readuntil(b"]}")).startswith(b"HTTP/1.1 404 ")
        writer.write(b"zz\r\n")
        assert await reader.read() == b""


async def _drip(writer: asyncio.StreamWriter, drip: bytes) -> None:
    while drip:
        await asyncio.sleep(0.05)
        writer.write(drip)


async def test_a_body_that_nobody_reads_may_come_to_its_end(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    async with _connected(served) as (reader, writer), asyncio.timeout(10):
        for _ in range(2):
            writer.write(b"POST /nope HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n")
            assert (await reader.readuntil(b"]}")).startswith(b"HTTP/1.1 404 ")
            for _ in range(3):
                writer.write(b"x")
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)  # nothing counts any more
