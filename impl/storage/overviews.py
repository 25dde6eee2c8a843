"""Conversations as one user sees them: read from Redis, and from the database what Redis does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from redis.asyncio import Redis

from codegen.runtime.streams.partitions import partition_of
from impl.storage.entries import membership_of, room_of_fields
from impl.storage.envelope import private_members, room_of
from impl.storage.keys import ConversationKeys
from impl.storage.membership import Membership, Overview
from impl.storage.redis_client import translated
from impl.storage.sequencer import Sequencer
from impl.storage.warming import Warming


class StoredViews(Protocol):
    """What the database knows of many conversations, for one user.

    Conversations of which it knows nothing are left out.
    """

    async def overviews(self, user_id: int, conversation_ids: Sequence[str]) -> Mapping[str, Overview]:
        """As the user sees them. Rooms are counted, their members are not read."""
        ...

    async def memberships(self, user_id: int, conversation_ids: Sequence[str]) -> Mapping[str, Membership]:
        """The user's present or last stays."""
        ...


class Overviews:
    """Reads many conversations in one round trip. An async context manager.

    What only the database knew is brought into Redis in the background; so is what Redis holds from an
    earlier epoch, of which the database is asked, too: Redis may have come back in an older state.
    """

    def __init__(self, redis: Redis, partitions: int, sequencer: Sequencer, stored: StoredViews) -> None:
        self._redis = redis
        self._partitions = partitions
        self._sequencer = sequencer
        self._stored = stored
        self._warming = Warming(sequencer)

    async def __aenter__(self) -> Self:
        """Starts bringing conversations into Redis."""
        await self._warming.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves conversations to the database that are not in Redis yet."""
        await self._warming.__aexit__(kind, error, trace)

    async def read(
        self, user_id: int, conversation_ids: Sequence[str], *, last_event: bool
    ) -> dict[str, Overview]:
        """What a user sees of those conversations that anybody knows."""
        names = list(dict.fromkeys(conversation_ids))
        looks = await self._look([_Users(name, user_id) for name in names], last_event=last_event)
        stored, forgotten = await asyncio.gather(
            self._ask(user_id, [look.users.conversation_id for look in looks if look.cold or look.stale]),
            self._stays(user_id, [look.users.conversation_id for look in looks if look.forgotten]),
        )
        found = {}
        for name, look in zip(names, looks, strict=True):
            if view := look.believed(stored.get(name), forgotten.get(name)):
                found[name] = view
        return found

    async def _look(self, wanted: Sequence[_Users], *, last_event: bool) -> list[_Look]:
        pipeline = self._redis.pipeline(transaction=False)
        partitions = [partition_of(users.conversation_id, self._partitions) for users in wanted]
        asked = list(dict.fromkeys(partitions))
        for partition in asked:
            pipeline.hget(ConversationKeys(partition).of_partition.generation, "epoch")
        for users, partition in zip(wanted, partitions, strict=True):
            name, keys = users.conversation_id, ConversationKeys(partition)
            pipeline.hmget(keys.head(name), "epoch", "seq", "id", "persisted", "asked")
            pipeline.hmget(keys.members(name), users.fields)
            if users.in_room:
                pipeline.hgetall(keys.room(name))
            if last_event:
                pipeline.zrevrange(keys.tail(name), 0, 0, withscores=True)
        with translated():
            answers: Iterator[Any] = iter(await pipeline.execute() if wanted else ())
        epochs = {partition: next(answers) for partition in asked}
        return [
            _Look(
                users,
                epochs[partition],
                head=next(answers),
                entries=next(answers),
                room=next(answers) if users.in_room else {},
                newest=next(answers) if last_event else (),
            )
            for users, partition in zip(wanted, partitions, strict=True)
        ]

    async def _ask(self, user_id: int, conversation_ids: Sequence[str]) -> Mapping[str, Overview]:
        """Conversations that Redis does not know, or not as they are in this epoch."""
        if not conversation_ids:
            return {}
        found = await self._stored.overviews(user_id, conversation_ids)
        for view in found.values():
            self._sequencer.saw(view.conversation_id, view.epoch)
        self._warming.want(found.values())
        return found

    async def _stays(self, user_id: int, conversation_ids: Sequence[str]) -> Mapping[str, Membership]:
        """Those of a former member of whom Redis does not know."""
        return await self._stored.memberships(user_id, conversation_ids) if conversation_ids else {}


class _Users:
    """Whose view of a conversation is meant, and who the other is in a private one."""

    def __init__(self, conversation_id: str, own_id: int) -> None:
        pair = private_members(conversation_id) or ()
        self.conversation_id = conversation_id
        self.in_room = not pair and room_of(conversation_id) is not None
        self.own_id = own_id
        self.foreign = bool(pair) and own_id not in pair
        """Whether the conversation's id says that the user never was a member."""
        others = [user for user in pair if user != own_id]
        self.peer_id = others[0] if others and not self.foreign else 0
        """0 if there is none."""

    @property
    def fields(self) -> list[str]:
        """Whose entries are read."""
        return [str(self.own_id), str(self.peer_id)] if self.peer_id else [str(self.own_id)]


@dataclass(frozen=True, slots=True)
class _Look:
    """What Redis holds of a conversation that concerns a user."""

    users: _Users
    current: bytes | None
    """Epoch of the partition."""
    head: Sequence[bytes | None]
    """Epoch, seq, id, persisted, and the epoch in which the database was last asked."""
    entries: Sequence[bytes | None]
    """Of the user, and of the other if there is one."""
    room: Mapping[bytes, bytes]
    newest: Sequence[tuple[bytes, float]]
    """The last envelope of the hot tail and its number, if they were asked for."""

    @property
    def cold(self) -> bool:
        """Whether Redis does not know the conversation."""
        return self.head[0] is None

    @property
    def stale(self) -> bool:
        """Whether Redis may know less than the database: nobody has compared them in this epoch."""
        return not self.cold and self.current not in (self.head[0], self.head[4])

    @property
    def forgotten(self) -> bool:
        """Whether the user may have been a member once. Redis forgets who has left when it loads a room."""
        return not self.cold and self.entries[0] is None and not self.users.foreign

    def believed(self, stored: Overview | None, former: Membership | None) -> Overview | None:
        """What the user sees: what is `stored` if that is more than Redis holds.

        The accept script judges in the same way.
        """
        epoch, seq = (int(number or 0) for number in self.head[:2])
        if self.cold or (stored and (stored.epoch > epoch or stored.seq > seq)):
            return stored
        return self.overview(former)

    def overview(self, former: Membership | None) -> Overview:
        """What the user sees by Redis; `former` if Redis does not know them."""
        epoch, seq, last_id, durable = (int(number or 0) for number in self.head[:4])
        own, peer = self.entries[0], self.entries[1] if self.users.peer_id else None
        return Overview(
            conversation_id=self.users.conversation_id,
            epoch=epoch,
            seq=seq,
            last_id=last_id,
            durable_seq=durable,
            membership=membership_of(self.users.own_id, own) if own else former,
            peer=membership_of(self.users.peer_id, peer) if peer else None,
            room=room_of_fields(self.room),
            # What the hot tail holds may be older than what the database has told since.
            last_event=next((event for event, number in self.newest if number >= seq), None),
        )
