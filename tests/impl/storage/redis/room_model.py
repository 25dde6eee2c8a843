"""What should come out of writes to rooms, one after the other: a model of the accept script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
)

from impl.storage.membership import Membership, RoomState, Stored

MOST_MEMBERS: Final = 4
USERS: Final = (1, 2, 3, 10, 21, 100)
STANDINGS: Final[Mapping[int, str]] = {ROLE_OWNER: "owner", ROLE_ADMIN: "admin", ROLE_MEMBER: "member"}


def pairs(actors: str, targets: str) -> set[tuple[str, str]]:
    return set(product(actors.split(), targets.split()))


ALLOWED: Final = {
    "join": pairs("guest", "guest"),
    "add": pairs("owner admin", "guest stranger"),
    "leave": {("owner", "owner"), ("admin", "admin"), ("member", "member")},
    "remove": pairs("owner", "admin member") | pairs("admin", "member"),
    "raise": pairs("owner", "member"),
    "lower": pairs("owner", "admin"),
    "transfer": pairs("owner", "admin member"),
}
KEPT: Final = {
    "join": {("owner", "owner"), ("admin", "admin"), ("member", "member")},
    "add": pairs("owner admin", "owner admin member"),
    "leave": set[tuple[str, str]](),
    "remove": set[tuple[str, str]](),
    "raise": pairs("owner", "admin"),
    "lower": pairs("owner", "member"),
    "transfer": pairs("owner", "owner"),
}


@dataclass(frozen=True)
class Deed:
    """What somebody does in a room, perhaps to somebody."""

    kind: str
    room: str
    actor: int
    target: int
    number: int
    """A small one: a repeated send has it again, and marks go up to it."""


@dataclass
class Room:
    open: bool
    tells_everything: bool
    members: dict[int, Membership] = field(default_factory=dict)
    seq: int = 0
    sends: dict[tuple[int, int], int] = field(default_factory=dict)
    recipients: dict[int, frozenset[int]] = field(default_factory=dict)
    """Who was there when an event came: those before it and those after it."""

    @property
    def present(self) -> set[int]:
        return {user for user, member in self.members.items() if member.present}

    def state(self) -> RoomState:
        return RoomState(
            "Lobby",
            "",
            JOIN_POLICY_OPEN if self.open else JOIN_POLICY_INVITE_ONLY,
            HISTORY_POLICY_EVERYTHING if self.tells_everything else HISTORY_POLICY_SINCE_JOIN,
            0,
            len(self.present),
        )

    def stored(self, epoch: int) -> Stored:
        """What the database would say once it holds everything."""
        return Stored(epoch, self.seq, tuple(m for m in self.members.values() if m.present), self.state())

    def standing(self, user: int) -> str:
        if user in self.present:
            return STANDINGS[self.members[user].role]
        return "guest" if self.open else "stranger"

    def create(self, owner: int, others: tuple[int, ...]) -> None:
        self.seq = 1
        self.members = {user: Membership(user, ROLE_MEMBER, 1) for user in (owner, *others)}
        self.members[owner] = Membership(owner, ROLE_OWNER, 1, None, 1, 1)
        self.recipients[1] = frozenset(self.present)

    def do(self, deed: Deed) -> tuple[object, ...]:
        """What the deed should be answered."""
        if deed.kind == "send":
            return self._send(deed)
        if deed.kind == "mark":
            return self._mark(deed)
        outcome = self._judge(deed.kind, deed.actor, deed.target)
        if outcome == "OK":
            self._change(deed)
            return "OK", self.seq
        if outcome == "DENIED":
            return "DENIED", self.standing(deed.actor), self.standing(deed.target)
        return (outcome,)

    def _send(self, deed: Deed) -> tuple[object, ...]:
        first = self.sends.get((deed.actor, deed.number))
        if first is not None:
            return "DUPLICATE", first
        if deed.actor not in self.present:
            return ("NOT_A_MEMBER",)
        self._number(self.present)
        self.sends[deed.actor, deed.number] = self.seq
        self._raise_marks(deed.actor, self.seq, self.seq)
        return "OK", self.seq

    def _mark(self, deed: Deed) -> tuple[object, ...]:
        if deed.actor not in self.present:
            return ("NOT_A_MEMBER",)
        read = min(deed.number, self.seq)
        self._raise_marks(deed.actor, min(max(deed.target, read), self.seq), read)
        member = self.members[deed.actor]
        return "OK", member.delivered_seq, member.read_seq

    def _judge(self, kind: str, actor: int, target: int) -> str:
        does, suffers = self.standing(actor), self.standing(target)
        if (does, suffers) in KEPT[kind]:
            return "SAME"
        if (does, suffers) not in ALLOWED[kind]:
            return "DENIED"
        if kind in {"join", "add"} and len(self.present) >= MOST_MEMBERS:
            return "ROOM_FULL"
        if kind == "leave" and does == "owner" and len(self.present) > 1:
            return "OWNER_MUST_TRANSFER"
        return "OK"

    def _change(self, deed: Deed) -> None:
        before, target = self.present, deed.target
        member = self.members.get(target, Membership(target))
        match deed.kind:
            case "join" | "add":
                joined = self.seq + 1
                read = joined if target == deed.actor else joined - 1
                self.members[target] = Membership(target, ROLE_MEMBER, joined, None, read, read)
            case "leave" | "remove":
                self.members[target] = replace(member, left_seq=self.seq + 2)
            case "raise" | "lower":
                given = ROLE_ADMIN if deed.kind == "raise" else ROLE_MEMBER
                self.members[target] = replace(member, role=given)
            case _:
                self.members[deed.actor] = replace(self.members[deed.actor], role=ROLE_ADMIN)
                self.members[target] = replace(member, role=ROLE_OWNER)
        self._number(before | self.present)

    def _number(self, recipients: set[int]) -> None:
        self.seq += 1
        self.recipients[self.seq] = frozenset(recipients)

    def _raise_marks(self, user: int, delivered: int, read: int) -> None:
        member = self.members[user]
        self.members[user] = replace(
            member,
            delivered_seq=max(member.delivered_seq, delivered),
            read_seq=max(member.read_seq, read),
        )

    def heard(self, user: int) -> set[int]:
        """Events that came to a user in their present or last stay."""
        begin = self.members[user].joined_seq
        return {seq for seq, users in self.recipients.items() if user in users and seq >= begin}

    def readable(self, user: int) -> set[int]:
        """Events that a user may read."""
        heard = self.heard(user)
        return set(range(1, max(heard) + 1)) if self.tells_everything else heard
