"""Conversations as one user sees them: read from Redis, and from the database what Redis does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from impl.storage.entries import membership_of, room_of_fields
from impl.storage.envelope import private_members, room_of
from impl.storage.keys import keys_of
from impl.storage.membership import Membership, Overview, Stored
from impl.storage.redis_client import translated
from impl.storage.sequencer import Sequencer
from impl.storage.shared_calls import together

LoadMembership = Callable[[str, int], Awaitable[Membership | None]]


_ASKED_AT_ONCE: Final = 64


class Overviews:
    """Reads many conversations in one round trip."""

    def __init__(
        self, redis: Redis, partitions: int, sequencer: Sequencer, load_membership: LoadMembership
    ) -> None:
        self._redis = redis
        self._partitions = partitions
        self._sequencer = sequencer
        self._load_membership = load_membership
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def read(
        self, user_id: int, conversation_ids: Sequence[str], *, last_event: bool
    ) -> dict[str, Overview]:
        """What a user sees of those conversations that anybody knows."""
        names = list(dict.fromkeys(conversation_ids))
        looks = await self._look([_Users(name, user_id) for name in names], last_event=last_event)
        found = {look.users.conversation_id: look.overview() for look in looks if look.complete}
        for overview in await together(self._ask(look) for look in looks if not look.complete):
            if overview is not None:
                found[overview.conversation_id] = overview
        return {name: found[name] for name in names if name in found}

    async def _look(self, wanted: Sequence[_Users], *, last_event: bool) -> list[_Look]:
        pipeline = self._redis.pipeline(transaction=False)
        for users in wanted:
            name, keys = users.conversation_id, keys_of(users.conversation_id, self._partitions)
            pipeline.hmget(keys.head(name), "epoch", "seq", "id", "persisted")
            pipeline.hmget(keys.members(name), str(users.own_id), str(users.peer_id))
            pipeline.hgetall(keys.room(name))
            if last_event:
                pipeline.zrevrange(keys.tail(name), 0, 0)
        with translated():
            found: list[Any] = await pipeline.execute() if wanted else []
        size = 4 if last_event else 3
        answers = (found[start : start + size] for start in range(0, len(found), size))
        return [_Look(users, *answer) for users, answer in zip(wanted, answers, strict=True)]

    async def _ask(self, look: _Look) -> Overview | None:
        """With the help of the database; None if nobody knows the conversation."""
        users = look.users
        if look.cold and room_of(users.conversation_id) is None:
            stored = await self._sequencer.stored(users.conversation_id)
            return None if stored is None else _stored_overview(users, stored)
        if look.cold:
            # All members of a room come back at the same time: one of them brings it back for all.
            if not await self._sequencer.warm(users.conversation_id):
                return None
            (look,) = await self._look([users], last_event=False)
        return look.overview(await self._stay(look))

    async def _stay(self, look: _Look) -> Membership | None:
        """That of a former member of whom Redis does not know."""
        if look.complete:
            return None
        async with self._asking:
            return await self._load_membership(look.users.conversation_id, look.users.own_id)


class _Users:
    """Whose view of a conversation is meant, and who the other is in a private one."""

    def __init__(self, conversation_id: str, own_id: int) -> None:
        pair = private_members(conversation_id) or ()
        self.conversation_id = conversation_id
        self.own_id = own_id
        self.foreign = bool(pair) and own_id not in pair
        """Whether the conversation's id says that the user never was a member."""
        others = [user for user in pair if user != own_id]
        self.peer_id = others[0] if others and not self.foreign else 0
        """0 if there is none."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What Redis holds of a conversation that concerns a user."""

    users: _Users
    head: Sequence[bytes | None]
    """Epoch, seq, id, persisted."""
    entries: Sequence[bytes | None]
    """Of the user, and of the other."""
    room: Mapping[bytes, bytes]
    newest: Sequence[bytes] = ()

    @property
    def cold(self) -> bool:
        """Whether Redis does not know the conversation."""
        return self.head[0] is None

    @property
    def complete(self) -> bool:
        """Whether the database need not be asked. Redis forgets who has left when it loads a room."""
        return not self.cold and (self.entries[0] is not None or self.users.foreign)

    def overview(self, former: Membership | None = None) -> Overview:
        """What the user sees; `former` if Redis does not know them."""
        epoch, seq, last_id, durable = (int(number or 0) for number in self.head)
        own, peer = self.entries
        return Overview(
            conversation_id=self.users.conversation_id,
            epoch=epoch,
            seq=seq,
            last_id=last_id,
            durable_seq=durable,
            membership=membership_of(self.users.own_id, own) if own else former,
            peer=membership_of(self.users.peer_id, peer) if peer else None,
            room=room_of_fields(self.room),
            last_event=self.newest[0] if self.newest else None,
        )


def _stored_overview(users: _Users, stored: Stored) -> Overview:
    members = {member.user_id: member for member in stored.members}
    return Overview(
        conversation_id=users.conversation_id,
        epoch=stored.epoch,
        seq=stored.seq,
        last_id=0,
        durable_seq=stored.seq,
        membership=members.get(users.own_id),
        peer=members.get(users.peer_id),
        room=stored.room,
        last_event=None,
    )
