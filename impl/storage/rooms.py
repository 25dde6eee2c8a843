"""Rooms and who is in them, read from Redis."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from im.errors.v1 import reason_errors
from redis.asyncio import Redis

from codegen.runtime.errors import Error
from impl.storage.entries import membership_of, room_of_fields
from impl.storage.envelope import room_of
from impl.storage.keys import ConversationKeys, keys_of
from impl.storage.membership import FIRST_SEQ, Membership, RoomState
from impl.storage.redis_client import translated
from impl.storage.sequencer import Sequencer

Place = tuple[int, int]
"""Where a member stands in the roster: number of the event by which they came, user."""
Size = tuple[int, tuple[int, ...] | None]
"""Number of present members, and who they are if they are few."""

_TOGETHER: Final = 1024
"""Most members who come by one event: those with whom a room is created."""


class Rooms:
    """Reads rooms; brings those into Redis that only the database knows, or may know better."""

    def __init__(self, redis: Redis, partitions: int, sequencer: Sequencer) -> None:
        self._redis = redis
        self._partitions = partitions
        self._sequencer = sequencer

    async def state(self, conversation_id: str) -> RoomState | None:
        """A room without its members; None if there is none."""
        if room_of(conversation_id) is None:
            return None
        if not await self._in_redis(conversation_id):
            return None
        with translated():
            fields: Any = await self._redis.hgetall(self._keys(conversation_id).room(conversation_id))
        return room_of_fields(fields)

    async def roster(self, conversation_id: str, token: str, limit: int) -> tuple[list[Membership], str]:
        """A page of present members, and the token of the next."""
        after = _place(conversation_id, token) if token else (0, 0)
        if room_of(conversation_id) is None or not await self._in_redis(conversation_id):
            return [], ""
        places = await self._places(conversation_id, after, limit + 1)
        page = places[:limit]
        more = 0 < limit < len(places)
        members = await self._members(conversation_id, [user for _, user in page])
        return members, _token(conversation_id, page[-1]) if more else ""

    async def sizes(self, conversation_ids: Sequence[str], most: int) -> dict[str, Size]:
        """Numbers of present members, and who they are where they are not more than `most`.

        Nobody is let in by this: it may be as Redis knew it in an earlier epoch, until somebody else looks.
        """
        sizes = await self._sizes(conversation_ids, most)
        unknown = [name for name in conversation_ids if name not in sizes and room_of(name) is not None]
        loaded = [name for name in unknown if await self._sequencer.warm(name)]
        return sizes | await self._sizes(loaded, most)

    async def _in_redis(self, conversation_id: str) -> bool:
        """Whether there is such a room. Then Redis holds what the database has of it in this epoch."""
        keys = self._keys(conversation_id)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hget(keys.of_partition.generation, "epoch")
        pipeline.hmget(keys.head(conversation_id), "epoch", "asked")
        with translated():
            current, compared = await pipeline.execute()
        if current is not None and current in compared:
            return True
        return await self._sequencer.warm(conversation_id)

    async def _places(self, conversation_id: str, after: Place, limit: int) -> list[Place]:
        key = self._keys(conversation_id).roster(conversation_id)
        # Those who came by one event are ordered by user here, but by text in Redis.
        most = limit + (_TOGETHER if after[0] <= FIRST_SEQ else 1)
        with translated():
            found: Any = await self._redis.zrangebyscore(
                key, after[0], "+inf", start=0, num=most, withscores=True
            )
        places = sorted((int(score), int(user)) for user, score in found)
        return [place for place in places if place > after][:limit]

    async def _members(self, conversation_id: str, users: Sequence[int]) -> list[Membership]:
        with translated():
            entries: Any = (
                await self._redis.hmget(
                    self._keys(conversation_id).members(conversation_id), [str(user) for user in users]
                )
                if users
                else []
            )
        members = (membership_of(user, entry) for user, entry in zip(users, entries, strict=True) if entry)
        # Who has left since the roster was read is no member.
        return [member for member in members if member.present]

    async def _sizes(self, conversation_ids: Sequence[str], most: int) -> dict[str, Size]:
        pipeline = self._redis.pipeline(transaction=False)
        for name in conversation_ids:
            keys = self._keys(name)
            pipeline.hget(keys.room(name), "count")
            pipeline.zrange(keys.roster(name), 0, most)
        with translated():
            found: list[Any] = await pipeline.execute() if conversation_ids else []
        return {
            name: _size(int(count), users, most)
            for name, count, users in zip(conversation_ids, found[::2], found[1::2], strict=True)
            if count is not None
        }

    def _keys(self, conversation_id: str) -> ConversationKeys:
        return keys_of(conversation_id, self._partitions)


def _size(count: int, users: Sequence[bytes], most: int) -> Size:
    # Read one after the other: a list that is whole is right about the number, too.
    if len(users) > most:
        return max(count, len(users)), None
    return len(users), tuple(int(user) for user in users)


def _token(conversation_id: str, place: Place) -> str:
    text = f"{conversation_id} {place[0]} {place[1]}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(conversation_id: str, token: str) -> Place:
    try:
        padded = token + "=" * (-len(token) % 4)
        name, joined, user = base64.b64decode(padded, b"-_", validate=True).decode().split(" ")
        if name == conversation_id:
            return int(joined), int(user)
    except ValueError:
        pass
    raise Error(reason_errors.PAGE_TOKEN_INVALID, "the page token is not of a page of this room")
