"""Through a real server on loopback, where the wire matters."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from codegen.runtime.errors import HTTP_STATUS
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.served import Served, served
from tests.codegen.gallery.service import Gallery

PAINTING = "/v1/rooms/a/paintings/1"
SETTINGS = HttpSettings(
    forwarded_headers=frozenset({"x-tenant", "x-blob-bin"}),
    exposed_metadata=frozenset({"x-cost", "location"}),
)


@pytest.fixture
async def gallery() -> AsyncIterator[Served]:
    async with served(SETTINGS) as made:
        yield made


@pytest.fixture
async def client(gallery: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gallery.url) as made:
        yield made


def _hang(gallery: Served, **fields: Any) -> None:
    painting = gallery.gallery.pb.Painting(name="rooms/a/paintings/1", etag="v1", **fields)
    gallery.gallery.paintings[painting.name] = painting


@contextlib.asynccontextmanager
async def _connection(gallery: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = gallery.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in raw[1:] if line)
    return int(raw[0].split()[1]), headers


async def test_head_is_get_without_its_body_and_one_call(gallery: Served, client: httpx.AsyncClient) -> None:
    _hang(gallery, title="lilies " * 500)
    for accept in ("identity", "gzip"):
        got = await client.get(PAINTING, headers={"accept-encoding": accept})
        before = len(gallery.gallery.asked)
        head = await client.head(PAINTING, headers={"accept-encoding": accept})
        assert (head.status_code, head.content, len(gallery.gallery.asked) - before) == (200, b"", 1)
        varying = ("date", "x-request-id")
        assert {name: value for name, value in head.headers.items() if name not in varying} == {
            name: value for name, value in got.headers.items() if name not in varying
        }
    missing = await client.head("/v1/rooms/a/paintings/2")
    assert (missing.status_code, missing.content) == (404, b"")


async def test_a_connection_goes_on_after_every_kind_of_answer(gallery: Served) -> None:
    _hang(gallery)
    async with _connection(gallery) as (reader, writer):
        for verb, extra, status in (
            ("HEAD", "", 200),
            ("GET", 'If-None-Match: "v1"\r\n', 304),
            ("OPTIONS", "", 204),
            ("PUT", "Content-Length: 0\r\n", 405),
            ("GET", "", 200),
        ):
            writer.write(f"{verb} {PAINTING} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
            got, headers = await _head(reader)
            assert got == status
            if verb not in ("HEAD", "OPTIONS") and status != 304:
                await reader.readexactly(int(headers["content-length"]))


async def test_compression_is_readable_by_a_client_who_asks_for_it(
    gallery: Served, client: httpx.AsyncClient
) -> None:
    _hang(gallery, title="lilies " * 500)
    for coding in ("gzip", "br"):
        response = await client.get(PAINTING, headers={"accept-encoding": coding})
        assert response.headers["content-encoding"] == coding
        assert response.json()["title"] == "lilies " * 500


async def test_a_body_is_read_only_after_the_server_wants_it(gallery: Served) -> None:
    body = b'{"code": 5}'
    async with _connection(gallery) as (reader, writer):
        expect = f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        writer.write(f"POST /v1/fail HTTP/1.1\r\nHost: x\r\n{expect}".encode())
        assert (await _head(reader))[0] == 100
        writer.write(body)
        assert (await _head(reader))[0] == 404
    async with _connection(gallery) as (reader, writer):
        writer.write(f"POST /v1/rooms/a/paintings HTTP/1.1\r\nHost: x\r\n{expect}".encode())
        assert (await _head(reader))[0] == 401  # and never 100: the caller is unknown


async def test_chunks_make_a_body(gallery: Served, client: httpx.AsyncClient) -> None:
    data = gzip.compress(orjson.dumps({"code": 5, "message": "m"}))

    async def parts() -> AsyncIterator[bytes]:
        for byte in data:
            yield bytes([byte])

    response = await client.post("/v1/fail", content=parts(), headers={"content-encoding": "gzip"})
    assert (response.status_code, response.json()["message"]) == (404, "m")
    assert gallery.gallery.asked[-1].message == "m"


async def test_a_bomb_in_chunks_is_refused_before_its_end(gallery: Served) -> None:
    coder = zlib.compressobj(9, zlib.DEFLATED, 31)
    async with _connection(gallery) as (reader, writer):
        writer.write(b"POST /v1/fail HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n")
        writer.write(b"Content-Encoding: gzip\r\n\r\n")
        data = coder.compress(bytes(8 << 20)) + coder.flush(zlib.Z_SYNC_FLUSH)
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        assert (await _head(reader))[0] == 413


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Served, asyncio.Event, asyncio.Event]]:
    """A gallery whose paintings are never found, when it is asked for one, and when that ends."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def never(_self: Any, _request: Any, _context: Any) -> Any:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(Gallery, "get_painting", never)
    async with served(SETTINGS) as made:
        yield made, asked, ended


