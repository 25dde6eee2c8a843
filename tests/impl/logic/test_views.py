from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_UNSPECIFIED,
)
from im.logic.v1.rung_pb2 import ACCEPTED, DELIVERED, DURABLE, READ

from impl.logic.views import first_of, head_of, room_message, rung_of, unread_of
from impl.storage.membership import Membership, Overview, RoomState, may_read

ROOM = RoomState("room", "", JOIN_POLICY_OPEN, HISTORY_POLICY_SINCE_JOIN, created_ms=5, member_count=2)
PRIVATE = Overview(
    conversation_id="dm.1.2",
    epoch=1,
    seq=9,
    last_id=99,
    durable_seq=7,
    membership=Membership(1, read_seq=4),
    peer=Membership(2, delivered_seq=6, read_seq=3),
    room=None,
    last_event=None,
)
NUMBERS = st.integers(1, 12)
STAYS = st.builds(
    Membership,
    user_id=st.just(1),
    joined_seq=NUMBERS,
    left_seq=st.none() | st.integers(1, 13),
    read_seq=st.integers(0, 12),
)
POLICIES = st.sampled_from([HISTORY_POLICY_SINCE_JOIN, HISTORY_POLICY_EVERYTHING])


@given(STAYS, POLICIES, st.integers(0, 12))
def test_unread_is_what_may_be_read_above_the_mark(stay: Membership, policy: int, seq: int) -> None:
    view = replace(PRIVATE, seq=seq, membership=stay, peer=None, room=replace(ROOM, history=policy))
    unread = [n for n in range(1, seq + 1) if may_read(stay, view.room, n) and n > stay.read_seq]
    assert unread_of(view) == len(unread)


def test_a_message_is_as_far_as_all_rungs_below_it() -> None:
    assert [rung_of(PRIVATE, seq) for seq in (3, 4, 6, 7, 8)] == [
        READ,
        DELIVERED,
        DELIVERED,
        DURABLE,
        ACCEPTED,
    ]
    stored = replace(PRIVATE, durable_seq=2)
    assert [rung_of(stored, seq) for seq in (2, 3, 6)] == [READ, ACCEPTED, ACCEPTED]
    alone = replace(PRIVATE, peer=None)
    assert [rung_of(alone, seq) for seq in (1, 7, 8)] == [DURABLE, DURABLE, ACCEPTED]


def test_who_reads_has_received() -> None:
    eager = replace(PRIVATE, peer=Membership(2, delivered_seq=2, read_seq=5))
    assert head_of(eager).peer_delivered_seq == 5
    assert rung_of(eager, 5) == READ


def test_who_never_came_has_nothing_to_read() -> None:
    view = replace(PRIVATE, membership=None, room=ROOM)
    assert (first_of(view), unread_of(view)) == (0, 0)


def test_only_who_is_there_has_a_role() -> None:
    present = Membership(1, ROLE_ADMIN, 3)
    seen = [room_message(7, ROOM, who).role for who in (present, replace(present, left_seq=5), None)]
    assert seen == [ROLE_ADMIN, ROLE_UNSPECIFIED, ROLE_UNSPECIFIED]
    assert room_message(7, ROOM, present).conversation_id == "room.7"
