"""Events at rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE, INTERNAL
from im.stream.v1.conversation_event_pb2 import ConversationEvent
from sqlalchemy import ColumnElement, Select, exists, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.storage import members, views
from impl.storage.conversations import Position
from impl.storage.database import Contention, Database, put, uninterrupted
from impl.storage.envelope import created_ms, private_members, room_of
from impl.storage.membership import Membership, Overview, Stored
from impl.storage.repetition import Known, MessageValues, fresh
from impl.storage.tables import (
    ConversationKind,
    ConversationRow,
    EventKind,
    MembershipRow,
    MessageRow,
    PartitionMarkRow,
    RoomRow,
    UserRow,
)

_KINDS: Mapping[str | None, EventKind] = {"message": EventKind.MESSAGE, "room": EventKind.ROOM}


_NAMES_AT_ONCE: Final = 500
"""Conversations that one statement asks for."""


class Messages:
    """The events of all conversations, whole, under their positions.

    Every method raises Error DEPENDENCY_UNAVAILABLE when the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def persist(self, partition: int, ordinal: int, events: Sequence[ConversationEvent]) -> None:
        """Stores a batch of one partition and advances its mark to `ordinal`, all or nothing.

        Changes of rooms and marks of members go into their rows; a `mark` has no row of its own. Redelivered
        events change nothing. A late repetition of (conversation, sender, client message id) keeps its
        position as a tombstone that names the first. Error INTERNAL if a position or an id already belongs
        to something else (`metadata` then names conversation, epoch and seq), or if an event has a value that
        the database cannot hold.
        """
        rows = [_values(event) for event in events if not event.HasField("mark")]
        try:
            async with self._database.writing() as connection:
                stored = await _held_mark(connection, partition)
                await _insert_messages(connection, rows)
                await _advance_conversations(connection, rows)
                await members.apply(connection, events)
                if stored < ordinal:
                    await _advance_mark(connection, partition, ordinal)
        except (DataError, OverflowError) as error:
            raise Error(INTERNAL, "the database cannot hold a value of an event") from error

    @uninterrupted
    async def page(
        self, conversation_id: str, after: int | None, before: int | None, limit: int
    ) -> list[bytes]:
        """Envelopes with after < seq < before, ascending.

        The oldest `limit` of them if `after` is given, else the newest. The envelope of a tombstone has its
        field `tombstone` set.
        """
        seq, epoch = col(MessageRow.seq), col(MessageRow.epoch)
        query = select(col(MessageRow.envelope)).where(col(MessageRow.conversation_id) == conversation_id)
        if after is not None:
            query = query.where(seq > after)
        if before is not None:
            query = query.where(seq < before)
        newest = after is None
        query = query.order_by(seq.desc(), epoch.desc()) if newest else query.order_by(seq, epoch)
        async with self._database.reading() as connection:
            found = list((await connection.execute(query.limit(limit))).scalars())
        return found[::-1] if newest else found

    @uninterrupted
    async def stored(self, conversation_id: str) -> Stored | None:
        """What the database knows of a conversation; None if nothing."""
        head = select(col(ConversationRow.epoch), col(ConversationRow.last_seq)).where(
            col(ConversationRow.id) == conversation_id
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(head)).one_or_none()
            if row is None:
                return None
            present = await members.present(connection, conversation_id)
            room = await members.state(connection, conversation_id, len(present))
        return Stored(row[0], row[1], present, room)

    @uninterrupted
    async def overviews(self, user_id: int, conversation_ids: Sequence[str]) -> dict[str, Overview]:
        """Conversations as the user sees them, without last events; what is not stored is left out.

        Rooms are counted: their members are not read.
        """
        found: dict[str, Overview] = {}
        async with self._database.reading() as connection:
            for names in _portions(conversation_ids):
                found.update(await views.seen(connection, user_id, names))
        return found

    @uninterrupted
    async def memberships(self, user_id: int, conversation_ids: Sequence[str]) -> dict[str, Membership]:
        """The user's present or last stays in those of the conversations where the database knows of one."""
        found: dict[str, Membership] = {}
        async with self._database.reading() as connection:
            for names in _portions(conversation_ids):
                found.update(await members.stays(connection, user_id, names))
        return found

    @uninterrupted
    async def heads(self, conversation_ids: Sequence[str]) -> Mapping[str, Position]:
        """Highest stored position of each conversation that is known."""
        query = select(col(ConversationRow.id), col(ConversationRow.epoch), col(ConversationRow.last_seq))
        found: dict[str, Position] = {}
        async with self._database.reading() as connection:
            for names in _portions(conversation_ids):
                rows = await connection.execute(query.where(col(ConversationRow.id).in_(names)))
                found.update((row[0], Position(*row)) for row in rows)
        return found

    @uninterrupted
    async def find(
        self, conversation_id: str, sender_id: int, client_message_id: str
    ) -> ConversationEvent | None:
        """The event of a send, if it is stored."""
        query = select(col(MessageRow.envelope)).where(
            col(MessageRow.conversation_id) == conversation_id,
            col(MessageRow.sender_id) == sender_id,
            col(MessageRow.client_message_id) == client_message_id,
        )
        async with self._database.reading() as connection:
            envelope = (await connection.execute(query)).scalar()
        return None if envelope is None else ConversationEvent.FromString(envelope)

    @uninterrupted
    async def conversations_of(
        self, user_id: int, limit: int, *, up_to: int | None = None
    ) -> list[tuple[str, int]]:
        """Conversations of which the user is a member, with their last event's id, the most recent first.

        With `up_to`, those alone whose last event has this id or a lower one.
        """
        newest = col(ConversationRow.last_message_id)
        query = (
            select(col(ConversationRow.id), newest)
            .join(MembershipRow, col(MembershipRow.conversation_id) == col(ConversationRow.id))
            .where(col(MembershipRow.user_id) == user_id, col(MembershipRow.left_seq).is_(None))
            .order_by(newest.desc())
            .limit(limit)
        )
        if up_to is not None:
            query = query.where(newest <= up_to)
        async with self._database.reading() as connection:
            return [(row[0], row[1]) for row in await connection.execute(query)]

    @uninterrupted
    async def rooms_of(self, user_id: int) -> list[str]:
        """Rooms of which the user is a member, in no order."""
        query = (
            select(col(RoomRow.conversation_id))
            .join(MembershipRow, col(MembershipRow.conversation_id) == col(RoomRow.conversation_id))
            .where(col(MembershipRow.user_id) == user_id, col(MembershipRow.left_seq).is_(None))
        )
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())

    @uninterrupted
    async def ordinal(self, partition: int) -> int:
        """Highest stream ordinal of the partition that is stored; 0 if none."""
        async with self._database.reading() as connection:
            return (await connection.execute(_mark(partition))).scalar() or 0

    @uninterrupted
    async def is_empty(self) -> bool:
        """Whether nothing was ever stored: neither an account nor an event."""
        query = select(exists(select(col(UserRow.id))), exists(select(col(MessageRow.id))))
        async with self._database.reading() as connection:
            return not any((await connection.execute(query)).one())


