"""Methods that are not one request and one response: the socket, delivery, the consumers of the stream."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import grpc
import pytest
import websockets
from im.connect.v1 import delivery_service_pb2
from im.logic.v1 import message_pb2
from redis.asyncio import Redis
from websockets.typing import Subprotocol

from codegen.runtime.streams.partitions import PartitionKeys, partition_of
from tests.contract.callers import call, credentials, refusal_of
from tests.contract.catalog import wires
from tests.contract.examples import EXAMPLES
from tests.contract.world import World, fresh

_SECONDS = 15.0
_SEND = next(w for w in wires() if w.kind == "grpc" and w.method.name == "SendMessage")
_FENCED = delivery_service_pb2.DeliverResponse.OUTCOME_FENCED
_DELIVERED = delivery_service_pb2.DeliverResponse.OUTCOME_DELIVERED
_WRONG_BOOT = delivery_service_pb2.DeliverResponse.OUTCOME_WRONG_BOOT


@asynccontextmanager
async def session(
    world: World, token: str
) -> AsyncIterator[tuple[websockets.ClientConnection, dict[str, Any]]]:
    """A socket after `hello`, with the first frame that came back; live if that is a welcome."""
    async with websockets.connect(world.doors.socket, subprotocols=[Subprotocol("idiom.v1.json")]) as socket:
        await socket.send(json.dumps({"hello": {"accessToken": token}}))
        first = json.loads(await socket.recv())
        if "welcome" in first:
            assert "resumed" in json.loads(await socket.recv())
        yield socket, first


async def test_a_session_opens_with_a_valid_token(world: World) -> None:
    async with session(world, world.alice.access_token) as (_, first):
        assert first["welcome"]["sessionId"]
        assert first["welcome"]["heartbeatSeconds"] > 0


@pytest.mark.parametrize("token", ["", "nonsense"])
async def test_a_session_without_a_valid_token_is_closed_by_name(world: World, token: str) -> None:
    async with session(world, token) as (socket, first):
        assert first["error"]["code"] == ("INVALID_ARGUMENT" if not token else "UNAUTHENTICATED")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code in {4400, 4401, 4402}
        assert socket.close_reason


async def test_a_service_token_opens_no_session(world: World) -> None:
    async with session(world, world.services.current()) as (socket, first):
        assert first["error"]["code"] in {"UNAUTHENTICATED", "PERMISSION_DENIED"}
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4401


async def _deliver(
    world: World, requests: list[delivery_service_pb2.DeliverRequest] | None, token: str | None
) -> list[delivery_service_pb2.DeliverResponse]:
    async with grpc.aio.insecure_channel(world.doors.grpc["connect"]) as channel:
        function = channel.stream_stream(
            "/im.connect.v1.DeliveryService/Deliver",
            request_serializer=delivery_service_pb2.DeliverRequest.SerializeToString,
            response_deserializer=delivery_service_pb2.DeliverResponse.FromString,
        )
        sent = None if requests is None else iter(requests)
        calls = function(sent, metadata=credentials(token), timeout=_SECONDS)
        return [response async for response in calls]


def _batch(world: World, number: int, token: int, session_id: str = "", boot: str = "") -> Any:
    item = delivery_service_pb2.DeliverRequest.Item(
        message=message_pb2.Message(id=number, conversation_id="dm.1.2", epoch=1, seq=number, text="hi"),
        session_ids=[session_id] if session_id else [],
    )
    boot_id = boot or world.connects.all()[0].boot_id
    # A partition that no owner uses, so that the running task's tokens do not matter.
    return delivery_service_pb2.DeliverRequest(
        batch=number, partition=999, token=token, boot_id=boot_id, items=[item]
    )


async def test_a_batch_reaches_the_session_it_names(world: World) -> None:
    async with session(world, world.alice.access_token) as (socket, first):
        session_id = first["welcome"]["sessionId"]
        answers = await _deliver(world, [_batch(world, 1, 2**40, session_id)], world.services.current())
        frame = json.loads(await socket.recv())
    assert [answer.outcome for answer in answers] == [_DELIVERED]
    assert list(answers[0].unknown_session_ids) == []
    assert frame["message"]["text"] == "hi"


async def test_a_batch_names_the_sessions_it_did_not_find(world: World) -> None:
    answers = await _deliver(world, [_batch(world, 1, 2**40, "gone")], world.services.current())
    assert list(answers[0].unknown_session_ids) == ["gone"]


async def test_an_older_owner_and_an_earlier_life_are_refused(world: World) -> None:
    requests = [_batch(world, 1, 2**41), _batch(world, 2, 2**41 - 1), _batch(world, 3, 2**41, boot="earlier")]
    answers = await _deliver(world, requests, world.services.current())
    assert [answer.outcome for answer in answers] == [_DELIVERED, _FENCED, _WRONG_BOOT]


@pytest.mark.parametrize(("who", "reason"), [("nobody", "TOKEN_MISSING"), ("user", "FORBIDDEN")])
async def test_only_services_may_deliver(world: World, who: str, reason: str) -> None:
    token = world.alice.access_token if who == "user" else None
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        # Nothing is sent: gRPC's client now and then reports its own broken write instead of the refusal.
        await _deliver(world, None, token)
    assert refusal_of(caught.value).reason == reason


async def test_an_event_is_pushed_and_persisted(world: World) -> None:
    async with session(world, world.bob.access_token) as (socket, _):
        request = await EXAMPLES["im.logic.v1.MessageService.SendMessage"].successes[0](world)
        outcome = await call(world.doors, _SEND, request.message, request.token)
        message: Any = outcome.response
        async with asyncio.timeout(_SECONDS):
            frame = json.loads(await socket.recv())
    assert frame["message"]["id"] == str(message.message.id)
    assert await _persisted(world, message.message.id)


async def test_an_entry_that_cannot_be_read_stops_neither_group(world: World) -> None:
    low, high = sorted((world.alice.user.id, world.bob.user.id))
    partition = partition_of(f"dm.{low}.{high}", 16)
    keys = PartitionKeys("conversation", partition)
    async with Redis.from_url(world.system.redis_url) as redis:
        await redis.xadd(keys.stream, {"e": b"\xff\xff not a message", "n": b"0"})
    await test_an_event_is_pushed_and_persisted(world)


async def _persisted(world: World, message_id: int) -> bool:
    async with asyncio.timeout(_SECONDS):
        while not await asyncio.to_thread(_rows, world, message_id):  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.05)
    return True


def _rows(world: World, message_id: int) -> list[Any]:
    with closing(sqlite3.connect(world.system.data_dir / "idiom.sqlite3")) as database:
        return database.execute("SELECT id FROM messages WHERE id = ?", (message_id,)).fetchall()


async def test_what_is_empty_is_said_in_json(world: World) -> None:
    registered = await world.doors.http.post(
        "/v1/auth/register", json={"username": fresh("empty"), "password": "correct horse"}
    )
    token = registered.json()["accessToken"]
    async with session(world, token) as (socket, first):
        assert first["welcome"]["heads"] == []
        await socket.send(json.dumps({"ack": {}}))
        assert json.loads(await socket.recv())["error"]["requestId"] == ""
    user = registered.json()["user"]["id"]
    answer = await world.doors.http.get(
        f"/v1/conversations/dm.{user}.{user}/messages", headers={"authorization": f"Bearer {token}"}
    )
    assert answer.json()["messages"] == []
    assert answer.json()["more"] is False
