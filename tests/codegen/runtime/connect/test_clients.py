"""Clients of connectrpc, every protocol and codec, every kind of method."""

from __future__ import annotations

import asyncio

import pytest
from connectrpc.client import ResponseMetadata
from connectrpc.code import Code
from connectrpc.compression.brotli import BrotliCompression
from connectrpc.errors import ConnectError
from connectrpc.protocol import ProtocolType
from google.rpc import code_pb2

from tests.codegen.gallery.served import Served
from tests.codegen.runtime.connect.peers import WIRES, Peer, message, method, reason

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(params=WIRES, ids=lambda wire: f"{wire[0].name}-{wire[1]}")
def peer(request: pytest.FixtureRequest, gallery: Served) -> Peer:
    protocol, codec = request.param
    return Peer(gallery.url, protocol, codec, gallery.token)


async def test_a_unary_call_answers_what_the_service_answers(peer: Peer, gallery: Served) -> None:
    made = await peer.unary(
        "CreatePainting",
        message("CreatePaintingRequest", parent="rooms/1", painting=message("Painting", title="Nighthawks")),
    )
    assert made.title == "Nighthawks"
    assert gallery.gallery.paintings[made.name].title == "Nighthawks"
    found = await peer.unary("GetPainting", message("GetPaintingRequest", name=made.name))
    assert found == made


async def test_a_blocking_client_is_answered_too(peer: Peer) -> None:
    def call() -> object:
        with peer.blocking() as client:
            return client.execute_unary(
                request=message("ListTitlesRequest", parent="rooms/1"),
                method=method("ListTitles"),
                headers=peer.headers(),
            )

    assert await asyncio.to_thread(call) == message("ListTitlesResponse")


async def test_a_stream_of_responses_comes_in_order(peer: Peer) -> None:
    events = await peer.server_stream("Watch", message("WatchRequest", room="rooms/1", count=5))
    assert [each.id for each in events] == [1, 2, 3, 4, 5]
    assert events[4].text == "event 5"


async def test_a_stream_of_requests_is_answered_once(peer: Peer) -> None:
    answer = await peer.client_stream("Record", [message("Event", text=text) for text in "abc"])
    assert (answer.count, answer.text) == (3, "abc")


async def test_an_empty_stream_of_requests_is_answered_once(peer: Peer) -> None:
    assert (await peer.client_stream("Record", [])).count == 0


async def test_streams_both_ways_are_carried(peer: Peer) -> None:
    events = await peer.bidi(
        "Talk", [message("Event", id=1, text="abc"), message("Event", id=2, text="twice")]
    )
    assert [(each.id, each.text) for each in events] == [(1, "cba"), (2, "eciwt"), (2, "eciwt")]


async def test_an_error_carries_code_message_and_details(peer: Peer) -> None:
    asked = message(
        "FailRequest", code=code_pb2.ABORTED, message="sälber", reason="TIRED", retry_after_ms=1500
    )
    with pytest.raises(ConnectError) as caught:
        await peer.unary("Fail", asked)
    assert (caught.value.code, caught.value.message) == (Code.ABORTED, "sälber")
    info = reason(caught.value)
    assert (info.reason, info.domain, dict(info.metadata)) == ("TIRED", "gallery", {"asked": "true"})
    assert [each.type_name for each in caught.value.details] == [
        "google.rpc.ErrorInfo",
        "google.rpc.RetryInfo",
    ]


@pytest.mark.parametrize("code", [code for code in code_pb2.Code.values() if code])
async def test_every_code_arrives_as_itself(gallery: Served, code: int) -> None:
    for protocol, codec in WIRES:
        with pytest.raises(ConnectError) as caught:
            await Peer(gallery.url, protocol, codec).unary("Fail", message("FailRequest", code=code))
        name = code_pb2.Code.Name(code_pb2.Code.ValueType(code)).lower().replace("cancelled", "canceled")
        assert caught.value.code.value == name


async def test_a_defect_of_the_service_says_nothing_of_itself(peer: Peer) -> None:
    with pytest.raises(ConnectError) as caught:
        await peer.unary("Fail", message("FailRequest", code=-1))
    assert caught.value.code is Code.INTERNAL
    assert "secret" not in caught.value.message


async def test_an_error_ends_a_stream_behind_its_last_message(peer: Peer) -> None:
    seen = []
    async with peer.client() as client:
        asked = message("WatchRequest", room="rooms/1", count=2, fail=code_pb2.DATA_LOSS)
        stream = client.execute_server_stream(request=asked, method=method("Watch"))
        with pytest.raises(ConnectError) as caught:  # noqa: PT012 - what came before the error counts
            async for event in stream:
                seen.append(event.id)  # noqa: PERF401
    assert seen == [1, 2]
    assert (caught.value.code, reason(caught.value).reason) == (Code.DATA_LOSS, "DATA_LOSS")


