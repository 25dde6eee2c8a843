"""What a server of native gRPC says of itself, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2 as messages
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from codegen.runtime.grpc_edge import serve_grpc_edge
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import USER_KEY
from tests.codegen.runtime.edge.conftest import Edge, method_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE = "gallery.v1.GalleryService"


async def test_reflection_tells_strangers_the_whole_schema(edge: Edge) -> None:
    def ask() -> tuple[list[str], Any]:
        with grpc.insecure_channel(edge.address) as channel:
            known = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(known)
            return list(known.get_services()), pool.FindServiceByName(SERVICE)

    names, service = await asyncio.to_thread(ask)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(names)
    files = {each.name for each in service.file.dependencies}
    assert {
        "buf/validate/validate.proto",
        "google/api/annotations.proto",
        "google/api/httpbody.proto",
    } <= files
    assert len(service.methods) == len(generated().rpc.GALLERY_SERVICE.methods)
    title = service.file.message_types_by_name["Painting"].fields_by_name["title"]
    assert "max_len" in str(title.GetOptions()) or title.GetOptions().ByteSize() > 0


async def test_reflection_is_served_under_its_newer_name_too(edge: Edge) -> None:
    ask = edge.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=messages.ServerReflectionRequest.SerializeToString,
        response_deserializer=messages.ServerReflectionResponse.FromString,
    )
    call = ask()
    await call.write(messages.ServerReflectionRequest(list_services=""))
    answer: Any = await call.read()
    assert SERVICE in {each.name for each in answer.list_services_response.service}
    call.cancel()


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_health_is_told_to_strangers(edge: Edge, name: str) -> None:
    health: Any = health_pb2_grpc.HealthStub(edge.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_calls_under_way_at_the_end_hear_that_it_ends(edge: Edge) -> None:
    """A stream of requests is not cut short either: what has come of it would be taken for all."""
    pb = generated().pb
    async with _another(edge) as (stack, channel):
        watch: Any = channel.unary_stream(method_of("Watch").path)
        watching = watch(pb.WatchRequest(count=1, linger=True).SerializeToString())
        await watching.read()
        record: Any = channel.stream_unary(method_of("Record").path)
        recording = record()
        await recording.write(pb.Event(text="a").SerializeToString())
        await asyncio.wait_for(stack.aclose(), 5)
        for under_way in (watching.read(), recording):
            with pytest.raises(aio.AioRpcError) as caught:
                await under_way
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "shutting down" in (caught.value.details() or "")
    await asyncio.wait_for(edge.served.gallery.left.wait(), 5)


@asynccontextmanager
async def _another(edge: Edge) -> AsyncIterator[tuple[AsyncExitStack, aio.Channel]]:
    """Another server of the same gallery, to be ended by its stack."""
    pipeline = Pipeline(Authenticator(UserTokens(USER_KEY, 3600), None))
    async with AsyncExitStack() as stack:
        serving = serve_grpc_edge(
            "127.0.0.1:0",
            [generated().rpc.GALLERY_SERVICE],
            pipeline=pipeline,
            channel=edge.served.channel,
            drain=0.2,
        )
        port = await stack.enter_async_context(serving)
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield stack, channel


async def test_a_busy_port_is_named(edge: Edge) -> None:
    pipeline = Pipeline(Authenticator(UserTokens(USER_KEY, 3600), None))
    with pytest.raises(OSError, match=f"cannot listen for gRPC on {edge.address}: "):
        async with serve_grpc_edge(edge.address, [], pipeline=pipeline, channel=edge.served.channel):
            pass
