"""Servers that break off, never end or begin, lie, or send what nobody asked for: typed errors, in bounds."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import brotli  # type: ignore[import-untyped] # it has no types
import orjson
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.channel import HttpOptions
from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error
from tests.codegen.runtime.client.both import KINDS, Both, client_of, pb, refused
from tests.codegen.runtime.client.scripted import Cut, answer, scripted

NDJSON = "application/x-ndjson"
SMALL = HttpClientSettings(max_message_bytes=10_000)
LATE = HttpOptions(timeout=0.5)
GET = pb("GetPaintingRequest", name="rooms/1/paintings/1")
WATCH = pb("WatchRequest", room="rooms/1")
EVENTS = b'{"id":"1"}\n{"id":"2"}\n'
UNAVAILABLE = {
    "code": code_pb2.UNAVAILABLE,
    "message": "later",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "LATER", "domain": "gallery"}
    ],
}

pytestmark = pytest.mark.parametrize("kind", KINDS)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


def chunked(*parts: bytes, kind: str = NDJSON, end: bool = True, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return (
        head(f"content-type: {kind}", "transfer-encoding: chunked", *lines)
        + body
        + (b"0\r\n\r\n" if end else b"")
    )


@asynccontextmanager
async def calling(kind: str, *answers: bytes | None, **options: Any) -> AsyncIterator[tuple[Both, Any]]:
    async with scripted(*answers) as server, client_of(kind, server.url, **options) as both:
        yield both, server


async def failed(call: Any) -> Error:
    with pytest.raises(Error) as error:
        await call
    return error.value


@asynccontextmanager
async def dripping(begin: bytes, drop: bytes) -> AsyncIterator[str]:
    """A server that never ends what it says, a few bytes at a time."""

    tasks: set[asyncio.Task[Any]] = set()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type] # it is one
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(begin)
            while True:
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.transport.abort()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def test_a_stream_in_any_pieces_is_read(kind: str) -> None:
    whole = EVENTS + b'\r\n  \n{"id":"3","unknown":[1]}'
    for size in (1, 2, 7):
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        async with calling(kind, chunked(*parts)) as (both, server):
            assert [event.id for event in await both.many("watch", WATCH)] == [1, 2, 3]
        assert server.headers()["accept"] == NDJSON


async def test_an_array_is_read_too(kind: str) -> None:
    parts = [b'[{"id":"1"}', b',{"id":"2"', b"}]"]
    async with calling(kind, chunked(*parts, kind="application/json")) as (both, _):
        assert [event.id for event in await both.many("watch", WATCH)] == [1, 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Cut(chunked(EVENTS, end=False)), "DEPENDENCY_UNAVAILABLE"),
        (Cut(head(f"content-type: {NDJSON}", "connection: close") + EVENTS + b"1"), "DEPENDENCY_UNAVAILABLE"),
        (Cut(head(f"content-type: {NDJSON}", "content-length: 1000") + EVENTS), "DEPENDENCY_UNAVAILABLE"),
        (chunked(EVENTS, b"<html>\n"), "INTERNAL"),
        (chunked(EVENTS, b'{"id":"3"'), "INTERNAL"),
        (chunked(EVENTS, b'{"id":"many"}\n'), "INTERNAL"),
        (chunked(EVENTS, b"\xff\xfe\n"), "INTERNAL"),
        (chunked(EVENTS, b'{"error":7}\n'), "INTERNAL"),
        (chunked(EVENTS, b'{"error":{"code":0}}\n'), "INTERNAL"),
        (chunked(EVENTS, b'{"text":"', b"x" * 20_000), "TOO_LARGE"),
        (chunked(EVENTS, orjson.dumps({"error": UNAVAILABLE}) + b"\n"), "LATER"),
        (chunked(EVENTS, b'{ "error" : %s }' % orjson.dumps(UNAVAILABLE)), "LATER"),
    ],
)
async def test_what_goes_wrong_in_a_stream_is_told_after_what_came_before(
    kind: str, content: bytes, reason: str
) -> None:
    taken: list[Any] = []
    async with calling(kind, content, settings=SMALL) as (both, server):
        error = await failed(both.many("watch", WATCH, into=taken))
    if reason != "INTERNAL":
        assert [event.id for event in taken] == [1, 2]
    assert error.reason.name == reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("first", [None, Cut(chunked(end=False)), answer(503, UNAVAILABLE)])
async def test_a_stream_that_did_not_begin_begins_anew(kind: str, first: bytes | None) -> None:
    async with calling(kind, first, chunked(EVENTS)) as (both, server):
        assert len(await both.many("watch", WATCH)) == 2
        assert len(server.requests) == 2


async def test_a_stream_of_requests_is_not_sent_again(kind: str) -> None:
    async with calling(kind, None, answer(200, {})) as (both, server):
        error = await failed(both.one("upload", [pb("PutImageRequest", name=GET.name)]))
        assert error.reason is reasons.DEPENDENCY_UNAVAILABLE
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "content",
    [
        answer(200, b"<html>", content_type="text/html"),
        answer(200, b'"text"', content_type="text/plain; charset=utf-8"),
        answer(200, b"{}", content_encoding="zstd"),
        answer(200, b"{}", content_encoding="gzip, br"),
        answer(200, b"{}", content_encoding="gzip"),
        answer(200, gzip.compress(b"{}")[:-4], content_encoding="gzip"),
        answer(200, brotli.compress(b"{}" * 50)[:-4], content_encoding="br"),
        answer(200, b""),
        answer(206, b"{"),
    ],
)
async def test_an_answer_that_is_none_is_a_typed_error(kind: str, content: bytes) -> None:
    async with calling(kind, content) as (both, _):
        assert (await failed(both.one("get_painting", GET))).reason is reasons.INTERNAL


@pytest.mark.parametrize("content_type", ["text/html", "text/event-stream", ""])
async def test_a_stream_of_another_type_is_a_typed_error(kind: str, content_type: str) -> None:
    async with calling(kind, chunked(EVENTS, kind=content_type)) as (both, _):
        assert (await failed(both.many("watch", WATCH))).reason is reasons.INTERNAL


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_compressed_answers_are_read(kind: str, coding: str) -> None:
    compress = {"gzip": gzip.compress, "br": brotli.compress}[coding]
    message = answer(200, compress(b'{"title":"Lilies"}'), content_encoding=coding)
    many = chunked(compress(EVENTS), content_encoding=coding)
    async with calling(kind, message, many) as (both, server):
        assert (await both.one("get_painting", GET)).title == "Lilies"
        assert server.headers()["accept-encoding"] == "gzip, br"
        assert len(await both.many("watch", WATCH)) == 2


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_what_grows_when_it_is_decompressed_is_not_kept(kind: str, coding: str) -> None:
    compress = {"gzip": gzip.compress, "br": brotli.compress}[coding]
    bomb = compress(b'{"title":"' + b"x" * (64 << 20))
    contents = (answer(200, bomb, content_encoding=coding), chunked(bomb, content_encoding=coding))
    del bomb
    async with calling(kind, *contents, settings=SMALL) as (both, _):
        tracemalloc.start()
        for call in (both.one("get_painting", GET), both.many("watch", WATCH)):
            assert (await failed(call)).reason is reasons.TOO_LARGE
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "begin",
    [
        (b"HTTP/1.1 200 OK\r\nx: ", b"x"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (head("content-length: 100000000"), b" "),
        (head(f"content-type: {NDJSON}", "transfer-encoding: chunked"), b"1\r\n \r\n"),
        (b"HTTP/1.1 503 Later\r\ncontent-length: 100000000\r\n\r\n", b" "),
    ],
    ids=["headers", "hints", "body", "stream", "refusal"],
)
async def test_a_server_that_never_gets_done_is_given_up_in_time(
    kind: str, begin: tuple[bytes, bytes]
) -> None:
    async with dripping(*begin) as url, client_of(kind, url) as both:
        for call in (both.one("get_painting", GET, LATE), both.many("watch", WATCH, LATE)):
            began = time.monotonic()
            error = await failed(call)
            assert time.monotonic() - began < 3
            assert error.reason in {reasons.DEADLINE_EXCEEDED, reasons.INTERNAL}


async def test_an_endless_refusal_is_not_read_to_its_end(kind: str) -> None:
    began = b"HTTP/1.1 403 No\r\ncontent-length: 100000000000\r\n\r\n"
    async with dripping(began, b" " * 65536) as url, client_of(kind, url) as both:
        error = await refused(both.one("get_painting", GET))
    assert (error.code_name, error.status) == ("PERMISSION_DENIED", 403)


async def test_endless_headers_are_not_read_to_their_end(kind: str) -> None:
    async with dripping(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 10_000) as url, client_of(kind, url) as both:
        began = time.monotonic()
        assert (
            await failed(both.one("mirror", HttpBody(data=b"x")))
        ).reason is reasons.DEPENDENCY_UNAVAILABLE
        assert time.monotonic() - began < 10


async def test_redirects_and_cookies_are_not_followed(kind: str) -> None:
    moved = answer(307, b"", location="/elsewhere", set_cookie="a=b; Path=/")
    async with calling(kind, moved) as (both, server):
        error = await refused(both.one("get_painting", GET))
        assert (error.reason.name, error.status) == ("UNKNOWN", 307)
        await refused(both.one("get_painting", GET))
        assert [request.split(b" ")[1] for request in server.requests] == [b"/v1/rooms/1/paintings/1"] * 2
        assert "cookie" not in server.headers()


async def test_the_environment_is_not_trusted_but_a_proxy_may_be_named(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with calling(kind, answer(200, {"title": "here"})) as (both, server):
        assert (await both.one("get_painting", GET)).title == "here"
    settings = HttpClientSettings(proxy=server.url)
    async with scripted(answer(200, {"title": "there"})) as proxy:
        settings = HttpClientSettings(proxy=proxy.url)
        async with client_of(kind, "http://gallery.invalid", settings=settings) as both:
            assert (await both.one("get_painting", GET)).title == "there"
        assert proxy.requests[0].startswith(b"GET http://gallery.invalid/v1/rooms/1/paintings/1 HTTP/1.1\r\n")


async def test_connections_are_bounded_and_who_waits_is_told(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        f"codegen.runtime.client.{ {'asyncio': 'http', 'threads': 'http_sync'}[kind] }.DEFAULT_TIMEOUT", 0.2
    )
    settings = HttpClientSettings(connections=1)
    begin = head(f"content-type: {NDJSON}", "transfer-encoding: chunked")
    async with (
        dripping(begin, b'a\r\n{"id":"1"}\r\n') as url,
        client_of(kind, url, settings=settings) as both,
    ):
        stream = both.client.watch(WATCH)
        await (anext(stream) if both.asynchronous else asyncio.to_thread(next, stream))
        assert (await failed(both.many("watch", WATCH))).reason is reasons.OVERLOADED
        await (stream.aclose() if both.asynchronous else asyncio.to_thread(stream.close))


@pytest.mark.parametrize(
    "options",
    [
        HttpOptions(headers={"x-mine": "a\r\nevil: b"}),
        HttpOptions(headers={"x mine": "a"}),
        HttpOptions(headers={"x-mine": "ü"}),
        HttpOptions(if_none_match="a\nb"),
    ],
)
async def test_headers_that_are_none_are_refused_before_anything_is_sent(
    kind: str, options: HttpOptions
) -> None:
    async with calling(kind, answer(200, {})) as (both, server):
        assert (await failed(both.one("get_painting", GET, options))).reason is reasons.INVALID_FIELD
        assert not server.requests


async def test_details_of_every_kind_are_kept(kind: str) -> None:
    prefix = "type.googleapis.com/"
    details = [
        {"@type": f"{prefix}google.rpc.ErrorInfo", "reason": "NO", "domain": "gallery", "newer": 1},
        {"@type": f"{prefix}google.rpc.Help", "links": [{"url": "https://x"}]},
        {"@type": f"{prefix}gallery.v1.Painting", "title": "Lilies"},
        {"@type": f"{prefix}google.protobuf.Duration", "value": "1.5s"},
        {"@type": f"{prefix}nobody.knows.This", "a": [1]},
        {"@type": 7},
        {"no": "type"},
        {"@type": f"{prefix}google.rpc.RetryInfo", "retryDelay": "soon"},
        "nothing",
    ]
    status = {"code": code_pb2.NOT_FOUND, "message": "no", "details": details}
    async with calling(kind, answer(404, status, x_request_id="r1")) as (both, _):
        error = await refused(both.one("get_painting", GET))
    info, help_, painting, duration, *rest = error.details
    assert (error.reason.name, error.request_id, error.retry_after) == ("NO", "r1", None)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert isinstance(help_, error_details_pb2.Help)
    assert painting == pb("Painting", title="Lilies")
    assert getattr(duration, "seconds", 0) == 1
    assert rest == details[4:8]


async def test_a_detail_that_only_the_registry_knows_is_kept_in_binary_form(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_pool: Any, name: str) -> Any:
        raise KeyError(name)

    monkeypatch.setattr("google.protobuf.json_format._CreateMessageFromTypeUrl", lambda *_: unknown(None, ""))
    details = [{"@type": "type.googleapis.com/gallery.v1.Painting", "title": "Lilies"}]
    async with calling(kind, answer(404, {"code": 5, "details": details})) as (both, _):
        (detail,) = (await refused(both.one("get_painting", GET))).details
    assert isinstance(detail, any_pb2.Any)
    painting = pb("Painting")
    assert detail.Unpack(painting)
    assert painting.title == "Lilies"
