from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from im.logic.v1.room_pb2 import ROLE_ADMIN, MemberRoleChanged, RoomEvent
from im.logic.v1.rung_pb2 import DELIVERED, DURABLE, READ, Progress
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.envelope import message_of
from impl.task.audience import durable, notices, recency, turnover
from tests.impl.task.events import ROOM, changed, created, event, joined, left, marked, said

PRIVATE = "dm.1.2"


def progress(*told: ConversationEvent) -> list[tuple[Progress, tuple[int, ...]]]:
    return [(notice.item.progress, notice.users) for one in told for notice in notices(one)]


def test_both_users_of_a_private_conversation_hear_a_message() -> None:
    (notice,) = notices(event(1, sender=7, to=3, origin="s"))
    assert (notice.users, notice.room, notice.item.to_room) == ((3, 7), "", False)
    assert notice.item.message == message_of(event(1, sender=7, to=3))
    assert notice.item.origin_session == "s"
    assert notices(event(1, sender=7, to=7))[0].users == (7,)


def test_a_message_in_a_room_is_told_to_the_room_and_to_nobody_by_name() -> None:
    (notice,) = notices(said(1, origin="s"))
    assert (notice.users, notice.room, notice.item.to_room) == ((), ROOM, True)
    assert notice.item.origin_session == "s"


def test_who_came_or_went_is_addressed_besides_the_room() -> None:
    told = [created(1, 5, 6, 7, 5), joined(2, 8, by=5), left(3, 6, by=5)]
    assert [notice.users for one in told for notice in notices(one)] == [(5, 6, 7), (8,), (6,)]
    assert {notice.room for one in told for notice in notices(one)} == {ROOM}
    assert notices(joined(2, 8))[0].item.message.room.joined.user_id == 8


def test_other_changes_are_told_to_the_room() -> None:
    promoted = changed(1, RoomEvent(role=MemberRoleChanged(user_id=3, role=ROLE_ADMIN)))
    (notice,) = notices(promoted)
    assert (notice.users, notice.room) == ((), ROOM)
    newer = changed(1, RoomEvent())
    assert [notice.room for notice in notices(newer)] == [ROOM]


def test_nobody_hears_of_an_event_of_an_unknown_kind_or_place() -> None:
    assert notices(ConversationEvent(conversation_id="dm.1.2")) == ()
    assert notices(event(1, conversation="somewhere")) == ()


def test_what_was_received_is_told_to_the_other_user() -> None:
    told = Progress(conversation_id=PRIVATE, seq=4, state=DELIVERED, user_id=2)
    assert progress(marked(2, PRIVATE, delivered=4)) == [(told, (1,))]


def test_what_was_read_is_told_to_the_other_user_and_to_the_readers_own_devices() -> None:
    told = Progress(conversation_id=PRIVATE, seq=4, state=READ, user_id=2)
    assert progress(marked(2, PRIVATE, read=4)) == [(told, (1, 2))]
    assert progress(marked(2, PRIVATE, read=4, delivered=4)) == [(told, (1, 2))]


def test_what_was_received_beyond_what_was_read_is_told_besides() -> None:
    states = [(told.state, told.seq) for told, _ in progress(marked(2, PRIVATE, read=4, delivered=6))]
    assert states == [(DELIVERED, 6), (READ, 4)]


def test_in_a_room_only_the_readers_own_devices_hear_of_it() -> None:
    assert progress(marked(2, ROOM, read=4)) == [
        (Progress(conversation_id=ROOM, seq=4, state=READ, user_id=2), (2,))
    ]
    assert progress(marked(2, ROOM, delivered=4)) == []


def test_a_note_to_oneself_has_been_read_on_all_devices_and_delivered_to_nobody_else() -> None:
    assert [users for _, users in progress(marked(3, "dm.3.3", read=2, delivered=5))] == [(3,)]


def test_senders_hear_that_the_database_has_it() -> None:
    notice = durable(5, ROOM, 9)
    assert notice.item.progress == Progress(conversation_id=ROOM, seq=9, state=DURABLE)
    assert (notice.users, notice.room) == ((5,), "")


def test_recency_keeps_the_latest_event_of_each_conversation_of_each_user() -> None:
    events = [event(5), event(9, seq=2), event(7, to=3), event(8, seq=1), marked(2, PRIVATE, read=1)]
    assert sorted(recency(events, {})) == [
        (1, "dm.1.2", 9),
        (1, "dm.1.3", 7),
        (2, "dm.1.2", 9),
        (3, "dm.1.3", 7),
    ]


def test_events_of_rooms_move_the_lists_of_the_members_that_are_known() -> None:
    events = [said(4), joined(6, 3), said(5, room="room.78")]
    assert recency(events, {ROOM: (1, 3)}) == [(1, ROOM, 6), (3, ROOM, 6)]


changes = st.lists(
    st.tuples(st.sampled_from([created, joined, left]), st.integers(1, 4), st.sampled_from([ROOM, "room.78"]))
)


@given(changes)
def test_what_a_user_did_last_in_a_room_counts(made: list[tuple[object, int, str]]) -> None:
    events = [make(number, user, room=room) for number, (make, user, room) in enumerate(made, 1)]  # type: ignore[operator]
    last = {(user, room): make is not left for make, user, room in made}
    came, went = turnover([*events, event(99), said(98)])
    assert dict.fromkeys(came, True) | dict.fromkeys(went, False) == last
    assert len(came) + len(went) == len(last)
