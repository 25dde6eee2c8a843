"""Rooms and memberships at rest: parts of the transactions of `impl.storage.messages`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Any, Final, cast

from im.stream.v1.conversation_event_pb2 import ConversationEvent
from sqlalchemy import BigInteger, Row, and_, bindparam, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from impl.storage.database import put
from impl.storage.envelope import private_members
from impl.storage.folding import MemberKey, Members, MembershipValues, RoomValues, concerned
from impl.storage.membership import Membership, RoomState
from impl.storage.tables import MembershipRow, RoomRow, exact

_KEYS_AT_ONCE: Final = 64
"""Memberships that one statement reads: always as many, so that it is compiled once."""

_wanted = union_all(
    *(
        select(
            bindparam(f"user{n}", type_=BigInteger()).label("user_id"),
            bindparam(f"conversation{n}", type_=exact(128)).label("conversation_id"),
        )
        for n in range(_KEYS_AT_ONCE)
    )
).subquery("wanted")
_ROWS = select(
    col(MembershipRow.user_id),
    col(MembershipRow.conversation_id),
    col(MembershipRow.joined_seq),
    col(MembershipRow.left_seq),
    col(MembershipRow.read_seq),
    col(MembershipRow.delivered_seq),
    col(MembershipRow.role),
    col(MembershipRow.changed_seq),
)
# A join, because SQLite searches no index for lists of pairs.
_ROWS_OF_KEYS = _ROWS.select_from(_wanted).join(
    MembershipRow,
    and_(
        col(MembershipRow.user_id) == _wanted.c.user_id,
        col(MembershipRow.conversation_id) == _wanted.c.conversation_id,
    ),
)
_STATES = select(
    col(RoomRow.conversation_id),
    col(RoomRow.name),
    col(RoomRow.description),
    col(RoomRow.join_policy),
    col(RoomRow.history_policy),
    col(RoomRow.created_by),
    col(RoomRow.created_at),
    col(RoomRow.changed_seq),
)


async def apply(connection: AsyncConnection, events: Sequence[ConversationEvent]) -> None:
    """Folds events into rooms and memberships; their conversations are stored already."""
    members = Members()
    async for row in _stored(connection, set(concerned(events))):
        members.memberships[row["user_id"], row["conversation_id"]] = row
    rooms = {event.conversation_id for event in events if event.HasField("room")}
    if rooms:
        found = await connection.execute(_STATES.where(col(RoomRow.conversation_id).in_(rooms)))
        members.rooms = {row[0]: _room_values(row) for row in found}
    for event in events:
        members.apply(event)
    await put(connection, RoomRow, [members.rooms[name] for name in members.changed_rooms])
    await put(connection, MembershipRow, [members.memberships[key] for key in members.changed_memberships])


async def _stored(connection: AsyncConnection, keys: set[MemberKey]) -> AsyncIterator[MembershipValues]:
    """Those of the memberships that are stored, and others of private conversations, which have but two."""
    pairs = {name for _, name in keys if private_members(name)}
    if pairs:
        found = await connection.execute(_ROWS.where(col(MembershipRow.conversation_id).in_(pairs)))
        for row in found:
            yield _membership_values(row)
    for portion in _portions(sorted(key for key in keys if key[1] not in pairs)):
        for row in await connection.execute(_ROWS_OF_KEYS, _arguments(portion)):
            yield _membership_values(row)


async def present(connection: AsyncConnection, conversation_id: str) -> tuple[Membership, ...]:
    """Present members, in the order in which they came."""
    query = _ROWS.where(
        col(MembershipRow.conversation_id) == conversation_id, col(MembershipRow.left_seq).is_(None)
    ).order_by(col(MembershipRow.joined_seq), col(MembershipRow.user_id))
    return tuple(_membership(row) for row in await connection.execute(query))


async def stays(
    connection: AsyncConnection, user_id: int, conversation_ids: Collection[str]
) -> dict[str, Membership]:
    """The present or last stays of a user."""
    query = _ROWS.where(
        col(MembershipRow.user_id) == user_id, col(MembershipRow.conversation_id).in_(conversation_ids)
    )
    return {row.conversation_id: _membership(row) for row in await connection.execute(query)}


async def of_pairs(
    connection: AsyncConnection, conversation_ids: Collection[str]
) -> dict[str, dict[int, Membership]]:
    """The members of private conversations."""
    found: dict[str, dict[int, Membership]] = defaultdict(dict)
    query = _ROWS.where(col(MembershipRow.conversation_id).in_(conversation_ids))
    for row in await connection.execute(query):
        found[row.conversation_id][row.user_id] = _membership(row)
    return found


async def state(connection: AsyncConnection, conversation_id: str, member_count: int) -> RoomState | None:
    """What makes the conversation a room; None if it is none."""
    query = _STATES.where(col(RoomRow.conversation_id) == conversation_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _state(row, member_count)


async def states(connection: AsyncConnection, conversation_ids: Collection[str]) -> dict[str, RoomState]:
    """Rooms, with their members counted."""
    name = col(MembershipRow.conversation_id)
    counts = await connection.execute(
        select(name, func.count())
        .where(name.in_(conversation_ids), col(MembershipRow.left_seq).is_(None))
        .group_by(name)
    )
    present = {row[0]: row[1] for row in counts}
    found = await connection.execute(_STATES.where(col(RoomRow.conversation_id).in_(conversation_ids)))
    return {row.conversation_id: _state(row, present.get(row.conversation_id, 0)) for row in found}


def _portions(keys: Sequence[MemberKey]) -> Iterator[Sequence[MemberKey]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]


def _arguments(keys: Sequence[MemberKey]) -> dict[str, int | str]:
    """Of `_ROWS_OF_KEYS`; the last key is repeated as often as there is room."""
    filled = [*keys, *[keys[-1]] * (_KEYS_AT_ONCE - len(keys))]
    arguments: dict[str, int | str] = {}
    for n, (user, conversation) in enumerate(filled):
        arguments[f"user{n}"], arguments[f"conversation{n}"] = user, conversation
    return arguments


def _membership_values(row: Row[*tuple[Any, ...]]) -> MembershipValues:
    return cast("MembershipValues", row._asdict())


def _room_values(row: Row[*tuple[Any, ...]]) -> RoomValues:
    return cast("RoomValues", row._asdict())


def _state(row: Row[*tuple[Any, ...]], member_count: int) -> RoomState:
    return RoomState(
        row.name, row.description, row.join_policy, row.history_policy, row.created_at, member_count
    )


def _membership(row: Row[*tuple[Any, ...]]) -> Membership:
    return Membership(row.user_id, row.role, row.joined_seq, row.left_seq, row.delivered_seq, row.read_seq)
