"""Streams of requests over HTTP: a real server before a real service."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.runtime.context import Context
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.local import Local
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.route import Route, Variable
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import MAX_REQUEST_BYTES, Served, served
from tests.codegen.gallery.service import Gallery
from tests.codegen.runtime.http.request import Client

EVENTS = "/v1/events"
PARTS = "/v1/rooms/1/paintings/2/parts"
NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def gallery() -> AsyncIterator[Served]:
    async with served() as gallery:
        yield gallery


@pytest.fixture
async def client(gallery: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gallery.url) as client:
        yield client


async def parts(content: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in content:
        yield part


def fields(answer: httpx.Response) -> list[str]:
    """Fields that a refusal names."""
    details = answer.json()["details"]
    return [each["field"] for detail in details for each in detail.get("fieldViolations", ())]


async def test_a_stream_that_unfolds_to_more_than_anybody_sends_is_refused(
    client: httpx.AsyncClient,
) -> None:
    headers = {**NDJSON, "content-encoding": "gzip"}
    item = b'{"text":"%s"}\n' % (b"x" * 900)
    small = await client.post(EVENTS, content=gzip.compress(item * 1000), headers=headers)
    assert (small.status_code, small.json()["count"]) == (200, "1000")
    bomb = await client.post(EVENTS, content=gzip.compress(item * 30_000), headers=headers)
    assert bomb.status_code == 413, bomb.text


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (NDJSON, b'{"text":"a"}\n{"text":"b"}\n'),
        (NDJSON, b'\r\n{"text":"a"}\r\n\r\n{"text":"b"}'),
        ({"content-type": "application/jsonl; charset=utf-8"}, b'{"text":"a"}\n{"text":"b"}\n'),
        (JSON, b'[{"text":"a"},{"text":"b"}]'),
        (JSON, b' [ {"text":"a"} ,\n{"text":"b"} ] '),
        (JSON, b'{"text":"a"}\n{"text":"b"}\n'),
        (JSON, b'{"text":"a"} {"text":"b"}'),
        (JSON, b'{\n "text":"a"\n}{\n "text":"b"\n}'),
        ({}, b'[{"text":"a"},{"text":"b"}]'),
    ],
)
async def test_messages_come_as_lines_or_as_an_array(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes
) -> None:
    for content in (body, parts(body[place : place + 1] for place in range(len(body)))):
        answer = await client.post(EVENTS, content=content, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"count": "2", "text": "ab"})


@pytest.mark.parametrize("body", [b"", b"[]", b"\n"])
async def test_no_messages_are_none(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(EVENTS, content=body, headers=JSON)
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    ("headers", "body", "message", "field"),
    [
        (NDJSON, b'{}\n{}\n{}\n{"text":5}', "[3].text: a string is expected", "[3].text"),
        (JSON, b'[{"tex":""}]', "[0].tex: gallery.v1.Event has no such field", "[0].tex"),
        (JSON, b"[{},[]]", "[1]: the body is not a JSON object", "[1]"),
        (NDJSON, b"[{}]", "[0]: the body is not a JSON object", "[0]"),
        (JSON, b'[{},{"painting":{"tags":[1]}}]', None, "[1].painting.tags[0]"),
        (NDJSON, b'{"text":"%b"}' % (b"x" * 1001), None, "[0].text"),
        (JSON, b'[{"text":"a"}', "[1]: the body breaks off here", "[1]"),
        (JSON, b'[{"text":"a"}]]', "something follows the array", None),
        (JSON, b'{"text":"\xff"}', None, "[0]"),
    ],
)
async def test_a_bad_message_is_named(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes, message: str | None, field: str | None
) -> None:
    answer = await client.post(EVENTS, content=body, headers=headers)
    assert answer.status_code == 400
    assert fields(answer) == ([field] if field else [])
    assert answer.json()["message"] == message or message is None


@pytest.mark.parametrize(
    "kind", ["application/x-protobuf", "text/plain", "application/json; charset=latin-1"]
)
async def test_other_formats_are_refused(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post(EVENTS, content=b"{}", headers={"content-type": kind})
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_stream_may_be_larger_than_any_message(client: httpx.AsyncClient) -> None:
    line = json.dumps({"text": "x" * 1000}).encode() + b"\n"
    count = 4 * MAX_REQUEST_BYTES // 1000
    answer = await client.post(EVENTS, content=parts([line] * count), headers=NDJSON)
    assert answer.json()["count"] == str(count)


@pytest.mark.parametrize("begin", [b'{"text":"', b'[{"text":"', b"[[[", b'{"text":'])
async def test_a_message_without_end_is_too_large(client: httpx.AsyncClient, begin: bytes) -> None:
    content = parts([begin, *[b"1" * 10_000] * 500])
    answer = await client.post(EVENTS, content=content, headers=JSON)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (413, "TOO_LARGE")
    assert answer.json()["message"].startswith("[0]: it is larger than")


async def test_a_bomb_is_no_larger_than_its_largest_message(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b'{"text":"' + b"x" * 50_000_000)
    headers = {**NDJSON, "content-encoding": "gzip"}
    tracemalloc.start()
    try:
        answer = await client.post(EVENTS, content=bomb, headers=headers)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413


async def test_compressed_messages_are_read(client: httpx.AsyncClient) -> None:
    headers = {**NDJSON, "content-encoding": "gzip"}
    answer = await client.post(EVENTS, content=gzip.compress(b'{"text":"a"}\n' * 5000), headers=headers)
    assert answer.json()["count"] == "5000"


async def status_of_unfinished(gallery: Served, begin: bytes, headers: bytes = b"") -> int:
    """Status of the answer to a body of which only the beginning comes."""
    host, _, port = gallery.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n" + headers + b"\r\n"
    writer.write(head + begin)
    try:
        async with asyncio.timeout(10):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("begin", "status"),
    [(b'{"text":"a"}{"text":"stop"}', 200), (b'{"text":"fail"}', 400), (b'{"text":1}', 400)],
)
async def test_an_answer_does_not_wait_for_messages_that_it_does_not_need(
    gallery: Served, begin: bytes, status: int
) -> None:
    assert await status_of_unfinished(gallery, begin) == status


class Listening(Gallery):
    """Says when messages come, and when no more do."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    async def record(self, requests: AsyncIterator[Any], _context: Context) -> Any:
        try:
            async for _ in requests:
                self.heard.set()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return self.pb.RecordResponse(text="whole")


