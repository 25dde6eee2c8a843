"""What the accept script is told, and what its answers mean; without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import orjson
from im.errors.v1 import reason_errors
from im.logic.v1.room_pb2 import ROLE_OWNER
from im.stream.v1.conversation_event_pb2 import ConversationEvent, Marked

from codegen.runtime.errors import Error, Reason
from impl.storage.entries import entry_of, membership_of, room_fields, standing_of
from impl.storage.envelope import room_of
from impl.storage.membership import (
    FIRST_SEQ,
    Changed,
    Denied,
    Effect,
    Mark,
    Membership,
    RoomChange,
    Standing,
    Stored,
)

Argument = str | int | bytes

_NOT_A_MEMBER: Final = b"NOT_A_MEMBER"
_REFUSALS: Final[Mapping[bytes, tuple[Reason, str]]] = {
    _NOT_A_MEMBER: (reason_errors.NOT_A_MEMBER, "the sender is not a member of the conversation"),
    b"REUSED": (
        reason_errors.CLIENT_MESSAGE_ID_REUSED,
        "the client_message_id was used for another message",
    ),
    b"ROOM_FULL": (reason_errors.ROOM_FULL, "the room has as many members as it may have"),
    b"OWNER_MUST_TRANSFER": (reason_errors.OWNER_MUST_TRANSFER, "the owner hands the room over first"),
}


@dataclass(frozen=True, slots=True)
class Send:
    """A message to be accepted."""

    conversation_id: str
    sender_id: int
    members: tuple[int, ...]
    """Members that the conversation is created with if it does not exist; () for a room."""
    client_message_id: str
    payload_hash: bytes
    """What makes two sends under one client_message_id the same."""
    message_id: int
    created_ms: int
    event: bytes
    """Serialized ConversationEvent without epoch and seq, which are appended when it is accepted."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an accepted message got; of the first one if it is a duplicate."""

    message_id: int
    epoch: int
    seq: int
    created_ms: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Write:
    """One item of a batch, as the script takes it."""

    conversation_id: str
    arguments: tuple[Argument, Argument, Argument, Argument]
    founders: tuple[int, ...] = ()
    """Who are members if nobody knows the conversation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the script said of one item."""

    status: bytes
    facts: Sequence[bytes]
    repeated: bool
    """Whether an earlier call may have accepted it already, without an answer."""

    @property
    def cold(self) -> bool:
        """Whether the database must be asked first."""
        return self.status == b"COLD"

    @property
    def known(self) -> bool:
        """Whether the conversation is in Redis."""
        return self.status not in (b"COLD", b"UNKNOWN", _NOT_A_MEMBER)


def sending(send: Send) -> Write:
    """A message as the script takes it."""
    field = f"{len(send.conversation_id)}:{send.conversation_id}{send.sender_id}:{send.client_message_id}"
    facts = f"send {send.sender_id} {send.message_id} {send.created_ms}"
    return Write(send.conversation_id, (field, send.payload_hash, send.event, facts), send.members)


def accepted(send: Send, answer: Answer) -> Accepted:
    """What a message got.

    Raises:
        Error: CLIENT_MESSAGE_ID_REUSED, NOT_A_MEMBER, ROOM_NOT_FOUND.
    """
    _refuse(send.conversation_id, answer)
    message_id, epoch, seq, created_ms = map(int, answer.facts)
    own = answer.repeated and message_id == send.message_id
    return Accepted(message_id, epoch, seq, created_ms, duplicate=answer.status == b"DUPLICATE" and not own)


def changing(change: RoomChange) -> Write:
    """A change of a room as the script takes it."""
    name = change.conversation_id
    # No send has a field like this: after the conversation comes the number of its sender.
    field = f"{len(name)}:{name}#{change.event_id}"
    facts = f"change {change.actor_id} {change.event_id} {change.created_ms}"
    return Write(name, (field, orjson.dumps(_detail(change)), change.event, facts))


