"""Messages that tests send."""

from __future__ import annotations

import itertools
from typing import Any

from im.stream.v1.conversation_event_pb2 import ConversationEvent
from redis.asyncio import Redis

from codegen.runtime.streams.partitions import PartitionKeys, partition_of
from impl.storage.conversations import Send
from impl.storage.membership import Membership
from tests.impl.storage.redis.conftest import PARTITIONS

_ids = itertools.count(1 << 60)


def send(
    conversation: str = "dm.1.2",
    sender: int = 1,
    client_id: str = "",
    text: str = "hello",
    members: tuple[int, ...] = (1, 2),
) -> Send:
    """A message with an id of its own, and a client id of its own unless one is given."""
    message_id = next(_ids)
    event = ConversationEvent(conversation_id=conversation, id=message_id, sender_id=sender)
    event.message.text = text
    return Send(
        conversation,
        sender,
        members,
        client_id or f"c{message_id}",
        text.encode(),
        message_id,
        message_id % 997,
        event.SerializeToString(),
    )


def present(*users: int) -> tuple[Membership, ...]:
    """Members of a private conversation, as the database has them."""
    return tuple(Membership(user) for user in users)


async def stream_of(redis: Redis, conversation: str) -> list[tuple[int, ConversationEvent]]:
    """Ordinals and events of the partition that a conversation falls on."""
    keys = PartitionKeys("conversation", partition_of(conversation, PARTITIONS))
    entries: Any = await redis.xrange(keys.stream)
    return [
        (int(fields[b"ordinal"]), ConversationEvent.FromString(fields[b"payload"])) for _, fields in entries
    ]
