"""Who may do what in a room: one table, given to the script that decides, and read where logic decides."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from im.errors.v1.reason_errors import (
    INVITE_ONLY,
    MEMBER_NOT_FOUND,
    NOT_A_MEMBER,
    OWNER_MUST_TRANSFER,
    ROLE_REQUIRED,
)

from codegen.runtime.errors import Error
from impl.storage.entries import standing_of as standing_of_role
from impl.storage.membership import Membership, RoomState, Rule, Standing

OWNER, ADMIN, MEMBER, GUEST, STRANGER = Standing


class Action(Enum):
    """What somebody wants to do in a room. The values end the sentence "who may …"."""

    LOOK = "see the room's settings"
    LIST = "list its members"
    JOIN = "join"
    ADD = "add somebody"
    LEAVE = "leave"
    REMOVE = "remove somebody"
    MAKE_ADMIN = "make somebody an administrator"
    MAKE_MEMBER = "make an administrator a member"
    TRANSFER = "hand the room over"
    DESCRIBE = "change its name and description"
    CONFIGURE = "change who may join and what members may read"


_PRESENT = frozenset({OWNER, ADMIN, MEMBER})
_ABSENT = frozenset({GUEST, STRANGER})


def _alone(*actors: Standing) -> Mapping[Standing, frozenset[Standing]]:
    """What concerns nobody but the actors themselves."""
    return {actor: frozenset({actor}) for actor in actors}


RULES: Final[Mapping[Action, Rule]] = {
    Action.LOOK: Rule(applies=_alone(OWNER, ADMIN, MEMBER, GUEST), keeps={}),
    Action.LIST: Rule(applies=_alone(OWNER, ADMIN, MEMBER), keeps={}),
    Action.JOIN: Rule(applies=_alone(GUEST), keeps=_alone(OWNER, ADMIN, MEMBER)),
    Action.ADD: Rule(
        applies={OWNER: _ABSENT, ADMIN: _ABSENT},
        keeps={OWNER: _PRESENT, ADMIN: _PRESENT},
    ),
    Action.LEAVE: Rule(applies=_alone(OWNER, ADMIN, MEMBER), keeps={}),
    Action.REMOVE: Rule(
        applies={OWNER: frozenset({ADMIN, MEMBER}), ADMIN: frozenset({MEMBER})},
        keeps={},
    ),
    Action.MAKE_ADMIN: Rule(applies={OWNER: frozenset({MEMBER})}, keeps={OWNER: frozenset({ADMIN})}),
    Action.MAKE_MEMBER: Rule(applies={OWNER: frozenset({ADMIN})}, keeps={OWNER: frozenset({MEMBER})}),
    Action.TRANSFER: Rule(applies={OWNER: frozenset({ADMIN, MEMBER})}, keeps={OWNER: frozenset({OWNER})}),
    Action.DESCRIBE: Rule(applies=_alone(OWNER, ADMIN), keeps={}),
    Action.CONFIGURE: Rule(applies=_alone(OWNER), keeps={}),
}
"""The whole table, which docs/rooms.md shows.

Three rules are the script's own: anybody makes rooms, every member writes, and an owner leaves only a room in
which nobody else is.
"""


def standing_of(membership: Membership | None, room: RoomState) -> Standing:
    """What somebody with this present or last stay is in a room."""
    if membership is not None and membership.present:
        return standing_of_role(membership.role)
    return GUEST if room.open else STRANGER


def allowed(action: Action, actor: Standing, target: Standing | None = None) -> bool:
    """Whether the action would happen, or would have nothing left to do."""
    rule, whom = RULES[action], target or actor
    return any(whom in pairs.get(actor, ()) for pairs in (rule.applies, rule.keeps))


def require(action: Action, actor: Standing, target: Standing | None = None) -> None:
    """Error of `denial` if the action is not allowed."""
    if not allowed(action, actor, target):
        raise denial(action, actor, target or actor)


def denial(action: Action, actor: Standing, target: Standing) -> Error:
    """The refusal of an action that is not allowed: by what the actor lacks, else by what the target is.

    Who is outside learns nothing of who is inside.
    """
    if actor in _ABSENT:
        if action is Action.JOIN:
            return Error(INVITE_ONLY, "nobody joins this room without being added")
        return Error(NOT_A_MEMBER, "the caller is not a member of the room")
    if target in _ABSENT and actor in RULES[action].applies:
        return Error(MEMBER_NOT_FOUND, "the user is not a member of the room")
    if actor is target is OWNER:
        return Error(OWNER_MUST_TRANSFER, "the owner hands the room over first")
    return Error(ROLE_REQUIRED, f"the caller's role does not allow to {action.value}")
