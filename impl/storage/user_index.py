"""What Redis keeps of each user: recent conversations, rooms, rooms under creation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from im.errors.v1 import reason_errors
from redis.asyncio import Redis

from codegen.runtime.errors import Error
from impl.storage.keys import created, recent, rooms
from impl.storage.redis_client import translated

RECENT_KEEPS: Final = 1000
"""Conversations in a user's recency."""
SMALL_ROOM: Final = 128
"""Most members of a room of which every event moves the recency of every member."""
RESERVED_SECONDS: Final = 3600
"""Within this time the same client request id gives the same room."""


class UserIndex:
    """Outside the partitions. Every method raises Error DEPENDENCY_UNAVAILABLE while Redis is away.

    Nothing here is the truth: recency and rooms are found again in the database and in the members of rooms.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def recent(self, user_id: int, limit: int, *, up_to: int | None = None) -> list[str]:
        """A user's conversations, newest first.

        With `up_to`, those alone whose last event has this id or a lower one, as far as a double tells ids
        apart.
        """
        highest = "+inf" if up_to is None else up_to
        with translated():
            found: Any = await self._redis.zrevrangebyscore(
                recent(user_id), highest, "-inf", start=0, num=max(limit, 0)
            )
        return [conversation.decode() for conversation in found]

    async def recent_since(self, user_ids: Sequence[int], since_id: int) -> dict[int, list[str]]:
        """Conversations with an event of this id or a later one, as far as a double tells ids apart.

        Users without any are left out.
        """
        users = list(dict.fromkeys(user_ids))
        pipeline = self._redis.pipeline(transaction=False)
        for user in users:
            pipeline.zrangebyscore(recent(user), since_id, "+inf")
        with translated():
            found: list[list[bytes]] = await pipeline.execute() if users else []
        return {
            user: [conversation.decode() for conversation in conversations]
            for user, conversations in zip(users, found, strict=True)
            if conversations
        }

    async def touch(self, recency: Sequence[tuple[int, str, int]]) -> None:
        """Moves conversations up: (user, conversation, id of the event). Older ids change nothing."""
        pipeline = self._redis.pipeline(transaction=False)
        for user, conversation, message_id in recency:
            pipeline.zadd(recent(user), {conversation: message_id}, gt=True)
        for user in {user for user, _, _ in recency}:
            pipeline.zremrangebyrank(recent(user), 0, -RECENT_KEEPS - 1)
        with translated():
            if recency:
                await pipeline.execute()

    async def rooms_of(self, user_id: int) -> list[str]:
        """Conversations of the rooms that the user may be a member of: `overview` tells of which they are.

        Empty if Redis has forgotten them; the database knows them too.
        """
        with translated():
            found: Any = await self._redis.smembers(rooms(user_id))
        return sorted(conversation.decode() for conversation in found)

    async def room_counts(self, user_ids: Sequence[int]) -> dict[int, int]:
        """How many conversations `rooms_of` gives for each user."""
        users = list(dict.fromkeys(user_ids))
        pipeline = self._redis.pipeline(transaction=False)
        for user in users:
            pipeline.scard(rooms(user))
        with translated():
            found: list[int] = await pipeline.execute() if users else []
        return dict(zip(users, found, strict=True))

    async def add_room(self, user_id: int, conversation_id: str) -> None:
        """Notes that the user may be a member of a room."""
        await self.update_rooms([(user_id, conversation_id)], [])

    async def update_rooms(
        self, added: Sequence[tuple[int, str]], removed: Sequence[tuple[int, str]]
    ) -> None:
        """Notes who came to rooms and who left: (user, conversation); in one round trip, added first."""
        pipeline = self._redis.pipeline(transaction=False)
        for user, conversation in added:
            pipeline.sadd(rooms(user), conversation)
        for user, conversation in removed:
            pipeline.srem(rooms(user), conversation)
        with translated():
            if added or removed:
                await pipeline.execute()

    async def reserve_room(self, user_id: int, client_request_id: str, room_id: int, digest: bytes) -> int:
        """The room that a request creates: `room_id`, or that of the first request under the same id.

        `digest` is the identity of what is requested; it is remembered for `RESERVED_SECONDS`.

        Raises:
            Error: CLIENT_REQUEST_ID_REUSED if it was another request.
        """
        key = created(user_id, client_request_id)
        mine = f"{room_id} {digest.hex()}"
        pipeline = self._redis.pipeline(transaction=False)
        # SET with both NX and GET is newer than the oldest server that is supported.
        pipeline.set(key, mine, nx=True, ex=RESERVED_SECONDS)
        pipeline.get(key)
        with translated():
            _, found = await pipeline.execute()
        first, _, first_digest = (found.decode() if found else mine).partition(" ")
        if first_digest != digest.hex():
            raise Error(
                reason_errors.CLIENT_REQUEST_ID_REUSED,
                "the client_request_id was used for another request",
            )
        return int(first)
