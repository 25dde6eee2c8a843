"""Messages, conversations and connections."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from im.logic.v1.connection_service_pb2 import GetConnectionRequest
from im.logic.v1.conversation_service_pb2 import (
    GetConversationRequest,
    ListConversationsRequest,
    ListHeadsRequest,
    MarkReadRequest,
    RecordDeliveredRequest,
)
from im.logic.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from im.logic.v1.rung_pb2 import DURABLE
from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd
from codegen.runtime.streams.partitions import PartitionKeys, partition_of
from tests.contract.examples_of_rooms import room
from tests.contract.world import NOBODY, Example, Request, World, done, fresh

_MESSAGES = "im.logic.v1.MessageService"
_CONVERSATIONS = "im.logic.v1.ConversationService"
_FOREIGN = f"dm.{NOBODY}.{NOBODY + 1}"


def _message(to: int, client_message_id: str = "") -> SendMessageRequest:
    name = client_message_id or fresh("c")
    return SendMessageRequest(client_message_id=name, to_user_id=to, text="hello")


async def _send(world: World) -> Request:
    return Request(_message(world.bob.user.id), world.alice.access_token)


async def _send_again(world: World) -> Request:
    request = await _send(world)
    await done(world, "MessageService.SendMessage", request.message, request.token)
    return request


async def _send_until_durable(world: World) -> Request:
    request = _message(world.bob.user.id)
    request.wait_for = DURABLE
    return Request(request, world.alice.access_token)


async def _send_to_a_room(world: World) -> Request:
    room_id = await room(world, with_bob=True)
    request = SendMessageRequest(client_message_id="one", room_id=room_id, text="hello")
    return Request(request, world.bob.access_token)


async def _send_to_nobody(world: World) -> Request:
    return Request(_message(NOBODY), world.alice.access_token, "USER_NOT_FOUND")


async def _send_to_no_room(world: World) -> Request:
    request = SendMessageRequest(client_message_id="one", room_id=NOBODY, text="hello")
    return Request(request, world.alice.access_token, "ROOM_NOT_FOUND")


async def _send_to_a_room_as_a_stranger(world: World) -> Request:
    request = SendMessageRequest(client_message_id="one", room_id=await room(world), text="hello")
    return Request(request, world.bob.access_token, "NOT_A_MEMBER")


async def _send_another_under_the_same_id(world: World) -> Request:
    first = await _send_again(world)
    other = SendMessageRequest(text="something else")
    request = SendMessageRequest()
    request.CopyFrom(first.message)
    request.MergeFrom(other)
    return Request(request, first.token, "CLIENT_MESSAGE_ID_REUSED")


def private(world: World) -> str:
    """The conversation of Alice and Bob."""
    low, high = sorted((world.alice.user.id, world.bob.user.id))
    return f"dm.{low}.{high}"


async def _messages(world: World) -> Request:
    return Request(ListMessagesRequest(conversation_id=private(world)), world.alice.access_token)


async def _messages_of_a_room(world: World) -> Request:
    conversation_id = f"room.{await room(world, with_bob=True)}"
    return Request(ListMessagesRequest(conversation_id=conversation_id), world.bob.access_token)


async def _messages_of_others(world: World) -> Request:
    request = ListMessagesRequest(conversation_id=_FOREIGN)
    return Request(request, world.alice.access_token, "NOT_A_MEMBER")


async def _messages_of_a_foreign_room(world: World) -> Request:
    request = ListMessagesRequest(conversation_id=f"room.{await room(world)}")
    return Request(request, world.bob.access_token, "NOT_A_MEMBER")


async def _messages_of_nothing(world: World) -> Request:
    request = ListMessagesRequest(conversation_id=f"room.{NOBODY}")
    return Request(request, world.alice.access_token, "CONVERSATION_NOT_FOUND")


async def _list(world: World) -> Request:
    await room(world)
    return Request(ListConversationsRequest(page_size=1), world.alice.access_token)


async def _list_beyond_the_first_page(world: World) -> Request:
    await room(world)
    first = await _list(world)
    answer = await done(world, "ConversationService.ListConversations", first.message, first.token)
    return Request(ListConversationsRequest(page_token=answer.next_page_token), first.token)


async def _list_no_page(world: World) -> Request:
    request = ListConversationsRequest(page_token="nonsense")
    return Request(request, world.alice.access_token, "PAGE_TOKEN_INVALID")


async def _get(world: World) -> Request:
    await _send_again(world)
    return Request(GetConversationRequest(conversation_id=private(world)), world.bob.access_token)


async def _get_a_room(world: World) -> Request:
    request = GetConversationRequest(conversation_id=f"room.{await room(world)}")
    return Request(request, world.alice.access_token)


async def _get_of_others(world: World) -> Request:
    request = GetConversationRequest(conversation_id=_FOREIGN)
    return Request(request, world.alice.access_token, "NOT_A_MEMBER")


async def _get_nothing(world: World) -> Request:
    request = GetConversationRequest(conversation_id="none")
    return Request(request, world.alice.access_token, "CONVERSATION_NOT_FOUND")


async def _read(world: World) -> Request:
    await _send_again(world)
    return Request(MarkReadRequest(conversation_id=private(world), seq=1), world.bob.access_token)


async def _read_all_of_a_room(world: World) -> Request:
    conversation_id = f"room.{await room(world, with_bob=True)}"
    return Request(MarkReadRequest(conversation_id=conversation_id), world.bob.access_token)


async def _read_of_others(world: World) -> Request:
    request = MarkReadRequest(conversation_id=_FOREIGN, seq=1)
    return Request(request, world.alice.access_token, "NOT_A_MEMBER")


async def _read_nothing(world: World) -> Request:
    request = MarkReadRequest(conversation_id=f"room.{NOBODY}", seq=1)
    return Request(request, world.alice.access_token, "CONVERSATION_NOT_FOUND")


async def _heads(world: World) -> Request:
    return Request(ListHeadsRequest(user_id=world.alice.user.id), world.services.current())


async def _heads_of_nobody(world: World) -> Request:
    return Request(ListHeadsRequest(user_id=NOBODY), world.services.current(), "USER_NOT_FOUND")


async def _delivered(world: World) -> Request:
    await _send_again(world)
    mark = RecordDeliveredRequest.Mark(user_id=world.bob.user.id, conversation_id=private(world), seq=1)
    foreign = RecordDeliveredRequest.Mark(user_id=NOBODY, conversation_id=private(world), seq=1)
    return Request(RecordDeliveredRequest(marks=[mark, foreign]), world.services.current())


async def _delivered_too_early(world: World) -> Request:
    request = await _delivered(world)
    return replace(request, reason="RECOVERING", or_reason="DEADLINE_EXCEEDED", during=_recovering)


@asynccontextmanager
async def _recovering(world: World) -> AsyncIterator[None]:
    """Redis has forgotten of which life a partition is, and somebody is looking into it."""
    keys = PartitionKeys("conversation", partition_of(private(world), 16))
    async with (
        Etcd(world.system.etcd_endpoints, "/idiom") as etcd,
        Redis.from_url(world.system.redis_url) as redis,
        etcd.lock("redis-recovery"),
    ):
        await redis.delete(keys.generation)
        yield


async def _connection(world: World) -> Request:
    return Request(GetConnectionRequest(), world.alice.access_token)


async def _connection_to_none(world: World) -> Request:
    return Request(
        GetConnectionRequest(), world.alice.access_token, "NO_CONNECTION_GATEWAY", _without_connect
    )


@asynccontextmanager
async def _without_connect(world: World) -> AsyncIterator[None]:
    """The only connection gateway stands still until its lease has ended."""
    world.system.kill("connect-1", signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            while world.connects.all():
                await world.connects.changed()
        yield
    finally:
        world.system.kill("connect-1", signal.SIGCONT)


CONVERSATIONS: Mapping[str, Example] = {
    f"{_MESSAGES}.SendMessage": Example(
        (_send, _send_again, _send_until_durable, _send_to_a_room),
        (
            _send_to_nobody,
            _send_to_no_room,
            _send_to_a_room_as_a_stranger,
            _send_another_under_the_same_id,
        ),
    ),
    f"{_MESSAGES}.ListMessages": Example(
        (_messages, _messages_of_a_room),
        (_messages_of_others, _messages_of_a_foreign_room, _messages_of_nothing),
    ),
    f"{_CONVERSATIONS}.ListConversations": Example((_list, _list_beyond_the_first_page), (_list_no_page,)),
    f"{_CONVERSATIONS}.GetConversation": Example((_get, _get_a_room), (_get_of_others, _get_nothing)),
    f"{_CONVERSATIONS}.MarkRead": Example((_read, _read_all_of_a_room), (_read_of_others, _read_nothing)),
    f"{_CONVERSATIONS}.ListHeads": Example((_heads,), (_heads_of_nobody,)),
    f"{_CONVERSATIONS}.RecordDelivered": Example((_delivered,), (_delivered_too_early,)),
    "im.logic.v1.ConnectionService.GetConnection": Example((_connection,), (_connection_to_none,)),
}
