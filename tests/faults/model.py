"""A room as a simple model: a list of what happened, and who is in it."""

from __future__ import annotations

from dataclasses import dataclass, field

OWNER, ADMIN, MEMBER = "ROLE_OWNER", "ROLE_ADMIN", "ROLE_MEMBER"
_RANK = {MEMBER: 1, ADMIN: 2, OWNER: 3}


class DeniedError(Exception):
    """The model expects a refusal with this reason."""


@dataclass
class Room:
    """The model. Users are ids; numbers begin with 1."""

    owner: int
    first: frozenset[int]
    open: bool = True
    events: list[str] = field(default_factory=list)
    """What has each number, in words; only their count and the client ids of messages matter."""
    roles: dict[int, str] = field(default_factory=dict)
    stays: dict[int, list[tuple[int, int | None]]] = field(default_factory=dict)
    """Begin and end of each stay, both seen by the user."""
    marks: dict[int, int] = field(default_factory=dict)
    """Read marks."""

    def __post_init__(self) -> None:
        seq = self._happens("created")
        for user in {self.owner, *self.first}:
            self._enter(user, seq, by=self.owner)
        self.roles[self.owner] = OWNER

    @property
    def head(self) -> int:
        """The last number."""
        return len(self.events)

    def send(self, user: int, name: str) -> int:
        """A new message; its number."""
        if user not in self.roles:
            raise DeniedError("NOT_A_MEMBER")
        seq = self._happens(name)
        self.marks[user] = seq
        return seq

    def add(self, actor: int, target: int) -> None:
        """Adds the target, or joins."""
        if actor == target:
            if target not in self.roles and not self.open:
                raise DeniedError("INVITE_ONLY")
        elif actor not in self.roles:
            raise DeniedError("NOT_A_MEMBER")
        elif self.roles[actor] == MEMBER:
            raise DeniedError("ROLE_REQUIRED")
        if target not in self.roles:
            self._enter(target, self._happens("joined"), by=actor)

    def remove(self, actor: int, target: int) -> None:
        """Removes the target, or leaves."""
        if actor not in self.roles:
            raise DeniedError("NOT_A_MEMBER")
        if actor == target:
            if self.roles[actor] == OWNER and len(self.roles) > 1:
                raise DeniedError("OWNER_MUST_TRANSFER")
        elif self.roles[actor] == MEMBER:
            raise DeniedError("ROLE_REQUIRED")
        elif target not in self.roles:
            raise DeniedError("MEMBER_NOT_FOUND")
        elif _RANK[self.roles[target]] >= _RANK[self.roles[actor]]:
            raise DeniedError("ROLE_REQUIRED")
        seq = self._happens("left")
        del self.roles[target]
        self.stays[target][-1] = (self.stays[target][-1][0], seq)

    def promote(self, actor: int, target: int, role: str) -> None:
        """Gives the target a role; OWNER hands the room over."""
        if actor not in self.roles:
            raise DeniedError("NOT_A_MEMBER")
        if self.roles[actor] != OWNER:
            raise DeniedError("ROLE_REQUIRED")
        if target not in self.roles:
            raise DeniedError("MEMBER_NOT_FOUND")
        if self.roles[target] == role:
            return
        if target == actor:
            raise DeniedError("OWNER_MUST_TRANSFER")
        self._happens("role")
        self.roles[target] = role
        if role == OWNER:
            self.roles[actor] = ADMIN

    def configure(self, actor: int, *, is_open: bool) -> None:
        """Says who may join."""
        if actor not in self.roles:
            raise DeniedError("NOT_A_MEMBER")
        if self.roles[actor] != OWNER:
            raise DeniedError("ROLE_REQUIRED")
        if is_open != self.open:
            self._happens("changed")
            self.open = is_open

    def reveal(self) -> None:
        """The owner lets members read what was before them."""
        self._happens("changed")

    def read(self, user: int, seq: int) -> tuple[int, int]:
        """Moves a read mark; where it is then, and how much is unread."""
        if user not in self.roles:
            raise DeniedError("NOT_A_MEMBER")
        wanted = min(seq, self.head) if seq else self.head
        self.marks[user] = max(self.marks.get(user, 0), wanted)
        return self.marks[user], self.unread(user)

    def unread(self, user: int) -> int:
        """Numbers that a member has not read."""
        return max(0, self.head - max(self.marks.get(user, 0), self.stays[user][-1][0] - 1))

    def visible(self, user: int) -> range:
        """Numbers of the last stay of a user who was a member once."""
        first, last = self.stays[user][-1]
        return range(first, (last or self.head) + 1)

    def _enter(self, user: int, seq: int, *, by: int) -> None:
        self.roles[user] = MEMBER
        self.marks[user] = seq if user == by else seq - 1
        self.stays.setdefault(user, []).append((seq, None))

    def _happens(self, what: str) -> int:
        self.events.append(what)
        return self.head