async def test_a_broken_rule_names_the_field(peer: Peer) -> None:
    with pytest.raises(ConnectError) as caught:
        await peer.unary("ListTitles", message("ListTitlesRequest", page_size=101))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert reason(caught.value).reason == "VALIDATION_FAILED"
    assert "page_size" in caught.value.message


@pytest.mark.parametrize("name", ["Record", "Talk"])
async def test_one_broken_item_refuses_a_stream(peer: Peer, name: str) -> None:
    requests = [
        message("Event", text="good"),
        message("Event", text="x" * 1001),
        message("Event", text="good"),
    ]
    with pytest.raises(ConnectError) as caught:
        await (peer.client_stream if name == "Record" else peer.bidi)(name, requests)
    assert (caught.value.code, reason(caught.value).reason) == (Code.INVALID_ARGUMENT, "VALIDATION_FAILED")


async def test_who_is_unknown_is_refused(peer: Peer) -> None:
    stranger = Peer(peer.url, peer.protocol, peer.codec)
    with pytest.raises(ConnectError) as caught:
        await stranger.unary("CreatePainting", message("CreatePaintingRequest"))
    assert (caught.value.code, reason(caught.value).reason) == (Code.UNAUTHENTICATED, "TOKEN_MISSING")
    with pytest.raises(ConnectError) as caught:
        await stranger.bidi("Talk", [message("Event")])
    assert caught.value.code is Code.UNAUTHENTICATED


async def test_metadata_passes_as_far_as_it_is_allowed(peer: Peer) -> None:
    heard = {
        "x-tone": "low",
        "x-proof-bin": "AAEC/w",
        "x-other": "no",
        "idiom-subject": "1",
        "x-request-id": "r1",
    }
    told = {"x-mood": b"calm", "x-seal-bin": b"\x00\xff", "x-hidden": b"no"}
    with ResponseMetadata() as response:
        answer = await peer.unary("Metadata", message("MetadataRequest", answer=told), heard)
    assert answer.heard["x-tone"] == b"low"
    assert answer.heard["x-proof-bin"] == b"\x00\x01\x02\xff"
    assert answer.heard["x-request-id"] == b"r1"
    assert answer.heard.get("idiom-subject") != b"1"
    assert "x-other" not in answer.heard
    headers = response.headers
    assert (headers["x-mood"], headers["x-seal-bin"], headers["x-request-id"]) == ("calm", "AP8", "r1")
    assert "x-hidden" not in headers


async def test_brotli_is_spoken_both_ways(gallery: Served) -> None:
    for protocol, codec in WIRES:
        peer = Peer(gallery.url, protocol, codec)
        packed = {"send_compression": BrotliCompression(), "accept_compression": [BrotliCompression()]}
        async with peer.client(**packed) as client:
            answer = await client.execute_unary(
                request=message("ListTitlesRequest", parent="rooms/1"), method=method("ListTitles")
            )
        assert answer == message("ListTitlesResponse")


async def test_a_short_timeout_ends_a_lasting_stream(peer: Peer, gallery: Served) -> None:
    asked = message("WatchRequest", room="rooms/1", count=1, linger=True)
    with pytest.raises(ConnectError) as caught:
        await peer.server_stream("Watch", asked, timeout_ms=300)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    await asyncio.wait_for(gallery.gallery.left.wait(), 5)


async def test_a_caller_that_leaves_cancels_its_stream(peer: Peer, gallery: Served) -> None:
    asked = message("WatchRequest", room="rooms/1", count=1, linger=True)
    reading = asyncio.create_task(peer.server_stream("Watch", asked))
    await asyncio.wait_for(gallery.gallery.lingering.wait(), 5)
    reading.cancel()
    await asyncio.wait([reading])
    await asyncio.wait_for(gallery.gallery.left.wait(), 5)


@pytest.mark.parametrize("codec", ["proto", "json"])
async def test_a_method_without_side_effects_may_be_got(gallery: Served, codec: str) -> None:
    peer = Peer(gallery.url, ProtocolType.CONNECT, codec)
    asked = message("ListTitlesRequest", parent="rooms/1", page_size=7)
    assert await peer.unary("ListTitles", asked, use_get=True) == message("ListTitlesResponse")
    assert gallery.gallery.asked[-1].page_size == 7
    with pytest.raises(ConnectError):
        await peer.unary("Fail", message("FailRequest"), use_get=True)


async def test_a_body_that_does_not_come_is_waited_for_until_the_deadline(gallery: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gallery.url.rpartition(":")[2]))
    writer.write(_head("GetPainting", "connect-timeout-ms: 300", length=10))
    answer = await asyncio.wait_for(reader.read(1000), 5)
    assert b" 504 " in answer.partition(b"\r\n")[0]
    assert b"deadline_exceeded" in answer
    writer.close()
    await writer.wait_closed()


def _head(name: str, *headers: str, length: int) -> bytes:
    lines = (
        f"POST /gallery.v1.GalleryService/{name} HTTP/1.1",
        *("host: localhost", "content-type: application/json", f"content-length: {length}"),
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode()