async def test_a_client_that_goes_ends_its_call(slow: tuple[Served, asyncio.Event, asyncio.Event]) -> None:
    gallery, asked, ended = slow
    async with _connection(gallery) as (_, writer):
        writer.write(f"GET {PAINTING} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asked.wait()
        writer.close()
        await ended.wait()


@pytest.mark.parametrize("headers", [{"grpc-timeout": "100m"}, {"x-request-timeout": "0.1"}])
async def test_a_deadline_reaches_the_service(
    slow: tuple[Served, asyncio.Event, asyncio.Event], headers: dict[str, str]
) -> None:
    gallery, _, ended = slow
    async with httpx.AsyncClient(base_url=gallery.url) as client, asyncio.timeout(5):
        await client.post("/v1/metadata")  # connects
        response = await client.get(PAINTING, headers=headers)
        assert (response.status_code, response.json()["code"]) == (504, 4)
        await ended.wait()


async def test_metadata_crosses_both_borders(gallery: Served, client: httpx.AsyncClient) -> None:
    body = {"answer": {"x-cost": "NQ==", "x-secret": "NQ=="}}
    sent = {"x-tenant": "a", "x-blob-bin": "AAE", "traceparent": "00-1-2-01", "connection": "close"}
    response = await client.post("/v1/metadata", json=body, headers=sent)
    heard = response.json()["heard"]
    assert (heard["x-tenant"], heard["x-blob-bin"]) == ("YQ==", "AAE=")
    assert {"traceparent"} <= heard.keys()
    assert {"connection", "user-agent-x", "host"}.isdisjoint(heard)
    assert response.headers["x-cost"] == "5"
    assert "x-secret" not in response.headers
    made = await client.post(
        "/v1/rooms/a/paintings",
        json={"title": "b"},
        headers={"authorization": f"Bearer {gallery.token}"},
    )
    assert (made.status_code, made.headers["location"]) == (200, f"/v1/{made.json()['name']}")


@pytest.mark.parametrize("code", sorted(HTTP_STATUS)[1:])
async def test_a_code_of_a_service_has_its_status(client: httpx.AsyncClient, code: int) -> None:
    body = {"code": code, "message": "m", "reason": "WHY", "retryAfterMs": "1200"}
    response = await client.post("/v1/fail", json=body)
    assert response.status_code == HTTP_STATUS[code]
    status = response.json()
    details = {detail["@type"].rpartition(".")[2]: detail for detail in status["details"]}
    assert (status["code"], status["message"]) == (code, "m")
    assert (details["ErrorInfo"]["reason"], details["ErrorInfo"]["metadata"]) == ("WHY", {"asked": "true"})
    assert details["RetryInfo"]["retryDelay"] == "1.200s"
    assert response.headers["retry-after"] == "2"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_picture_is_sent_as_it_is_and_its_type_cannot_make_headers(
    gallery: Served, client: httpx.AsyncClient
) -> None:
    for told, sent in (
        ("image/png", "image/png"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("text/html\r\nset-cookie: a=b", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("", "application/octet-stream"),
    ):
        gallery.gallery.images["rooms/a/paintings/1"] = (told, b"\0\xff" * 10)
        response = await client.get(f"{PAINTING}/image", headers={"accept": "image/*"})
        assert (response.status_code, response.content) == (200, b"\0\xff" * 10)
        assert response.headers["content-type"] == sent
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in response.headers


async def test_raw_content_comes_in_as_it_is(gallery: Served, client: httpx.AsyncClient) -> None:
    data = bytes(range(256))
    response = await client.put(f"{PAINTING}/image", content=data, headers={"content-type": "image/x-y"})
    assert response.status_code == 200
    assert gallery.gallery.images["rooms/a/paintings/1"] == ("image/x-y", data)
    packed = {"content-type": "image/png", "content-encoding": "gzip"}
    await client.put(f"{PAINTING}/image", content=gzip.compress(data), headers=packed)
    assert gallery.gallery.images["rooms/a/paintings/1"] == ("image/png", data)
    large = await client.put(f"{PAINTING}/image", content=bytes(100_001))
    assert large.status_code == 413


async def test_where_a_socket_is_served_a_mere_request_is_told_so(
    gallery: Served, client: httpx.AsyncClient
) -> None:
    unknown = await client.get("/v1/talk")
    assert unknown.status_code == 401
    known = await client.get("/v1/talk", headers={"authorization": f"Bearer {gallery.token}"})
    assert (known.status_code, known.headers["upgrade"]) == (426, "websocket")
    assert known.json()["details"][0]["reason"] == "METHOD_NOT_ALLOWED"