def _portions(conversation_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(conversation_ids), _NAMES_AT_ONCE):
        yield conversation_ids[begin : begin + _NAMES_AT_ONCE]


def _values(event: ConversationEvent) -> MessageValues:
    return {
        "id": event.id,
        "conversation_id": event.conversation_id,
        "epoch": event.epoch,
        "seq": event.seq,
        "sender_id": event.sender_id,
        "client_message_id": event.message.client_message_id or None,
        "kind": _KINDS.get(event.WhichOneof("event"), EventKind.UNKNOWN),
        "envelope": event.SerializeToString(),
        "created_at": created_ms(event.created_at),
    }


async def _insert_messages(connection: AsyncConnection, rows: Sequence[MessageValues]) -> None:
    """Hopes that all are new, and looks closer only if they are not."""
    try:
        await _insert_all(connection, rows)
    except IntegrityError:
        known = Known()
        await _learn(connection, known, col(MessageRow.id).in_([row["id"] for row in rows]))
        unknown = [row for row in rows if row["id"] not in known.ids]
        for conversation_id in {row["conversation_id"] for row in unknown}:
            await _learn_claims(connection, known, conversation_id, unknown)
        await _insert_all(connection, fresh(rows, known))


async def _insert_all(connection: AsyncConnection, rows: Sequence[MessageValues]) -> None:
    if rows:
        async with connection.begin_nested():
            await connection.execute(insert(MessageRow), rows)


