"""How members and rooms are written in Redis; without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from im.logic.v1.room_pb2 import ROLE_ADMIN, ROLE_MEMBER, ROLE_OWNER

from impl.storage.membership import Membership, RoomState, Standing

_STANDINGS: Final[Mapping[int, Standing]] = {
    ROLE_OWNER: Standing.OWNER,
    ROLE_ADMIN: Standing.ADMIN,
    ROLE_MEMBER: Standing.MEMBER,
}
_ROLES: Final[Mapping[bytes, int]] = {standing.value.encode(): role for role, standing in _STANDINGS.items()}


def standing_of(role: int) -> Standing:
    """What a member of this role is; a role that is not known may do no more than any member."""
    return _STANDINGS.get(role, Standing.MEMBER)


def entry_of(membership: Membership) -> str:
    """`<standing> <joined> <left> <delivered> <read>`; 0 left means present."""
    left = membership.left_seq or 0
    marks = f"{membership.delivered_seq} {membership.read_seq}"
    return f"{standing_of(membership.role)} {membership.joined_seq} {left} {marks}"


def membership_of(user_id: int, entry: bytes) -> Membership:
    """The membership of an entry; older ones end after `joined`."""
    role, joined, left, delivered, read = (*entry.split(), b"0", b"0", b"0")[:5]
    return Membership(
        user_id, _ROLES.get(role, ROLE_MEMBER), int(joined), int(left) or None, int(delivered), int(read)
    )


def room_fields(room: RoomState) -> dict[str, str]:
    """Fields of a room's hash."""
    return {
        "name": room.name,
        "description": room.description,
        "join": str(room.join),
        "history": str(room.history),
        "created": str(room.created_ms),
        "count": str(room.member_count),
    }


def room_of_fields(fields: Mapping[bytes, bytes]) -> RoomState | None:
    """The room of a hash; None if there is none."""
    if b"join" not in fields:
        return None
    return RoomState(
        name=fields[b"name"].decode(),
        description=fields[b"description"].decode(),
        join=int(fields[b"join"]),
        history=int(fields[b"history"]),
        created_ms=int(fields[b"created"]),
        member_count=int(fields[b"count"]),
    )
