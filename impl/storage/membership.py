"""Who is in a conversation, what they may see of it, and who may change it; without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from im.logic.v1.room_pb2 import HISTORY_POLICY_EVERYTHING, JOIN_POLICY_OPEN, ROLE_MEMBER

FIRST_SEQ = 1
"""Number of the first event of a conversation."""


class Standing(StrEnum):
    """What a user is in a room. Values are stored in Redis; the last two never are."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"
    """No member of an open room."""
    STRANGER = "stranger"
    """No member of a room that nobody joins without being added."""


@dataclass(frozen=True, slots=True)
class Membership:
    """One stay of a user in a conversation. Who came back is told of the new stay alone."""

    user_id: int
    role: int = ROLE_MEMBER
    """A value of im.logic.v1.Role."""
    joined_seq: int = 0
    """Number of the event by which they came; 0 in a private conversation."""
    left_seq: int | None = None
    """One more than the number of the event by which they went: that event is the last they see."""
    delivered_seq: int = 0
    """Up to here a device has received."""
    read_seq: int = 0
    """Up to here they have read."""

    @property
    def present(self) -> bool:
        """Whether they are a member now."""
        return self.left_seq is None

    def receives(self, seq: int) -> bool:
        """Whether the event of this number is sent to them: joined_seq ≤ seq < left_seq."""
        return self.joined_seq <= seq and (self.left_seq is None or seq < self.left_seq)


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room without its members."""

    name: str
    description: str
    join: int
    """A value of im.logic.v1.JoinPolicy."""
    history: int
    """A value of im.logic.v1.HistoryPolicy."""
    created_ms: int
    member_count: int

    @property
    def open(self) -> bool:
        """Whether everybody may join."""
        return self.join == JOIN_POLICY_OPEN


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database knows of a conversation."""

    epoch: int
    seq: int
    """Highest seq persisted."""
    members: tuple[Membership, ...]
    """Present members."""
    room: RoomState | None = None
    """None for a private conversation."""


def first_seq(membership: Membership, room: RoomState | None) -> int:
    """Lowest number that a present or former member may read."""
    if room is None or room.history == HISTORY_POLICY_EVERYTHING:
        return FIRST_SEQ
    return max(FIRST_SEQ, membership.joined_seq)


def may_read(membership: Membership, room: RoomState | None, seq: int) -> bool:
    """Whether a present or former member may read the event of this number."""
    end = membership.left_seq
    return first_seq(membership, room) <= seq and (end is None or seq < end)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do something to whom: standings of the actor to standings of the target.

    Where an action has no target, it is the actor.
    """

    applies: Mapping[Standing, frozenset[Standing]]
    """Pairs for which it happens."""
    keeps: Mapping[Standing, frozenset[Standing]]
    """Pairs for which nothing is left to do: it succeeds and takes no number."""


class Effect(Enum):
    """What an accepted change does to members and settings."""

    CREATE = "create"
    """Settings are set, the actor becomes the owner, `member_ids` become members."""
    SET = "set"
    """Settings that are present are set."""
    JOIN = "join"
    """The target becomes a member with `role`; the stay begins at this number."""
    ROLE = "role"
    """The target, a member, gets `role`."""
    LEAVE = "leave"
    """The target's stay ends with this number. Refused for an owner who is not the only member."""
    TRANSFER = "transfer"
    """The target becomes the owner, the actor an administrator."""


@dataclass(frozen=True, slots=True)
class RoomChange:
    """A change of a room to be accepted."""

    conversation_id: str
    actor_id: int
    target_id: int
    """The actor where there is no other."""
    rule: Rule
    effect: Effect
    event_id: int
    """Snowflake id; the change is idempotent within (conversation, this id)."""
    created_ms: int
    event: bytes
    """Serialized ConversationEvent without epoch and seq."""
    role: int = ROLE_MEMBER
    """For JOIN and ROLE."""
    settings: Mapping[str, str | int] | None = None
    """For CREATE and SET: `name`, `description`, `join`, `history`; those that change."""
    member_ids: tuple[int, ...] = ()
    """For CREATE."""
    most_members: int = 0
    """For JOIN: as many as the room may have afterwards."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a change of a room that was not refused."""

    epoch: int
    """0 if nothing was left to do."""
    seq: int
    """Number of its event; 0 if nothing was left to do."""
    target: Membership | None
    """The target as it is afterwards; None if they are no member."""


class Denied(Exception):  # noqa: N818 - says what happened to a change, and becomes an Error in logic
    """A change was refused by its rule. Carries what the rule was asked."""

    def __init__(self, actor: Standing, target: Standing) -> None:
        super().__init__(f"{actor} may not do this to {target}")
        self.actor = actor
        self.target = target


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a user has come in a conversation. 0 leaves a mark where it is."""

    conversation_id: str
    user_id: int
    delivered_seq: int = 0
    read_seq: int = 0
    created_ms: int = 0
    """When it was made."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A conversation as one user sees it, read in one look."""

    conversation_id: str
    epoch: int
    seq: int
    last_id: int
    """Id of the last event: by which conversations are recent."""
    durable_seq: int
    """Up to here everything is in the database."""
    membership: Membership | None
    """The user's present or last stay; None if they never were a member."""
    peer: Membership | None
    """The other user of a private conversation."""
    room: RoomState | None
    last_event: bytes | None
    """Envelope of the last event, if it was asked for."""