async def test_a_client_that_goes_away_cancels_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = Listening()
    monkeypatch.setattr(Gallery, "record", lambda _, requests, context: listening.record(requests, context))
    async with asyncio.timeout(20), served() as gallery:
        host, _, port = gallery.url.removeprefix("http://").partition(":")
        _reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{}")
        await listening.heard.wait()
        writer.transport.abort()
        await listening.left.wait()


async def test_a_client_is_as_slow_as_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async def record(_: Gallery, _requests: AsyncIterator[Any], _context: Context) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(Gallery, "record", record)
    line, sent = json.dumps({"text": "x" * 900}).encode() + b"\n", 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(60_000):
            sent += len(line)
            yield line

    async with served() as gallery, httpx.AsyncClient(base_url=gallery.url) as client:
        with pytest.raises(httpx.TimeoutException):
            await client.post(EVENTS, content=content(), headers=NDJSON, timeout=1.5)
    assert sent < 30_000_000


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_raw_content_arrives_in_parts(client: httpx.AsyncClient, size: int) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    answer = await client.post(PARTS, content=data, headers={"content-type": "image/png"})
    told = answer.json()
    assert told["text"] == f"image/png {hashlib.sha256(data).hexdigest()}"
    assert (int(told.get("size", 0)), told["name"]) == (size, "rooms/1/paintings/2")
    assert int(told["count"]) >= max(1, size // 65_536)


async def test_query_parameters_fill_the_first_part(client: httpx.AsyncClient) -> None:
    assert (await client.post(PARTS, params={"offset": 5}, content=b"x")).status_code == 200
    answer = await client.post(PARTS, params={"offset": "x"}, content=b"x")
    assert (answer.status_code, fields(answer)) == (400, ["offset"])


async def test_only_the_first_part_says_more_than_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, int, str]] = []

    async def upload(self: Gallery, requests: AsyncIterator[Any], _context: Context) -> Any:
        said.extend([(part.name, part.offset, part.image.content_type) async for part in requests])
        return self.pb.RecordResponse()

    monkeypatch.setattr(Gallery, "upload", upload)
    async with served() as gallery, httpx.AsyncClient(base_url=gallery.url) as client:
        await client.post(f"{PARTS}?offset=5", content=b"x" * 200_000, headers={"content-type": "image/png"})
    assert said[0] == ("rooms/1/paintings/2", 5, "image/png")
    assert set(said[1:]) == {("", 0, "")}


