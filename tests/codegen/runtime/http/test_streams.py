"""Streams of answers over HTTP: a real server before a real service."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import brotli  # type: ignore[import-untyped] # it has no types
import httpx
import pytest
from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error
from codegen.runtime.transcoding import streaming
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import Served, served
from tests.codegen.gallery.service import Gallery

LINES, EVENTS, JSON = "application/x-ndjson", "text/event-stream", "application/json"
WATCH = "/v1/rooms/1/events"


@pytest.fixture
async def gallery(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    if "held" in request.fixturenames:
        request.getfixturevalue("held")  # handlers are made when the service is served
    async with served(HttpSettings(exposed_metadata=frozenset({"x-said"}))) as gallery:
        yield gallery


@pytest.fixture
async def client(gallery: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gallery.url, headers={"accept-encoding": "identity"}) as client:
        yield client


def events(text: str) -> list[dict[str, str]]:
    """Events as an event source reads them, without comments."""
    parsed = []
    for block in text.split("\n\n"):
        pairs = [line.partition(": ")[::2] for line in block.split("\n") if line and not line.startswith(":")]
        if pairs:
            parsed.append(dict(pairs))
    return parsed


async def test_lines_have_a_message_each(client: httpx.AsyncClient) -> None:
    answer = await client.get(WATCH, params={"after": 5, "count": 2}, headers={"accept": LINES})
    assert (answer.status_code, answer.headers["content-type"]) == (200, LINES)
    assert answer.content == b'{"id":"6","text":"event 6"}\n{"id":"7","text":"event 7"}\n'


@pytest.mark.parametrize("accept", ["application/jsonl", "application/x-jsonlines; q=0.4"])
async def test_lines_are_called_what_the_client_calls_them(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get(WATCH, headers={"accept": accept})
    assert answer.headers["content-type"] == accept.partition(";")[0]


async def test_events_have_ids_and_say_once_when_to_come_again(client: httpx.AsyncClient) -> None:
    answer = await client.get(WATCH, params={"count": 2}, headers={"accept": EVENTS})
    assert answer.headers["content-type"] == EVENTS
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert events(answer.text) == [
        {"retry": "3000"},
        {"id": "1", "data": '{"id":"1","text":"event 1"}'},
        {"id": "2", "data": '{"id":"2","text":"event 2"}'},
    ]


@pytest.mark.parametrize("accept", [None, "*/*", JSON, "application/*", "text/html, */*;q=0.1"])
async def test_others_get_one_array(client: httpx.AsyncClient, accept: str | None) -> None:
    client.headers.pop("accept")
    answer = await client.get(WATCH, headers={"accept": accept} if accept else {})
    assert answer.headers["content-type"] == JSON
    assert [each["id"] for each in answer.json()] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (f"{JSON}, {EVENTS};q=0.9", JSON),
        (f"{JSON};q=0.5, {EVENTS};q=0.9, {LINES};q=0.8", EVENTS),
        (f"{JSON}, {LINES}", LINES),
        (f"{EVENTS}, */*", EVENTS),
        (f"{EVENTS};q=0, */*", JSON),
        ("text/*", EVENTS),
    ],
)
async def test_the_best_liked_format_is_chosen(
    client: httpx.AsyncClient, accept: str, content_type: str
) -> None:
    answer = await client.get(WATCH, headers={"accept": accept})
    assert answer.headers["content-type"] == content_type


@pytest.mark.parametrize("accept", ["image/png", "application/x-protobuf", f"{JSON};q=0"])
async def test_other_formats_are_refused(gallery: Served, client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get(WATCH, headers={"accept": accept})
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (406, "NOT_ACCEPTABLE")
    assert gallery.gallery.asked == []


async def test_one_field_of_each_message_may_be_the_item(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{WATCH}/texts", params={"count": 2}, headers={"accept": LINES})
    assert answer.content == b'"event 1"\n"event 2"\n'
    assert (await client.get(f"{WATCH}/texts", params={"count": 2})).json() == ["event 1", "event 2"]


async def test_a_request_may_come_in_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/events:watch", json={"room": "rooms/1", "count": 1, "after": "8"})
    assert answer.json() == [{"id": "9", "text": "event 9"}]


@pytest.mark.parametrize(
    ("accept", "last"),
    [
        (LINES, lambda text: json.loads(text.splitlines()[-1])["error"]),
        (JSON, lambda text: json.loads(text)[-1]["error"]),
        (EVENTS, lambda text: json.loads(events(text)[-1]["data"])),
    ],
)
async def test_an_error_in_mid_stream_is_its_last_item(
    client: httpx.AsyncClient, accept: str, last: Any
) -> None:
    answer = await client.get(WATCH, params={"count": 2, "fail": 9}, headers={"accept": accept})
    status = last(answer.text)
    assert (answer.status_code, status["code"], status["message"]) == (200, 9, "as asked")
    assert status["details"][0]["reason"] == "FAILED_PRECONDITION"
    assert answer.text.count("event 2") == 1
    if accept == EVENTS:
        assert events(answer.text)[-1]["event"] == "error"


class Held:
    """What the service says once it is let go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.texts: list[str] = []
        self.error: Error | None = None

    async def watch(self, _request: Any, context: Any) -> AsyncIterator[Any]:
        context.response_metadata["x-said"] = "yes"
        await self.go.wait()
        for text in self.texts:
            yield generated().pb.Event(text=text)
        if self.error:
            raise self.error


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    monkeypatch.setattr(Gallery, "watch", lambda _, request, context: held.watch(request, context))
    monkeypatch.setattr(streaming, "PATIENCE", 0.05)
    return held


