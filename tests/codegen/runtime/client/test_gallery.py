"""Generated clients, with asyncio and without, against the gallery behind real HTTP and real gRPC.

Each test runs twice, see `both.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import queue
import threading
from collections.abc import AsyncIterator, Iterable
from types import ModuleType
from typing import Any

import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2, error_details_pb2
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.channel import Answer, HttpOptions
from codegen.runtime.client.http_status import NOT_MODIFIED
from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error, Reason
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.served import Served, served
from tests.codegen.runtime.client.both import KINDS, Both, client_of, pb, refused

TAKEN = Reason("TAKEN", "gallery", code_pb2.ALREADY_EXISTS)
REASONS = ModuleType("gallery_errors")
REASONS.TAKEN = TAKEN  # type: ignore[attr-defined] # as a generated module has it
PAINTING = "rooms/1/paintings/a b%2Fc?ü"
SERVER = HttpSettings(
    forwarded_headers=frozenset({"x-mine", "x-mine-bin"}),
    exposed_metadata=frozenset({"x-said", "x-said-bin"}),
)


@pytest.fixture
async def gallery() -> AsyncIterator[Served]:
    async with served(SERVER) as running:
        yield running


@pytest.fixture(params=KINDS)
async def both(request: pytest.FixtureRequest, gallery: Served) -> AsyncIterator[Both]:
    settings = HttpClientSettings(compressed_from=100)
    async with client_of(
        request.param, gallery.url, gallery.token, known=[REASONS], settings=settings
    ) as made:
        yield made


async def hung(both: Both, **fields: Any) -> Any:
    request = pb("CreatePaintingRequest", parent="rooms/1", painting_id="a b%2Fc?ü", painting=fields)
    return await both.one("create_painting", request)


async def test_a_painting_is_hung_changed_read_and_taken_down(both: Both, gallery: Served) -> None:
    answer = Answer()
    fields = {"title": "Lilies" * 16, "tags": ["a"], "descriptions": {"de": "Seerosen"}, "price": 1 << 60}
    request = pb("CreatePaintingRequest", parent="rooms/1", painting_id="a b%2Fc?ü", painting=fields)
    made = await both.one("create_painting", request, HttpOptions(answer=answer))
    assert made == gallery.gallery.paintings[PAINTING]
    assert gallery.gallery.asked[-1] == request
    assert (answer.status, bool(answer.request_id)) == (200, True)

    wanted = pb(
        "GetPaintingRequest",
        name=PAINTING,
        at_least={"width": 1.5},
        styles=[1, 2],
        hung_before={"seconds": 7},
    )
    assert await both.one("get_painting", wanted, HttpOptions(answer=answer)) == made
    assert gallery.gallery.asked[-1] == wanted
    assert answer.etag.strip('"') == made.etag

    change = pb("UpdatePaintingRequest", painting={"name": PAINTING, "title": "Frogs", "etag": made.etag})
    change.update_mask.CopyFrom(FieldMask(paths=["title"]))
    changed = await both.one("update_painting", change)
    assert (changed.title, changed.price) == ("Frogs", 1 << 60)
    titles = await both.one("list_titles", pb("ListTitlesRequest", parent="rooms/1"))
    assert list(titles.titles) == ["Frogs"]

    stale = pb("DeletePaintingRequest", name=PAINTING, etag=made.etag)
    assert (await refused(both.one("delete_painting", stale))).reason is reasons.PRECONDITION_FAILED
    await both.one("delete_painting", pb("DeletePaintingRequest", name=PAINTING, etag=changed.etag))
    assert not gallery.gallery.paintings


async def test_what_has_not_changed_is_not_sent_again(both: Both) -> None:
    await hung(both, title="Lilies")
    answer = Answer()
    request = pb("GetPaintingRequest", name=PAINTING)
    await both.one("get_painting", request, HttpOptions(answer=answer))
    again = HttpOptions(if_none_match=answer.etag, answer=answer)
    error = await refused(both.one("get_painting", request, again))
    assert (error.reason, error.status, answer.status) == (NOT_MODIFIED, 304, 304)


async def test_pictures_go_in_and_out_as_they_are(both: Both, gallery: Served) -> None:
    picture = HttpBody(content_type="image/x-lily", data=bytes(range(256)) * 20)
    put = await both.one("put_image", pb("PutImageRequest", name=PAINTING, image=picture, offset=7))
    assert (put.title, put.price, gallery.gallery.asked[-1].offset) == ("image/x-lily", 5120, 7)
    assert await both.one("get_image", pb("GetPaintingRequest", name=PAINTING)) == picture
    assert await both.one("mirror", picture) == picture


async def test_a_reason_is_the_object_that_the_schema_has_and_details_are_messages(both: Both) -> None:
    await hung(both)
    error = await refused(hung(both))
    assert error.reason is TAKEN
    assert (error.status, error.code_name) == (409, "ALREADY_EXISTS")
    assert error.request_id

    request = pb(
        "FailRequest", code=code_pb2.RESOURCE_EXHAUSTED, reason="FULL", message="so ü", retry_after_ms=90000
    )
    error = await refused(both.one("fail", request))
    assert (error.reason, error.message) == (Reason("FULL", "gallery", 8), "so ü")
    assert (error.retry_after, error.metadata) == (90.0, {"asked": "true"})
    assert [type(detail) for detail in error.details] == [
        error_details_pb2.ErrorInfo,
        error_details_pb2.RetryInfo,
    ]
    assert (await refused(both.one("fail", pb("FailRequest", code=-1)))).reason is reasons.INTERNAL

    long = pb("CreatePaintingRequest", parent="rooms/1", painting={"title": "x" * 101})
    error = await refused(both.one("create_painting", long))
    assert error.reason is reasons.VALIDATION_FAILED
    assert [violation.field for violation in error.violations] == ["painting.title"]


async def test_metadata_goes_both_ways(both: Both) -> None:
    answer = Answer()
    options = HttpOptions(headers={"X-Mine": "yes", "x-mine-bin": b"\x00\xff"}, answer=answer)
    request = pb("MetadataRequest", answer={"x-said": b"heard", "x-said-bin": b"\xff\x00\x01"})
    heard = (await both.one("metadata", request, options)).heard
    assert (heard["x-mine"], heard["x-mine-bin"]) == (b"yes", b"\x00\xff")
    assert (answer.headers["x-said"], answer.binary("x-said-bin")) == ("heard", b"\xff\x00\x01")


async def test_a_stream_of_events_is_read_to_its_end(both: Both, gallery: Served) -> None:
    request = pb("WatchRequest", room="rooms/1", after=5, count=200)
    events = await both.many("watch", request)
    assert [event.id for event in events] == list(range(6, 206))
    assert events[0].text == "event 6"
    assert gallery.gallery.asked[-1] == request


async def test_an_error_in_the_middle_of_a_stream_comes_after_what_was_before_it(both: Both) -> None:
    taken: list[Any] = []
    request = pb("WatchRequest", room="rooms/1", count=2, fail=code_pb2.DATA_LOSS)
    error = await refused(both.many("watch", request, into=taken))
    assert [event.id for event in taken] == [1, 2]
    assert (error.reason, error.status) == (Reason("DATA_LOSS", "gallery", code_pb2.DATA_LOSS), 200)


async def test_a_stream_that_fails_at_once_is_refused(both: Both) -> None:
    error = await refused(both.many("download", pb("GetPaintingRequest", name=PAINTING)))
    assert (error.reason.name, error.status) == ("NO_IMAGE", 404)


async def test_who_leaves_a_stream_ends_it(both: Both, gallery: Served) -> None:
    stream = both.client.watch(pb("WatchRequest", room="rooms/1", count=1, linger=True))
    if both.asynchronous:
        assert (await anext(stream)).id == 1
        await gallery.gallery.lingering.wait()
        await stream.aclose()
    else:
        assert (await asyncio.to_thread(next, stream)).id == 1
        await gallery.gallery.lingering.wait()
        await asyncio.to_thread(stream.close)
    await asyncio.wait_for(gallery.gallery.left.wait(), 10)


async def test_the_timeout_of_a_stream_is_the_callers(both: Both, gallery: Served) -> None:
    request = pb("WatchRequest", room="rooms/1", count=2, linger=True)
    with pytest.raises(Error) as late:
        await both.many("watch", request, HttpOptions(timeout=0.5))
    assert late.value.reason is reasons.DEADLINE_EXCEEDED
    await asyncio.wait_for(gallery.gallery.left.wait(), 10)


async def test_a_large_picture_comes_in_parts(both: Both) -> None:
    data = hashlib.sha256(b"lilies").digest() * 1000
    await both.one(
        "put_image", pb("PutImageRequest", name=PAINTING, image={"content_type": "a/b", "data": data})
    )
    parts = await both.many("download", pb("GetPaintingRequest", name=PAINTING))
    assert len(parts) > 1
    assert {part.content_type for part in parts} == {"a/b"}
    assert b"".join(part.data for part in parts) == data


async def test_many_events_are_recorded(both: Both) -> None:
    events = [pb("Event", id=number, text=f"{number}\n,") for number in range(100)]
    recorded = await both.one("record", events)
    assert (recorded.count, recorded.text) == (100, "".join(event.text for event in events))
    assert (await both.one("record", [])).count == 0
    assert (await both.one("record", [pb("Event", text="stop"), *events])).count == 1
    error = await refused(both.one("record", [*events, pb("Event", text="fail")]))
    assert error.reason.name == "FAILED_PRECONDITION"


async def test_a_large_picture_goes_out_in_parts(both: Both) -> None:
    data = hashlib.sha256(b"lilies").digest() * 1000
    parts = [data[start : start + 3000] for start in range(0, len(data), 3000)]
    first = pb("PutImageRequest", name=PAINTING, image={"content_type": "a/b", "data": parts[0]})
    rest = [pb("PutImageRequest", image={"data": part}) for part in parts[1:]]
    done = await both.one("upload", [first, *rest])
    assert (done.name, done.size) == (PAINTING, len(data))
    assert done.text == f"a/b {hashlib.sha256(data).hexdigest()}"


async def test_what_only_the_first_request_can_say_is_refused_in_others(both: Both) -> None:
    first = pb("PutImageRequest", name=PAINTING, image={"data": b"1"})
    with pytest.raises(Error) as lost:
        await both.one("upload", [first, pb("PutImageRequest", offset=1)])
    assert (lost.value.reason, lost.value.violations[0].field) == (reasons.INVALID_FIELD, "offset")


@pytest.mark.parametrize("error", [ZeroDivisionError(), TimeoutError(), httpx.ReadError("another's")])
async def test_what_requests_raise_is_raised_by_the_call(both: Both, error: Exception) -> None:
    def broken() -> Iterable[Any]:
        yield pb("Event", text="one")
        raise error

    with pytest.raises(type(error)) as raised:
        await both.one("record", broken())
    assert type(raised.value) is type(error)
    with pytest.raises(type(error)) as raised:
        await both.many("talk", broken())
    assert type(raised.value) is type(error)


async def test_both_sides_talk_at_the_same_time(both: Both) -> None:
    answers: list[Any] = []

    def events() -> Iterable[Any]:
        yield pb("Event", id=1, text="lily", painting={"title": "Lilies"})
        yield pb("Event", id=2, text="twice")
        yield pb("Event", id=3, text="end")

    answer = Answer()
    await both.many("talk", events(), HttpOptions(answer=answer), into=answers)
    assert [(event.id, event.text) for event in answers] == [
        (1, "ylil"),
        (2, "eciwt"),
        (2, "eciwt"),
        (3, "dne"),
    ]
    assert answers[0].painting.title == "Lilies"
    assert answer.status == 101


async def test_an_answer_may_be_waited_for_before_the_next_request(both: Both) -> None:
    if both.asynchronous:
        answered: asyncio.Queue[Any] = asyncio.Queue()

        async def events() -> AsyncIterator[Any]:
            for number in range(1, 6):
                yield pb("Event", id=number, text="x" * number)
                assert (await answered.get()).id == number

        async for event in both.client.talk(events()):
            answered.put_nowait(event)
        return
    handed: queue.Queue[Any] = queue.Queue()

    def asked() -> Iterable[Any]:
        for number in range(1, 6):
            yield pb("Event", id=number, text="x" * number)
            assert handed.get(timeout=10).id == number

    def talk() -> None:
        for event in both.client.talk(asked()):
            handed.put(event)

    await asyncio.to_thread(talk)


async def test_who_is_cancelled_ends_the_call(gallery: Served) -> None:
    async with client_of("asyncio", gallery.url) as both:
        request = pb("WatchRequest", room="rooms/1", count=1, linger=True)
        task = asyncio.create_task(both.many("watch", request))
        await gallery.gallery.lingering.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gallery.gallery.left.wait(), 10)


async def test_an_error_ends_a_talk_after_what_was_said_before(both: Both) -> None:
    answers: list[Any] = []
    events = [pb("Event", id=1, text="a"), pb("Event", text="fail")]
    error = await refused(both.many("talk", events, into=answers))
    assert [event.id for event in answers] == [1]
    assert error.reason == Reason("ABORTED", "gallery", code_pb2.ABORTED)


async def test_the_server_may_end_a_talk(both: Both) -> None:
    def events() -> Iterable[Any]:
        yield pb("Event", id=1, text="a")
        yield pb("Event", text="bye")

    assert [event.id for event in await both.many("talk", events())] == [1]


async def test_a_talk_needs_a_token_and_says_why_it_is_refused(gallery: Served) -> None:
    for kind in KINDS:
        async with client_of(kind, gallery.url) as both:
            error = await refused(both.many("talk", [pb("Event", text="a")]))
            assert (error.reason, error.status) == (reasons.TOKEN_MISSING, 401)


async def test_who_leaves_a_talk_ends_it(both: Both, gallery: Served) -> None:
    said = pb("Event", id=1, text="a")
    if both.asynchronous:

        async def events() -> AsyncIterator[Any]:
            yield said
            await asyncio.Event().wait()

        stream = both.client.talk(events())
        assert (await anext(stream)).id == 1
        await stream.aclose()
    else:
        left = threading.Event()

        def waiting() -> Iterable[Any]:
            yield said
            left.wait()

        stream = both.client.talk(waiting())
        assert (await asyncio.to_thread(next, stream)).id == 1
        closing = asyncio.create_task(asyncio.to_thread(stream.close))
        await asyncio.wait_for(gallery.gallery.left.wait(), 10)
        left.set()  # not before: requests that have ended are no reason to leave
        await closing
    await asyncio.wait_for(gallery.gallery.left.wait(), 10)


async def test_the_timeout_of_a_talk_is_the_callers(both: Both) -> None:
    left = threading.Event()

    def waiting() -> Iterable[Any]:
        yield pb("Event", id=1, text="a")
        left.wait(5)

    async def silent() -> AsyncIterator[Any]:
        yield pb("Event", id=1, text="a")
        await asyncio.Event().wait()

    with pytest.raises(Error) as late:
        await both.many("talk", silent() if both.asynchronous else waiting(), HttpOptions(timeout=0.5))
    left.set()
    assert late.value.reason is reasons.DEADLINE_EXCEEDED
