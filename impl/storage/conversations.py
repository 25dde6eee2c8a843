"""Conversations in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from redis.asyncio import Redis

from impl.storage.generation import Recovery
from impl.storage.keys import ConversationKeys, keys_of, script
from impl.storage.membership import Changed, Mark, Membership, Overview, RoomChange, RoomState, Stored
from impl.storage.overviews import Overviews, StoredViews
from impl.storage.redis_client import translated
from impl.storage.rooms import Rooms, Size
from impl.storage.sequencer import Load, Sequencer
from impl.storage.shared_calls import together
from impl.storage.user_index import SMALL_ROOM, UserIndex
from impl.storage.writes import Accepted, Send, accepted, changed, changing, marked, marking, sending

__all__ = [
    "SMALL_ROOM",
    "Accepted",
    "Conversations",
    "Load",
    "Position",
    "Send",
    "Size",
    "Stored",
    "StoredViews",
]

TAIL_KEEPS: Final = 100
"""Entries of a hot tail that stay though the database holds them."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a conversation. Positions are ordered by epoch, then seq."""

    conversation_id: str
    epoch: int
    seq: int


class Conversations(UserIndex):
    """The Redis side of conversations. An async context manager."""

    def __init__(  # noqa: PLR0913 - its parts, and two ways to ask the database
        self,
        redis: Redis,
        partitions: int,
        load: Load,
        recovery: Recovery | None = None,
        *,
        stored: StoredViews | None = None,
        patience: float = 5.0,
    ) -> None:
        """Takes its parts.

        Args:
            redis: made by `connect_redis` with a recovery.
            partitions: number of partitions of the deployment.
            load: reads a conversation from the database; None if it holds nothing of it.
            recovery: that of the client's connections; learns what was accepted.
            stored: reads many conversations from the database as one user sees them; without it, nothing is
                seen but what Redis knows.
            patience: seconds for which a send waits for a Redis that is away.
        """
        super().__init__(redis)
        self._partitions = partitions
        self._sequencer = Sequencer(redis, partitions, load, recovery, patience=patience)
        self._overviews = Overviews(redis, partitions, self._sequencer, stored or _NothingStored())
        self._rooms = Rooms(redis, partitions, self._sequencer)
        self._persisted = redis.register_script(script("persisted"))

    async def __aenter__(self) -> Self:
        """Starts taking writes."""
        await self._sequencer.__aenter__()
        await self._overviews.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes what was begun."""
        await self._overviews.__aexit__(kind, error, trace)
        await self._sequencer.__aexit__(kind, error, trace)

    async def accept(self, send: Send) -> Accepted:
        """Sequences a message and puts it on the stream, on disk when this returns.

        Raises:
            Error: CLIENT_MESSAGE_ID_REUSED, NOT_A_MEMBER, ROOM_NOT_FOUND, RECOVERING, OVERLOADED,
                DEPENDENCY_UNAVAILABLE.
        """
        return accepted(send, await self._sequencer.write(sending(send)))

    async def change(self, change: RoomChange) -> Changed:
        """Changes a room, and puts the event on the stream, on disk when this returns.

        Who creates a room again gets the result of the first time.

        Raises:
            Denied: the rule of the change does not let the actor do this to the target.
            Error: ROOM_NOT_FOUND, ROOM_FULL, OWNER_MUST_TRANSFER if an owner would leave others behind,
                RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE.
        """
        return changed(change, await self._sequencer.write(changing(change)))

    async def mark(self, marks: Sequence[Mark]) -> list[Membership | None]:
        """Moves marks ahead, never back and not beyond the last event; what has moved goes on the stream.

        One result for each, in order: the member afterwards, or None if the user is no member of the
        conversation now. Reading implies having received.

        Raises:
            Error: RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE; some may have moved then.
        """
        answers = await together(self._sequencer.write(marking(mark)) for mark in marks)
        return [marked(mark, answer) for mark, answer in zip(marks, answers, strict=True)]

    async def overview(
        self, user_id: int, conversation_ids: Sequence[str], *, last_event: bool = False
    ) -> dict[str, Overview]:
        """Conversations as a user sees them; those that nobody knows are left out.

        Where Redis does not know a conversation, the database tells of it, but not its last event.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        return await self._overviews.read(user_id, conversation_ids, last_event=last_event)

    async def room(self, conversation_id: str) -> RoomState | None:
        """A room without its members; None if there is none.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        return await self._rooms.state(conversation_id)

    async def roster(self, conversation_id: str, token: str, limit: int) -> tuple[list[Membership], str]:
        """Present members of a room in the order in which they came, and the token of the next page.

        The first page has the token "", and so has the page after the last. Empty for what is no room.

        Raises:
            Error: PAGE_TOKEN_INVALID if the token is not of a page of this room, DEPENDENCY_UNAVAILABLE.
        """
        return await self._rooms.roster(conversation_id, token, limit)

    async def room_members(self, conversation_ids: Sequence[str], most: int) -> dict[str, Size]:
        """Number of present members of each room, and who they are if they are not more than `most`.

        What is no room is left out.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        return await self._rooms.sizes(conversation_ids, most)

    async def durable(self, conversation_ids: Sequence[str]) -> dict[str, int]:
        """Highest number that is in the database; nothing of conversations of which Redis does not know one.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for conversation in conversation_ids:
            pipeline.hget(keys_of(conversation, self._partitions).head(conversation), "persisted")
        with translated():
            found = await pipeline.execute() if conversation_ids else []
        return {
            conversation: int(seq)
            for conversation, seq in zip(conversation_ids, found, strict=True)
            if seq is not None
        }

    async def heads(self, conversation_ids: Sequence[str]) -> Mapping[str, Position]:
        """Last positions of those conversations that Redis knows.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for conversation in conversation_ids:
            pipeline.hmget(keys_of(conversation, self._partitions).head(conversation), "epoch", "seq")
        with translated():
            heads = await pipeline.execute() if conversation_ids else []
        return {
            conversation: Position(conversation, int(epoch), int(seq))
            for conversation, (epoch, seq) in zip(conversation_ids, heads, strict=True)
            if epoch is not None
        }

    async def tail(
        self, conversation_id: str, after: int | None, before: int | None, limit: int
    ) -> list[bytes]:
        """Envelopes of the hot tail with after < seq < before, ascending.

        The newest `limit` of them, or the oldest if only `after` is given.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        key = keys_of(conversation_id, self._partitions).tail(conversation_id)
        low = "-inf" if after is None else f"({after}"
        high = "+inf" if before is None else f"({before}"
        with translated():
            if after is not None and before is None:
                oldest: Any = await self._redis.zrangebyscore(key, low, high, start=0, num=limit)
                return list(oldest)
            newest: Any = await self._redis.zrevrangebyscore(key, high, low, start=0, num=limit)
            return list(newest[::-1])

    async def persisted(self, partition: int, seqs: Mapping[str, int]) -> None:
        """Notes what the database holds of the partition's conversations, and trims their hot tails.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        keys = ConversationKeys(partition)
        names = [name for conversation in seqs for name in (keys.head(conversation), keys.tail(conversation))]
        with translated():
            if seqs:
                await self._persisted(keys=names, args=[TAIL_KEEPS, *seqs.values()])


class _NothingStored:
    """No database to ask."""

    async def overviews(self, _user_id: int, _conversation_ids: Sequence[str]) -> Mapping[str, Overview]:
        return {}

    async def memberships(self, _user_id: int, _conversation_ids: Sequence[str]) -> Mapping[str, Membership]:
        return {}