def changed(change: RoomChange, answer: Answer) -> Changed:
    """What became of a change.

    Raises:
        Denied: its rule does not let the actor do this to the target.
        Error: ROOM_NOT_FOUND, ROOM_FULL, OWNER_MUST_TRANSFER.
    """
    if answer.status == b"DENIED":
        actor, target = (Standing(fact.decode()) for fact in answer.facts)
        raise Denied(actor, target)
    _refuse(change.conversation_id, answer)
    if answer.status == b"UNCHANGED":
        return Changed(0, 0, _present(change.target_id, answer.facts))
    _, epoch, seq, _ = map(int, answer.facts[:4])
    return Changed(epoch, seq, _present(change.target_id, answer.facts[4:]))


def marking(mark: Mark) -> Write:
    """A mark as the script takes it, which appends how far it has moved to the event."""
    event = ConversationEvent(conversation_id=mark.conversation_id, sender_id=mark.user_id)
    event.created_at.FromMilliseconds(mark.created_ms)
    user = Marked(user_id=mark.user_id).SerializeToString()
    ahead = f"{mark.delivered_seq} {mark.read_seq}"
    facts = f"mark {mark.user_id} 0 0"
    return Write(mark.conversation_id, (user, ahead, event.SerializeToString(), facts))


def marked(mark: Mark, answer: Answer) -> Membership | None:
    """The member afterwards; None if the user is none."""
    return _present(mark.user_id, answer.facts) if answer.known else None


def loading(conversation_id: str) -> Write:
    """That a conversation be in Redis if the database knows it."""
    return Write(conversation_id, ("", "", "", "load 0 0 0"))


def loaded(write: Write, stored: Stored | None) -> bytes:
    """What the database said of a write's conversation."""
    if stored is None:
        return orjson.dumps({"founders": [str(user) for user in write.founders]})
    said: dict[str, object] = {
        "epoch": stored.epoch,
        "seq": stored.seq,
        "members": list(_pairs(stored.members)),
    }
    if stored.room:
        said["room"] = room_fields(stored.room)
    return orjson.dumps(said)


def _refuse(conversation_id: str, answer: Answer) -> None:
    if answer.status in _REFUSALS:
        raise Error(*_REFUSALS[answer.status])
    if answer.status == b"UNKNOWN":
        if room_of(conversation_id) is None:
            raise Error(*_REFUSALS[_NOT_A_MEMBER])
        raise Error(reason_errors.ROOM_NOT_FOUND, "there is no such room")


def _detail(change: RoomChange) -> dict[str, object]:
    created = change.effect is Effect.CREATE
    settings = {name: str(value) for name, value in (change.settings or {}).items()}
    detail: dict[str, object] = {
        "effect": change.effect.value,
        "actor": str(change.actor_id),
        "target": str(change.target_id),
        "role": standing_of(change.role),
        "most": change.most_members,
        "applies": _allowed(change.rule.applies),
        "keeps": _allowed(change.rule.keeps),
        "settings": settings,
    }
    if created:
        settings["created"] = str(change.created_ms)
        detail["members"] = list(_pairs(_founders(change)))
    return detail


def _founders(change: RoomChange) -> list[Membership]:
    owner = Membership(change.actor_id, ROLE_OWNER, FIRST_SEQ, delivered_seq=FIRST_SEQ, read_seq=FIRST_SEQ)
    others = {user for user in change.member_ids if user != change.actor_id}
    return [owner, *(Membership(user, joined_seq=FIRST_SEQ) for user in others)]


def _pairs(members: Sequence[Membership]) -> chain[str]:
    """User, entry, user, entry …, in the order of the roster."""
    came = sorted(members, key=lambda member: (member.joined_seq, member.user_id))
    return chain.from_iterable((str(member.user_id), entry_of(member)) for member in came)


def _allowed(pairs: Mapping[Standing, frozenset[Standing]]) -> dict[str, bool]:
    return {f"{actor} {target}": True for actor, targets in pairs.items() for target in targets}


def _present(user_id: int, entry: Sequence[bytes]) -> Membership | None:
    member = membership_of(user_id, b" ".join(entry)) if any(entry) else None
    return member if member and member.present else None
