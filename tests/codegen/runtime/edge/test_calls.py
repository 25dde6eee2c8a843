"""Native gRPC for anybody: clients of grpcio, every kind of method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio

from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import MAX_REQUEST_BYTES
from tests.codegen.runtime.edge.conftest import Edge

pytestmark = pytest.mark.asyncio(loop_scope="module")


def pb() -> Any:
    return generated().pb


async def items(requests: Iterable[Any]) -> AsyncIterator[Any]:
    for each in requests:
        yield each


async def refused(calling: Any) -> tuple[grpc.StatusCode, str]:
    """Code and reason of a call that fails, awaited or iterated."""
    with pytest.raises(aio.AioRpcError) as caught:
        _ = [each async for each in calling] if hasattr(calling, "__aiter__") else await calling
    for key, value in caught.value.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            assert isinstance(value, bytes)
            status = status_pb2.Status.FromString(value)
            assert status.code == caught.value.code().value[0]
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            return caught.value.code(), info.reason
    return caught.value.code(), ""


async def test_a_unary_call_answers_what_the_service_answers(edge: Edge) -> None:
    asked = pb().CreatePaintingRequest(parent="rooms/1", painting={"title": "Nighthawks"})
    made = await edge.call("CreatePainting")(asked, metadata=edge.token)
    assert made.title == "Nighthawks"
    assert edge.served.gallery.paintings[made.name] == made


async def test_streams_are_carried_each_way(edge: Edge) -> None:
    watched = [each.id async for each in edge.call("Watch")(pb().WatchRequest(count=4))]
    assert watched == [1, 2, 3, 4]
    recorded = await edge.call("Record")(items([pb().Event(text=text) for text in "abc"]))
    assert (recorded.count, recorded.text) == (3, "abc")
    said = items([pb().Event(id=1, text="abc"), pb().Event(id=2, text="twice")])
    talked = [each.text async for each in edge.call("Talk")(said, metadata=edge.token)]
    assert talked == ["cba", "eciwt", "eciwt"]


async def test_a_conversation_goes_to_and_fro(edge: Edge) -> None:
    talk = edge.call("Talk")(metadata=edge.token)
    for text in ("abc", "def"):
        await talk.write(pb().Event(text=text))
        assert (await talk.read()).text == text[::-1]
    await talk.done_writing()
    assert await talk.read() == aio.EOF


@pytest.mark.parametrize("code", [code for code in code_pb2.Code.values() if code])
async def test_every_error_arrives_with_its_details(edge: Edge, code: int) -> None:
    status, reason = await refused(
        edge.call("Fail")(pb().FailRequest(code=code, message="ä", reason="TIRED"))
    )
    assert (status.value[0], reason) == (code, "TIRED")


async def test_an_error_ends_a_stream_behind_its_last_message(edge: Edge) -> None:
    watching = edge.call("Watch")(pb().WatchRequest(count=2, fail=5))
    assert [(await watching.read()).id, (await watching.read()).id] == [1, 2]
    assert await refused(watching.read()) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_what_breaks_a_rule_is_refused_before_the_service(edge: Edge) -> None:
    broken = edge.call("ListTitles")(pb().ListTitlesRequest(page_size=101))
    assert await refused(broken) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")
    assert not edge.served.gallery.asked
    events = items([pb().Event(text="a"), pb().Event(text="x" * 1001), pb().Event(text="b")])
    assert await refused(edge.call("Record")(events)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "VALIDATION_FAILED",
    )


async def test_bytes_that_are_no_message_are_refused(edge: Edge) -> None:
    raw: Any = edge.channel.unary_unary("/gallery.v1.GalleryService/ListTitles")
    assert await refused(raw(b"\xff")) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_BODY")
    several: Any = edge.channel.stream_unary("/gallery.v1.GalleryService/ListTitles")
    assert await refused(several(items([]))) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_BODY")


async def test_who_is_unknown_is_refused(edge: Edge) -> None:
    create, talk = edge.call("CreatePainting"), edge.call("Talk")
    missing = (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    invalid = (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    assert await refused(create(pb().CreatePaintingRequest())) == missing
    assert await refused(talk(items([]))) == missing
    assert (
        await refused(create(pb().CreatePaintingRequest(), metadata=(("authorization", "Bearer x"),)))
        == invalid
    )
    assert await refused(create(pb().CreatePaintingRequest(), metadata=edge.token * 2)) == invalid


async def test_nobody_vouches_for_users_from_outside(edge: Edge) -> None:
    forged = (("idiom-subject", "1"), ("idiom-login", "1"), ("idiom-scopes", "all"))
    refusal = await refused(edge.call("CreatePainting")(pb().CreatePaintingRequest(), metadata=forged))
    assert refusal == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    heard = (await edge.call("Metadata")(pb().MetadataRequest(), metadata=forged)).heard
    assert not [name for name in heard if name.startswith("idiom-")]
    heard = (await edge.call("Metadata")(pb().MetadataRequest(), metadata=(*edge.token, *forged))).heard
    assert heard["idiom-subject"] == b"5"
    assert heard["authorization"] != f"Bearer {edge.served.token}".encode()


async def test_metadata_passes_as_far_as_it_is_allowed(edge: Edge) -> None:
    given = (("x-tone", "low"), ("x-proof-bin", b"\x00\xff"), ("x-other", "no"), ("x-request-id", "r1"))
    told = {"x-mood": b"calm", "x-seal-bin": b"\x00\xff", "x-hidden": b"no"}
    call = edge.call("Metadata")(pb().MetadataRequest(answer=told), metadata=given)
    heard = (await call).heard
    assert (heard["x-tone"], heard["x-proof-bin"], heard["x-request-id"]) == (b"low", b"\x00\xff", b"r1")
    assert "x-other" not in heard
    answered = dict(await call.initial_metadata())
    assert (answered["x-mood"], answered["x-seal-bin"], answered["x-request-id"]) == (
        "calm",
        b"\x00\xff",
        "r1",
    )
    assert "x-hidden" not in answered


async def test_a_method_that_is_not_served_is_refused(edge: Edge) -> None:
    for path in ("/gallery.v1.GalleryService/Nothing", "/nothing.v1.Service/Call", "/"):
        call: Any = edge.channel.unary_unary(path)
        refusal = await refused(call(b""))
        assert refusal == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")


@pytest.mark.parametrize(("factor", "reason"), [(1, "TOO_LARGE"), (4, "")])
async def test_a_large_request_is_refused(edge: Edge, factor: int, reason: str) -> None:
    asked = pb().ListTitlesRequest(parent="x" * (factor * MAX_REQUEST_BYTES + 1))
    assert await refused(edge.call("ListTitles")(asked)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
    stream: Any = edge.channel.stream_unary("/gallery.v1.GalleryService/Record")
    refusal = await refused(stream(items([asked.SerializeToString()])))
    assert refusal == (grpc.StatusCode.RESOURCE_EXHAUSTED, reason)


async def test_requests_may_be_compressed_but_do_not_unfold_without_bounds(edge: Edge) -> None:
    call = edge.call("ListTitles")
    asked = pb().ListTitlesRequest(parent="rooms/1")
    assert await call(asked, compression=grpc.Compression.Gzip) == pb().ListTitlesResponse()
    for factor, reason in ((1, "TOO_LARGE"), (100, "")):
        bomb = call(
            pb().ListTitlesRequest(parent="x" * factor * (MAX_REQUEST_BYTES + 1)),
            compression=grpc.Compression.Gzip,
        )
        assert await refused(bomb) == (grpc.StatusCode.RESOURCE_EXHAUSTED, reason)


async def test_a_passed_deadline_ends_a_lasting_stream(edge: Edge) -> None:
    watching = edge.call("Watch")(pb().WatchRequest(count=1, linger=True), timeout=0.3)
    assert (await refused(watching))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(edge.served.gallery.left.wait(), 5)


async def test_a_caller_that_leaves_cancels_its_stream(edge: Edge) -> None:
    watching = edge.call("Watch")(pb().WatchRequest(count=1, linger=True))
    assert (await watching.read()).id == 1
    await asyncio.wait_for(edge.served.gallery.lingering.wait(), 5)
    watching.cancel()
    await asyncio.wait_for(edge.served.gallery.left.wait(), 5)
