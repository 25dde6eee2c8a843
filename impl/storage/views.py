"""Conversations at rest as one user sees them: parts of the transactions of `impl.storage.messages`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from impl.storage import members
from impl.storage.envelope import private_members
from impl.storage.membership import Overview
from impl.storage.tables import ConversationRow

_HEADS = select(
    col(ConversationRow.id),
    col(ConversationRow.epoch),
    col(ConversationRow.last_seq),
    col(ConversationRow.last_message_id),
)


async def seen(
    connection: AsyncConnection, user_id: int, conversation_ids: Sequence[str]
) -> dict[str, Overview]:
    """Those of the conversations that are stored, without their last events."""
    query = _HEADS.where(col(ConversationRow.id).in_(conversation_ids))
    heads = {row.id: row for row in await connection.execute(query)}
    private = {name: pair for name in heads if (pair := private_members(name))}
    others = [name for name in heads if name not in private]
    pairs = await members.of_pairs(connection, private) if private else {}
    stays = await members.stays(connection, user_id, others) if others else {}
    rooms = await members.states(connection, others) if others else {}
    found = {}
    for name, (_, epoch, seq, last_id) in heads.items():
        pair = private.get(name, ())
        peer = next((user for user in pair if user != user_id), 0) if user_id in pair else 0
        found[name] = Overview(
            conversation_id=name,
            epoch=epoch,
            seq=seq,
            last_id=last_id,
            durable_seq=seq,
            membership=pairs[name].get(user_id) if pair else stays.get(name),
            peer=pairs[name].get(peer) if pair else None,
            room=rooms.get(name),
            last_event=None,
        )
    return found
