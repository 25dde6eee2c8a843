"""Conversations as one user sees them: read from Redis, and from the database what Redis does not know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from impl.storage.entries import membership_of, room_of_fields
from impl.storage.envelope import private_members
from impl.storage.keys import keys_of
from impl.storage.membership import Membership, Overview, Stored
from impl.storage.redis_client import translated
from impl.storage.sequencer import Load
from impl.storage.shared_calls import together

LoadMembership = Callable[[str, int], Awaitable[Membership | None]]


class Overviews:
    """Reads many conversations in one round trip."""

    def __init__(self, redis: Redis, partitions: int, load: Load, load_membership: LoadMembership) -> None:
        """`load` and `load_membership` ask the database."""
        self._redis = redis
        self._partitions = partitions
        self._load = load
        self._load_membership = load_membership

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
        if not look.cold:
            return look.overview(await self._load_membership(users.conversation_id, users.own_id))
        stored = await self._load(users.conversation_id)
        if stored is None:
            return None
        members = {member.user_id: member for member in stored.members}
        own = members.get(users.own_id)
        if own is None and not users.foreign:
            own = await self._load_membership(users.conversation_id, users.own_id)
        return _stored_overview(users, stored, own, members.get(users.peer_id))


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


def _stored_overview(
    users: _Users, stored: Stored, own: Membership | None, peer: Membership | None
) -> Overview:
    return Overview(
        conversation_id=users.conversation_id,
        epoch=stored.epoch,
        seq=stored.seq,
        last_id=0,
        durable_seq=stored.seq,
        membership=own,
        peer=peer,
        room=stored.room,
        last_event=None,
    )
