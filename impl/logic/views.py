"""Conversations as one of their members sees them; without I/O."""

from __future__ import annotations

from im.logic.v1.message_pb2 import Head
from im.logic.v1.room_pb2 import HistoryPolicy, JoinPolicy, Member, Role, Room
from im.logic.v1.rung_pb2 import ACCEPTED, DELIVERED, DURABLE, READ, Rung
from im.logic.v1.user_pb2 import User

from impl.storage.envelope import room_conversation
from impl.storage.membership import Membership, Overview, RoomState, first_seq


def head_of(view: Overview) -> Head:
    """The last position; of a former member, the last that they may read."""
    head = Head(
        conversation_id=view.conversation_id,
        epoch=view.epoch,
        seq=_last_seq(view),
        first_seq=first_of(view),
        durable_seq=min(view.durable_seq, _last_seq(view)),
    )
    if view.membership is not None:
        head.read_seq = view.membership.read_seq
    if view.peer is not None:
        head.peer_read_seq = view.peer.read_seq
        head.peer_delivered_seq = max(view.peer.delivered_seq, view.peer.read_seq)
    return head


def first_of(view: Overview) -> int:
    """Lowest number that may be read; 0 for who never was a member."""
    return 0 if view.membership is None else first_seq(view.membership, view.room)


def end_of(view: Overview) -> int | None:
    """One more than the highest number that a former member may read; None for a present one."""
    return None if view.membership is None else view.membership.left_seq


def unread_of(view: Overview) -> int:
    """Numbers above the read mark that may be read."""
    if view.membership is None:
        return 0
    return max(0, _last_seq(view) - max(view.membership.read_seq, first_of(view) - 1))


def rung_of(view: Overview, seq: int) -> Rung.ValueType:
    """How far a message of the viewer's own in the conversation's present epoch has come.

    What is not in the database is not said to be further: each rung includes the ones before it.
    """
    if seq > view.durable_seq:
        return ACCEPTED
    if view.peer is None or seq > max(view.peer.delivered_seq, view.peer.read_seq):
        return DURABLE
    return READ if seq <= view.peer.read_seq else DELIVERED


def room_message(room_id: int, state: RoomState, membership: Membership | None) -> Room:
    """A room as somebody sees it who has this present or last stay in it."""
    room = Room(
        id=room_id,
        conversation_id=room_conversation(room_id),
        name=state.name,
        description=state.description,
        join=JoinPolicy.ValueType(state.join),
        history=HistoryPolicy.ValueType(state.history),
        member_count=state.member_count,
    )
    if membership is not None and membership.present:
        room.role = Role.ValueType(membership.role)
    room.created_at.FromMilliseconds(state.created_ms)
    return room


def member_message(membership: Membership, user: User) -> Member:
    """A member of a room."""
    return Member(
        user_id=membership.user_id,
        role=Role.ValueType(membership.role),
        joined_seq=membership.joined_seq,
        username=user.username,
        display_name=user.display_name,
    )


def _last_seq(view: Overview) -> int:
    end = end_of(view)
    return view.seq if end is None else min(view.seq, end - 1)