@pytest.mark.parametrize(
    ("accept", "begin", "end"),
    [(LINES, b"", b'{"text":"a"}\n'), (EVENTS, b"retry: ", b"data: "), (JSON, b"[", b'{"text":"a"}]')],
)
async def test_an_answer_begins_though_nothing_happens_yet(
    held: Held, client: httpx.AsyncClient, accept: str, begin: bytes, end: bytes
) -> None:
    async with client.stream("GET", WATCH, headers={"accept": accept}) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, accept)
        held.texts = ["a"]
        held.go.set()
        content = await answer.aread()
    assert content.startswith(begin)
    assert end in content


async def test_an_error_after_an_empty_begin_is_an_item(held: Held, client: httpx.AsyncClient) -> None:
    async with client.stream("GET", WATCH) as answer:
        held.error = Error(reasons.FENCED, "later")
        held.go.set()
        await answer.aread()
    assert [each["error"]["message"] for each in answer.json()] == ["later"]


async def test_a_refusal_without_an_item_has_its_status(held: Held, client: httpx.AsyncClient) -> None:
    held.error = Error(reasons.FORBIDDEN, "not you")
    held.go.set()
    for accept in (LINES, EVENTS, JSON):
        answer = await client.get(WATCH, headers={"accept": accept})
        assert (answer.status_code, answer.json()["message"]) == (403, "not you")


async def test_a_defect_in_mid_stream_is_hidden(held: Held, client: httpx.AsyncClient) -> None:
    held.texts = ["a", 5]  # type: ignore[list-item]
    held.go.set()
    last = (await client.get(WATCH, headers={"accept": LINES})).text.splitlines()[-1]
    assert json.loads(last)["error"]["details"][0]["reason"] == "INTERNAL"


async def test_a_stream_without_items_is_empty(held: Held, client: httpx.AsyncClient) -> None:
    held.go.set()
    assert (await client.get(WATCH)).json() == []
    assert (await client.get(WATCH, headers={"accept": LINES})).content == b""
    assert events((await client.get(WATCH, headers={"accept": EVENTS})).text) == [{"retry": "3000"}]


async def test_an_event_source_behind_the_last_event_is_told_to_stop(
    held: Held, client: httpx.AsyncClient
) -> None:
    held.go.set()
    answer = await client.get(WATCH, headers={"accept": EVENTS, "last-event-id": "9"})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_line_break_within_an_item_stays_within_its_event(
    held: Held, client: httpx.AsyncClient
) -> None:
    held.texts = ["a\r\nb\u2028c\nevent: x"]
    held.go.set()
    answer = await client.get(WATCH, headers={"accept": EVENTS})
    assert [json.loads(each["data"])["text"] for each in events(answer.text)[1:]] == held.texts


async def test_what_the_service_says_beside_its_messages_is_in_headers(
    held: Held, client: httpx.AsyncClient
) -> None:
    held.texts = ["a"]
    held.go.set()
    assert (await client.get(WATCH)).headers["x-said"] == "yes"


async def test_an_error_before_the_first_item_is_an_ordinary_refusal(client: httpx.AsyncClient) -> None:
    for accept in (LINES, EVENTS, JSON):
        answer = await client.get("/v1/rooms/1/paintings/none/parts", headers={"accept": accept})
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "NO_IMAGE")


async def test_bad_parameters_are_an_ordinary_refusal(client: httpx.AsyncClient) -> None:
    answer = await client.get(WATCH, params={"count": "x"}, headers={"accept": EVENTS})
    assert (answer.status_code, answer.json()["message"]) == (400, "count: a 32-bit integer is expected")


async def test_an_event_source_goes_on_where_it_was(gallery: Served, client: httpx.AsyncClient) -> None:
    headers = {"accept": EVENTS, "last-event-id": "41"}
    answer = await client.get(WATCH, params={"after": 3, "count": 1}, headers=headers)
    assert events(answer.text)[-1]["id"] == "42"
    assert gallery.gallery.asked[-1].after == 41


@pytest.mark.parametrize("event", ["x", "1.5", "9" * 30, "\xff"])
async def test_an_id_of_no_event_is_refused(client: httpx.AsyncClient, event: str) -> None:
    headers = {b"accept": EVENTS.encode(), b"last-event-id": event.encode("latin-1")}
    answer = await client.get(WATCH, headers=headers)
    violation = answer.json()["details"][1]["fieldViolations"][0]
    assert (answer.status_code, violation["field"]) == (400, "last-event-id")


