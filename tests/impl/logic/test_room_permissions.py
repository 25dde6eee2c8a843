"""Every cell of the permission table, against the system's real parts."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
)

from codegen.runtime.errors import Error
from impl.storage.envelope import room_conversation
from tests.impl.logic import calls
from tests.impl.logic.conftest import Tier, person

Call = Callable[[Tier, int, int, int], Awaitable[object]]
"""What an actor does in a room to a target."""

OWN_ACTIONS: dict[str, Call] = {
    "look": lambda tier, room, actor, _: calls.look(tier, actor, room),
    "list members": lambda tier, room, actor, _: calls.roster(tier, actor, room),
    "send": lambda tier, room, actor, _: calls.say(tier, actor, room),
    "read history": lambda tier, room, actor, _: calls.read(tier, actor, room_conversation(room)),
    "mark read": lambda tier, room, actor, _: calls.mark_read(tier, actor, room_conversation(room)),
    "open": lambda tier, room, actor, _: calls.open_conversation(tier, actor, room_conversation(room)),
    "join": lambda tier, room, actor, _: calls.add(tier, actor, room, actor),
    "leave": lambda tier, room, actor, _: calls.remove(tier, actor, room, actor),
    "describe": lambda tier, room, actor, _: calls.update(tier, actor, room, name="other", description=""),
    "configure": lambda tier, room, actor, _: calls.update(
        tier, actor, room, history=HISTORY_POLICY_EVERYTHING
    ),
    "describe and configure": lambda tier, room, actor, _: calls.update(
        tier, actor, room, name="other", history=HISTORY_POLICY_EVERYTHING
    ),
    "change nothing": lambda tier, room, actor, _: calls.update(tier, actor, room),
    "become admin": lambda tier, room, actor, _: calls.appoint(tier, actor, room, actor, ROLE_ADMIN),
    "become member": lambda tier, room, actor, _: calls.appoint(tier, actor, room, actor, ROLE_MEMBER),
    "become owner": lambda tier, room, actor, _: calls.appoint(tier, actor, room, actor, ROLE_OWNER),
}
OWN_TABLE = """
action                  owner                admin          member         guest         stranger
look                    ok                   ok             ok             ok            NOT_A_MEMBER
list members            ok                   ok             ok             NOT_A_MEMBER  NOT_A_MEMBER
send                    done                 done           done           NOT_A_MEMBER  NOT_A_MEMBER
read history            ok                   ok             ok             NOT_A_MEMBER  NOT_A_MEMBER
mark read               ok                   ok             ok             NOT_A_MEMBER  NOT_A_MEMBER
open                    ok                   ok             ok             NOT_A_MEMBER  NOT_A_MEMBER
join                    ok                   ok             ok             done          INVITE_ONLY
leave                   OWNER_MUST_TRANSFER  done           done           NOT_A_MEMBER  NOT_A_MEMBER
describe                done                 done           ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
configure               done                 ROLE_REQUIRED  ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
describe and configure  done                 ROLE_REQUIRED  ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
change nothing          ok                   ok             ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
become admin            OWNER_MUST_TRANSFER  ROLE_REQUIRED  ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
become member           OWNER_MUST_TRANSFER  ROLE_REQUIRED  ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
become owner            ok                   ROLE_REQUIRED  ROLE_REQUIRED  NOT_A_MEMBER  NOT_A_MEMBER
"""

ACTIONS: dict[str, Call] = {
    "add": lambda tier, room, actor, target: calls.add(tier, actor, room, target),
    "remove": lambda tier, room, actor, target: calls.remove(tier, actor, room, target),
    "make admin": lambda tier, room, actor, target: calls.appoint(tier, actor, room, target, ROLE_ADMIN),
    "make member": lambda tier, room, actor, target: calls.appoint(tier, actor, room, target, ROLE_MEMBER),
    "hand over": lambda tier, room, actor, target: calls.appoint(tier, actor, room, target, ROLE_OWNER),
}
TABLE = """
action       actor    owner          admin          member         guest             stranger
add          owner    -              ok             ok             done              done
add          admin    ok             ok             ok             done              done
add          member   ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
remove       owner    -              done           done           MEMBER_NOT_FOUND  MEMBER_NOT_FOUND
remove       admin    ROLE_REQUIRED  ROLE_REQUIRED  done           MEMBER_NOT_FOUND  MEMBER_NOT_FOUND
remove       member   ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
make admin   owner    -              ok             done           MEMBER_NOT_FOUND  MEMBER_NOT_FOUND
make admin   admin    ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
make admin   member   ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
make member  owner    -              done           ok             MEMBER_NOT_FOUND  MEMBER_NOT_FOUND
make member  admin    ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
make member  member   ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
hand over    owner    -              done           done           MEMBER_NOT_FOUND  MEMBER_NOT_FOUND
hand over    admin    ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
hand over    member   ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED  ROLE_REQUIRED     ROLE_REQUIRED
"""


def rows(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.strip().splitlines()
    ]


@dataclass(frozen=True)
class Cast:
    """Two people of each standing; there is one owner only."""

    owner: int
    admins: tuple[int, int]
    members: tuple[int, int]
    outsiders: tuple[int, int]

    def first(self, standing: str) -> int:
        return self._pair(standing)[0]

    def second(self, standing: str) -> int:
        return self._pair(standing)[1]

    def _pair(self, standing: str) -> tuple[int, int]:
        inside = {"owner": (self.owner, self.owner), "admin": self.admins, "member": self.members}
        return inside.get(standing, self.outsiders)


@pytest.fixture
async def cast(tier: Tier) -> Cast:
    owner, *others = [await person(tier, f"person{n}") for n in range(7)]
    return Cast(owner, (others[0], others[1]), (others[2], others[3]), (others[4], others[5]))


async def furnished(tier: Tier, cast: Cast, standings: tuple[str, ...]) -> int:
    """A room with the cast inside, open unless a stranger plays."""
    room = await calls.create(
        tier, cast.owner, *cast.admins, *cast.members, is_open="stranger" not in standings
    )
    for admin in cast.admins:
        await calls.appoint(tier, cast.owner, room, admin, ROLE_ADMIN)
    return room


async def head(tier: Tier, room: int) -> int:
    name = room_conversation(room)
    return (await tier.conversations.heads([name]))[name].seq


async def outcome(tier: Tier, room: int, call: Awaitable[object]) -> str:
    """`done` if it took a number, `ok` if it needed none, or the reason of the refusal."""
    before = await head(tier, room)
    try:
        await call
    except Error as error:
        assert await head(tier, room) == before
        return error.reason.name
    taken = await head(tier, room) - before
    assert taken in {0, 1}
    return "done" if taken else "ok"


@pytest.mark.parametrize("row", rows(OWN_TABLE)[1:], ids=lambda row: row[0])
async def test_who_may_do_what_for_themselves(tier: Tier, cast: Cast, row: list[str]) -> None:
    action, *wanted = row
    for standing, result in zip(rows(OWN_TABLE)[0][1:], wanted, strict=True):
        room = await furnished(tier, cast, (standing,))
        actor = cast.first(standing)
        assert await outcome(tier, room, OWN_ACTIONS[action](tier, room, actor, actor)) == result, standing


@pytest.mark.parametrize("row", rows(TABLE)[1:], ids=lambda row: f"{row[0]} by {row[1]}")
async def test_who_may_do_what_to_whom(tier: Tier, cast: Cast, row: list[str]) -> None:
    action, actor, *wanted = row
    for target, result in zip(rows(TABLE)[0][2:], wanted, strict=True):
        if result != "-":
            room = await furnished(tier, cast, (target,))
            call = ACTIONS[action](tier, room, cast.first(actor), cast.second(target))
            assert await outcome(tier, room, call) == result, target


async def test_nobody_outside_does_anything_to_anybody(tier: Tier, cast: Cast) -> None:
    for outsider in ("guest", "stranger"):
        room = await furnished(tier, cast, (outsider,))
        for action, target in itertools.product(ACTIONS, ("owner", "admin", "member", outsider)):
            call = ACTIONS[action](tier, room, cast.first(outsider), cast.second(target))
            assert await outcome(tier, room, call) == "NOT_A_MEMBER", (action, target)