async def _learn_claims(
    connection: AsyncConnection, known: Known, conversation_id: str, rows: Sequence[MessageValues]
) -> None:
    """What of one conversation is stored at the places of the rows, or as the result of their sends.

    Asked per conversation, because SQLite searches no index for lists of tuples.
    """
    mine = [row for row in rows if row["conversation_id"] == conversation_id]
    here = col(MessageRow.conversation_id) == conversation_id
    await _learn(connection, known, here, col(MessageRow.seq).in_([row["seq"] for row in mine]))
    senders = col(MessageRow.sender_id).in_({row["sender_id"] for row in mine})
    names = [row["client_message_id"] for row in mine if row["client_message_id"] is not None]
    await _learn(connection, known, here, senders, col(MessageRow.client_message_id).in_(names))


async def _learn(connection: AsyncConnection, known: Known, *conditions: ColumnElement[bool]) -> None:
    query = select(
        col(MessageRow.id),
        col(MessageRow.conversation_id),
        col(MessageRow.epoch),
        col(MessageRow.seq),
        col(MessageRow.sender_id),
        col(MessageRow.client_message_id),
    ).where(*conditions)
    for number, conversation_id, epoch, seq, sender_id, name in await connection.execute(query):
        send = None if name is None else (conversation_id, sender_id, name)
        known.add(number, (conversation_id, epoch, seq), send)


async def _advance_conversations(connection: AsyncConnection, rows: Sequence[MessageValues]) -> None:
    if not rows:
        return
    last = {row["conversation_id"]: row for row in sorted(rows, key=lambda row: (row["epoch"], row["seq"]))}
    query = select(col(ConversationRow.id), col(ConversationRow.epoch), col(ConversationRow.last_seq)).where(
        col(ConversationRow.id).in_(list(last))
    )
    present = {row[0]: (row[1], row[2]) for row in await connection.execute(query)}
    await put(
        connection,
        ConversationRow,
        [
            {
                "id": name,
                "kind": _kind(name),
                "epoch": row["epoch"],
                "last_seq": row["seq"],
                "last_message_id": row["id"],
            }
            for name, row in last.items()
            if name not in present or present[name] < (row["epoch"], row["seq"])
        ],
    )


def _kind(conversation_id: str) -> ConversationKind:
    if room_of(conversation_id) is not None:
        return ConversationKind.ROOM
    return ConversationKind.PRIVATE if private_members(conversation_id) else ConversationKind.UNKNOWN


async def _advance_mark(connection: AsyncConnection, partition: int, ordinal: int) -> None:
    this = col(PartitionMarkRow.partition) == partition
    await connection.execute(update(PartitionMarkRow).where(this).values(ordinal=ordinal))


async def _held_mark(connection: AsyncConnection, partition: int) -> int:
    """The mark, which nobody else reads here until the transaction has ended: owners take turns.

    SQLite lets one transaction write at a time anyway.
    """
    present = (await connection.execute(_mark(partition).with_for_update())).scalar()
    if present is not None:
        return present
    try:
        await connection.execute(insert(PartitionMarkRow), {"partition": partition, "ordinal": 0})
    except IntegrityError as error:
        raise Contention(DEPENDENCY_UNAVAILABLE, "another owner began the partition") from error
    return 0


def _mark(partition: int) -> Select[int]:
    return select(col(PartitionMarkRow.ordinal)).where(col(PartitionMarkRow.partition) == partition)