async def test_an_empty_id_is_none(client: httpx.AsyncClient) -> None:
    answer = await client.get(WATCH, headers={"accept": EVENTS, "last-event-id": ""})
    assert events(answer.text)[1]["id"] == "1"


async def test_head_is_answered_without_the_service(gallery: Served, client: httpx.AsyncClient) -> None:
    answer = await client.head(WATCH, headers={"accept": EVENTS})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, EVENTS, b"")
    assert (await client.head(WATCH, params={"count": "x"})).status_code == 400
    content = await client.head("/v1/rooms/1/paintings/none/parts")
    assert (content.status_code, "content-type" in content.headers) == (200, False)
    assert gallery.gallery.asked == []


async def lingering(
    client: httpx.AsyncClient, accept: str, count: int = 1
) -> tuple[httpx.Response, AsyncIterator[bytes]]:
    request = client.build_request(
        "GET", WATCH, params={"count": count, "linger": True}, headers={"accept": accept}
    )
    answer = await client.send(request, stream=True)
    return answer, answer.aiter_raw()


@pytest.mark.parametrize("accept", [LINES, EVENTS, JSON])
async def test_items_come_while_the_stream_lasts_and_its_end_is_heard(
    gallery: Served, client: httpx.AsyncClient, accept: str
) -> None:
    answer, parts = await lingering(client, accept)
    received = b""
    while b"event 1" not in received:
        received += await anext(parts)
    await gallery.gallery.lingering.wait()
    assert not gallery.gallery.left.is_set()
    await answer.aclose()
    async with asyncio.timeout(5):
        await gallery.gallery.left.wait()


async def test_a_compressed_stream_brings_each_item_at_once(client: httpx.AsyncClient) -> None:
    client.headers["accept-encoding"] = "br"
    answer, parts = await lingering(client, EVENTS)
    assert answer.headers["content-encoding"] == "br"
    decoder, received = brotli.Decompressor(), b""
    while b"event 1" not in received:
        received += decoder.process(await anext(parts))
    await answer.aclose()


async def test_a_compressed_stream_is_whole(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", WATCH, headers={"accept": LINES, "accept-encoding": "gzip"}) as answer:
        content = b"".join([part async for part in answer.aiter_raw()])
    assert gzip.decompress(content).count(b"\n") == 3


async def test_a_silent_event_stream_says_that_it_is_alive(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(streaming, "PATIENCE", 0.01)
    answer, parts = await lingering(client, EVENTS)
    received = b""
    while received.count(b":\n\n") < 2:
        received += await anext(parts)
    await answer.aclose()
    assert received.startswith(b"retry: 3000\n\nid: 1\ndata: ")


async def test_a_deadline_ends_a_stream_with_an_error(gallery: Served, client: httpx.AsyncClient) -> None:
    headers = {"accept": LINES, "x-request-timeout": "0.3"}
    answer = await client.get(WATCH, params={"count": 1, "linger": True}, headers=headers)
    first, last = answer.text.splitlines()
    assert json.loads(first)["id"] == "1"
    assert json.loads(last)["error"]["details"][0]["reason"] == "DEADLINE_EXCEEDED"
    async with asyncio.timeout(5):
        await gallery.gallery.left.wait()


async def test_raw_content_comes_as_it_is(gallery: Served, client: httpx.AsyncClient) -> None:
    data = bytes(range(256)) * 20
    gallery.gallery.images["rooms/1/paintings/2"] = ("image/png", data)
    answer = await client.get("/v1/rooms/1/paintings/2/parts", headers={"accept": "image/*"})
    assert (answer.headers["content-type"], answer.content) == ("image/png", data)


async def test_empty_raw_content_is_empty(gallery: Served, client: httpx.AsyncClient) -> None:
    gallery.gallery.images["rooms/1/paintings/2"] = ("", b"")
    answer = await client.get("/v1/rooms/1/paintings/2/parts")
    assert (answer.headers["content-type"], answer.content) == ("application/octet-stream", b"")


async def test_a_client_that_does_not_read_stops_the_service(gallery: Served) -> None:
    """What the service has sent is bounded by the buffers between, not by the picture."""
    sent = 0
    data = bytes(40 << 20)

    class Counted(bytes):
        def __getitem__(self, part: Any) -> Any:
            nonlocal sent
            sent = max(sent, part.stop)
            return data[part]

    gallery.gallery.images["rooms/1/paintings/2"] = ("image/png", Counted(data))
    host, _, port = gallery.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /v1/rooms/1/paintings/2/parts HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readline()
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.5)  # nothing tells that nothing more happens
    assert 0 < sent < len(data) // 2
    writer.transport.abort()
    async with asyncio.timeout(5):
        await gallery.gallery.left.wait()


async def test_raw_content_that_fails_midway_breaks_off(gallery: Served, client: httpx.AsyncClient) -> None:
    class Failing(bytes):
        def __getitem__(self, part: Any) -> Any:
            if part.start:
                raise Error(reasons.FENCED, "midway")
            return b"x" * 1000

    gallery.gallery.images["rooms/1/paintings/2"] = ("image/png", Failing(b"x" * 5000))
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/v1/rooms/1/paintings/2/parts")
