from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from im.errors.v1.reason_errors import NO_CONNECTION_GATEWAY, ROOM_FULL, WRONG_CREDENTIALS
from im.logic.v1.auth_service_pb2 import LoginRequest, RegisterRequest
from im.logic.v1.auth_service_rpc import AUTH_SERVICE, AuthServiceClient
from im.logic.v1.connection_service_pb2 import GetConnectionRequest
from im.logic.v1.connection_service_rpc import CONNECTION_SERVICE, ConnectionServiceClient
from im.logic.v1.conversation_service_pb2 import ListConversationsRequest
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE, ConversationServiceClient
from im.logic.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE, MessageServiceClient
from im.logic.v1.room_service_pb2 import AddMemberRequest, CreateRoomRequest
from im.logic.v1.room_service_rpc import ROOM_SERVICE, RoomServiceClient

from codegen.runtime.context import Identity
from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Upstreams
from codegen.runtime.identity import ServiceTokens
from impl.logic import app
from impl.settings import Settings
from impl.storage.migration import migrate
from tests import servers

SECRET = "s" * 32


def settings_of(tmp_path: Path, redis: servers.Redis, etcd: servers.Etcd, name: str = "logic-1") -> Settings:
    return Settings(
        data_dir=tmp_path,
        instance=name,
        logic_grpc_port=servers.free_port(),
        redis_url=redis.url,
        etcd_endpoints=(etcd.endpoint,),
        user_secret=SECRET,
        service_secret=SECRET,
        lease_seconds=2,
    )


@pytest.fixture
async def settings(tmp_path: Path, redis: servers.Redis, etcd: servers.Etcd) -> Settings:
    made = settings_of(tmp_path, redis, etcd)
    await asyncio.to_thread(migrate, made.effective_database_url)
    return made


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    ready, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(settings, ready.set, stop))
        await ready.wait()
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def upstreams(settings: Settings) -> AsyncIterator[Upstreams]:
    services = (AUTH_SERVICE, CONNECTION_SERVICE, CONVERSATION_SERVICE, MESSAGE_SERVICE, ROOM_SERVICE)
    async with (
        Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix) as etcd,
        Instances(etcd, "logic") as instances,
        Upstreams(services, {"logic": instances}, ServiceTokens(settings.service_key(), "gateway")) as made,
    ):
        yield made


async def test_a_running_tier_is_found_and_answers_calls(settings: Settings) -> None:
    async with running(settings), upstreams(settings) as channel:
        auth = AuthServiceClient(channel)
        user = (await auth.register(RegisterRequest(username="ada", password="password"))).user
        with pytest.raises(Error) as caught:
            await auth.login(LoginRequest(username="ada", password="wrong"))
        assert caught.value.reason == WRONG_CREDENTIALS
        options = CallOptions(identity=Identity(subject=str(user.id), login="1"))
        messages = MessageServiceClient(channel)
        request = SendMessageRequest(client_message_id="a", to_user_id=user.id, text="hi")
        sent = (await messages.send_message(request, options)).message
        listing = ListMessagesRequest(conversation_id=sent.conversation_id)
        assert list((await messages.list_messages(listing, options)).messages) == [sent]


async def test_rooms_are_served(settings: Settings) -> None:
    async with running(settings.model_copy(update={"room_members": 2})), upstreams(settings) as channel:
        auth, rooms = AuthServiceClient(channel), RoomServiceClient(channel)
        ada, bo, cy = [
            (await auth.register(RegisterRequest(username=name, password="password"))).user.id
            for name in ("ada", "bo", "cy")
        ]
        options = CallOptions(identity=Identity(subject=str(ada), login="1"))
        creation = CreateRoomRequest(name="garden", member_ids=[bo])
        room = (await rooms.create_room(creation, options)).room
        with pytest.raises(Error) as caught:
            await rooms.add_member(AddMemberRequest(room_id=room.id, user_id=cy), options)
        assert caught.value.reason == ROOM_FULL
        listed = await ConversationServiceClient(channel).list_conversations(
            ListConversationsRequest(), options
        )
        assert [conversation.room for conversation in listed.conversations] == [room]


async def test_connections_are_spread_over_living_gateways(settings: Settings) -> None:
    async with running(settings), upstreams(settings) as channel:
        client = ConnectionServiceClient(channel)
        options = CallOptions(identity=Identity(subject="1", login="1"))

        async def url() -> str:
            return (await client.get_connection(GetConnectionRequest(), options)).url

        with pytest.raises(Error) as caught:
            await url()
        assert caught.value.reason == NO_CONNECTION_GATEWAY
        gateways = [
            Instance("connect", name, "boot", "127.0.0.1:1", {"url": f"ws://{name}/v1/ws"}) for name in "ab"
        ]
        async with (
            Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix) as etcd,
            Instances(etcd, "connect") as seen,
            register(etcd, gateways[0], 5),
            register(etcd, gateways[1], 5),
        ):
            while len(seen.all()) < 2:
                await seen.changed()
            found: set[str] = set()
            async with asyncio.timeout(10):
                while found != {"ws://a/v1/ws", "ws://b/v1/ws"}:  # the tier sees them a moment after us
                    try:
                        found.add(await url())
                    except Error:
                        await asyncio.sleep(0.02)


async def test_a_call_without_credentials_is_refused_by_the_tier_itself(settings: Settings) -> None:
    async with running(settings), grpc.aio.insecure_channel(f"127.0.0.1:{settings.logic_grpc_port}") as raw:
        call: Any = raw.unary_unary("/im.logic.v1.ConversationService/ListHeads")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\x08\x01")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    details: Any = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert b"TOKEN_MISSING" in details


async def test_the_start_waits_for_redis_and_etcd(
    settings: Settings, redis: servers.Redis, etcd: servers.Etcd
) -> None:
    await redis.kill()
    await etcd.kill()
    ready, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(settings, ready.set, stop))
        await asyncio.sleep(1)
        assert not ready.is_set()
        await etcd.start()
        await redis.start()
        await ready.wait()
        stop.set()


async def test_a_start_that_waits_can_be_stopped(settings: Settings, redis: servers.Redis) -> None:
    await redis.kill()
    stop = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(settings, stop.set, stop))
        await asyncio.sleep(0.5)
        stop.set()


async def test_a_busy_port_is_an_error_of_one_sentence(settings: Settings) -> None:
    async with running(settings):
        second = settings.model_copy(update={"instance": "logic-2"})
        with pytest.raises(ExceptionGroup) as caught:
            await app.run(second, lambda: None, asyncio.Event())
    (error,) = caught.value.exceptions
    assert isinstance(error, OSError)
    assert str(settings.logic_grpc_port) in str(error)


async def test_two_instances_share_the_work_and_a_stopped_one_is_gone(
    settings: Settings, redis: servers.Redis, etcd: servers.Etcd, tmp_path: Path
) -> None:
    second = settings_of(tmp_path, redis, etcd, "logic-2")
    async with running(settings), upstreams(settings) as channel:
        auth = AuthServiceClient(channel)
        async with running(second):
            users = [
                (await auth.register(RegisterRequest(username=f"user{n}", password="password"))).user.id
                for n in range(6)
            ]
            assert len({user >> 12 & 1023 for user in users}) == 2
        await auth.login(LoginRequest(username="user1", password="password"))
