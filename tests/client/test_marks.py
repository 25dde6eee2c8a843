"""How far members have come, by what the service says and by what they do."""

from __future__ import annotations

import pytest
from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.room_pb2 import RoomEvent
from im.logic.v1.rung_pb2 import ACCEPTED, DELIVERED, DURABLE, READ, Progress, Rung

from impl.client.addresses import peer_of, private_conversation, request_to, room_conversation, room_of
from impl.client.marks import Marks, Moved

ME, PEER = 1, 2


def private() -> Marks:
    return Marks(ME, PEER)


def progress(rung: Rung.ValueType, seq: int, user: int) -> Progress:
    return Progress(seq=seq, state=rung, user_id=user)


def test_unread_counts_from_the_read_mark_or_from_the_beginning_of_the_view() -> None:
    marks = private()
    marks.note_head(Head(seq=10, first_seq=4, read_seq=0))
    assert marks.unread_count == 7
    marks.note_read(9)
    assert marks.unread_count == 1
    marks.note_read(12)
    assert marks.unread_count == 0


def test_who_sends_has_read_what_was_before() -> None:
    marks = private()
    assert marks.note_message(Message(seq=3, sender_id=PEER)).rungs == ((DELIVERED, 3), (READ, 3))
    assert marks.note_message(Message(seq=4, sender_id=ME)).read
    assert (marks.unread_count, marks.rung(3), marks.rung(4)) == (0, READ, ACCEPTED)


def test_who_changes_a_room_has_not_read_what_was_before() -> None:
    marks = Marks(ME, None)
    assert not marks.note_message(Message(seq=3, sender_id=ME, room=RoomEvent())).read
    assert marks.unread_count == 3


def test_rungs_of_own_messages_follow_the_marks_of_the_other() -> None:
    marks = private()
    marks.note_message(Message(seq=5, sender_id=ME))
    assert marks.note_progress(progress(DURABLE, 5, 0)) == Moved(read=False, rungs=((DURABLE, 5),))
    assert marks.note_progress(progress(DELIVERED, 4, PEER)) == Moved(read=False, rungs=((DELIVERED, 4),))
    assert [marks.rung(seq) for seq in (4, 5, 6)] == [DELIVERED, DURABLE, ACCEPTED]
    assert marks.note_progress(progress(READ, 5, PEER)).rungs == ((DELIVERED, 5), (READ, 5))
    assert marks.rung(5) == READ


def test_marks_never_go_back() -> None:
    marks = private()
    marks.note_head(Head(seq=9, read_seq=9, durable_seq=9, peer_delivered_seq=9, peer_read_seq=9))
    assert marks.note_head(Head(seq=3, read_seq=3, durable_seq=3, peer_read_seq=3)) == Moved(False, ())
    assert marks.note_progress(progress(READ, 2, ME)) == Moved(False, ())
    assert (marks.last_seq, marks.read_seq, marks.rung(9)) == (9, 9, READ)


def test_own_reading_elsewhere_moves_the_own_mark_alone() -> None:
    marks = private()
    marks.note_head(Head(seq=9, first_seq=1))
    assert marks.note_progress(progress(READ, 7, ME)) == Moved(read=True, rungs=())
    assert (marks.unread_count, marks.peer_read_seq) == (2, 0)


@pytest.mark.parametrize("marks", [Marks(ME, None), Marks(ME, ME)])
def test_rooms_and_talk_with_oneself_know_no_delivery(marks: Marks) -> None:
    marks.note_message(Message(seq=5, sender_id=ME))
    assert marks.note_progress(progress(READ, 5, PEER)).rungs == ()
    marks.note_progress(progress(DURABLE, 5, 0))
    assert marks.rung(5) == DURABLE


def test_ids_of_conversations() -> None:
    assert private_conversation(9, 7) == private_conversation(7, 9) == "dm.7.9"
    assert (peer_of("dm.7.9", 7), peer_of("dm.7.9", 9), peer_of("dm.7.7", 7)) == (9, 7, 7)
    assert (room_of(room_conversation(5)), room_of("dm.7.9"), peer_of("room.5", 7)) == (5, None, None)
    assert request_to("dm.7.9", 7).to_user_id == 9
    assert request_to("room.5", 7).room_id == 5
    for wrong in ("", "dm.7", "dm.0.7", "room.", "room.05", "room.5\n", "x"):
        with pytest.raises(ValueError, match="is not the id of a conversation"):
            request_to(wrong, 7)
