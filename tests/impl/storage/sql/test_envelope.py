from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.envelope import (
    created_ms,
    message_of,
    payload_hash,
    private_id,
    private_members,
    room_conversation,
    room_of,
    tombstoned,
)
from tests.impl.storage.sql.events import event

USERS = st.integers(1, (1 << 63) - 1)


@given(USERS, USERS)
def test_a_private_id_names_both_users_whoever_writes_first(a: int, b: int) -> None:
    assert private_id(a, b) == private_id(b, a)
    assert private_members(private_id(a, b)) == tuple(sorted({a, b}))


@given(st.text() | st.from_regex(r"dm\.[0-9]{1,21}\.[0-9]{1,21}\n?"))
def test_only_ids_in_their_one_form_are_private(text: str) -> None:
    members = private_members(text)
    assert members is None or private_id(members[0], members[-1]) == text


def test_ids_that_are_no_private_conversation_have_no_members() -> None:
    for wrong in (
        "",
        "dm",
        "dm.1",
        "dm.2.1",
        "dm.01.2",
        "dm.0.1",
        "dm.1.2 ",
        "dm.1.2\n",
        "room.1.2",
        "dm.٣.٤",
    ):
        assert private_members(wrong) is None


@given(USERS)
def test_the_conversation_of_a_room_names_it(room_id: int) -> None:
    assert room_of(room_conversation(room_id)) == room_id


@given(st.text() | st.from_regex(r"room\.[0-9]{1,21}\n?"))
def test_only_ids_in_their_one_form_are_rooms(text: str) -> None:
    room_id = room_of(text)
    assert room_id is None or room_conversation(room_id) == text


def test_ids_that_are_no_room_are_none() -> None:
    for wrong in (
        "",
        "room",
        "room.0",
        "room.01",
        "room.1 ",
        "room.1\n",
        "dm.1.2",
        f"room.{1 << 63}",
        "room.٣",
    ):
        assert room_of(wrong) is None


def test_a_message_shows_what_was_accepted() -> None:
    message = message_of(event("dm.1.2", 3, number=77, epoch=2, name="abc", text="hi"))
    assert (message.id, message.conversation_id, message.epoch, message.seq) == (77, "dm.1.2", 2, 3)
    assert (message.sender_id, message.client_message_id, message.text) == (1, "abc", "hi")
    assert message.created_at.ToMilliseconds() == 1_800_000_000_123
    assert not message.HasField("tombstone")


def test_a_change_of_a_room_is_shown_whole_and_has_no_text() -> None:
    changed = ConversationEvent(conversation_id="room.7", id=78, epoch=2, seq=4, sender_id=1)
    changed.room.joined.user_id = 9
    message = message_of(changed)
    assert (message.id, message.conversation_id, message.epoch, message.seq) == (78, "room.7", 2, 4)
    assert message.room.joined.user_id == 9
    assert (message.sender_id, message.text, message.client_message_id) == (1, "", "")


def test_a_tombstone_keeps_its_ids_and_names_the_first_without_text() -> None:
    accepted = event("dm.1.2", 3, number=77, name="abc", text="hi")
    message = message_of(ConversationEvent.FromString(tombstoned(accepted.SerializeToString(), 5)))
    assert (message.id, message.seq, message.client_message_id) == (77, 3, "abc")
    assert message.tombstone.duplicate_of == 5
    assert message.text == ""


def test_times_are_whole_milliseconds() -> None:
    assert created_ms(event("dm.1.2", 1, number=1).created_at) == 1_800_000_000_123


@given(st.text(), st.text(), st.text(), st.text())
def test_payloads_are_the_same_exactly_if_all_named_fields_are(a: str, b: str, c: str, d: str) -> None:
    assert (payload_hash(a, b) == payload_hash(c, d)) == ((a, b) == (c, d))