async def test_raw_content_is_decompressed(client: httpx.AsyncClient) -> None:
    headers = {"content-encoding": "gzip", "content-type": "text/plain"}
    answer = await client.post(PARTS, content=gzip.compress(b"x" * 1_000_000), headers=headers)
    assert answer.json()["size"] == "1000000"


async def test_an_answer_may_be_binary(client: httpx.AsyncClient) -> None:
    answer = await client.post(EVENTS, content=b"{}{}", headers={"accept": "application/x-protobuf"})
    assert generated().pb.RecordResponse.FromString(answer.content).count == 2
    assert (await client.post(EVENTS, content=b"{}", headers={"accept": "text/html"})).status_code == 406


async def test_a_deadline_ends_an_upload(gallery: Served) -> None:
    assert await status_of_unfinished(gallery, b"{}", b"x-request-timeout: 0.2\r\n") == 504


def _app(*routes: Route) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    dispatch = Dispatch(
        routes or generated().routes,
        registry=generated().descriptors.registry(),
        pipeline=Pipeline(Authenticator(UserTokens(b"k" * 32, 60), None), max_request_bytes=1000),
        channel=Local([(generated().rpc.GALLERY_SERVICE, Gallery())]),
    )
    mount(app, dispatch, {})
    return app


@pytest.mark.parametrize(
    ("body", "target", "content"),
    [
        ("*", "/v1/texts/x/events", b'[{"id":1},{"id":2}]'),
        ("painting", "/v1/texts/x/events?id=5", b"{} {}"),
        ("", "/v1/texts/x/events?id=5", b""),
    ],
)
async def test_path_and_query_fill_the_first_message(body: str, target: str, content: bytes) -> None:
    record = next(route.method for route in generated().routes if route.method.name == "Record")
    segments, variables = ("v1", "texts", "*", "events"), (Variable(("text",), 2, 3),)
    app = _app(Route(record, "POST", "/v1/texts/{text}/events", segments, "", variables, body))
    answer = await Client(app).send("POST", target, content)
    assert answer.json() == {"count": "2" if content else "1", "text": "x"}
    unclear = await Client(app).send("POST", "/v1/texts/%ff/events", content)
    assert (unclear.status, unclear.reason) == (400, "MALFORMED_PATH")


PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b'"text"', b":", b'"a"', b'"', b"\\", b"1", b"\n", b"\xc3", b"[]"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([EVENTS, PARTS, "/v1/events:watch"]),
    st.lists(st.binary(max_size=30) | st.lists(PIECES, max_size=12).map(b"".join), max_size=5),
    st.sampled_from(["application/json", "application/x-ndjson", "application/x-protobuf", "image/png", ""]),
    st.sampled_from(["", "gzip", "br", "identity"]),
)
async def test_any_bytes_are_answered_or_refused(
    path: str, body: list[bytes], content_type: str, coding: str
) -> None:
    headers = {"content-type": content_type, "content-encoding": coding}
    async with asyncio.timeout(5):
        answer = await Client(_app()).send("POST", path, body, headers)
    assert answer.status in (200, 400, 413, 415)
    if answer.status != 200:
        assert answer.reason
