from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from im.logic.v1.room_pb2 import ROLE_ADMIN, ROLE_MEMBER, ROLE_OWNER

from impl.storage.entries import entry_of, membership_of, room_fields, room_of_fields
from impl.storage.membership import Membership, RoomState

numbers = st.integers(0, (1 << 53) - 1)
memberships = st.builds(
    Membership,
    user_id=st.just(7),
    role=st.sampled_from([ROLE_MEMBER, ROLE_ADMIN, ROLE_OWNER]),
    joined_seq=numbers,
    left_seq=st.none() | st.integers(2, (1 << 53) - 1),
    delivered_seq=numbers,
    read_seq=numbers,
)
rooms = st.builds(RoomState, st.text(), st.text(), numbers, numbers, numbers, numbers)


@given(memberships)
def test_a_member_is_read_as_it_was_written(membership: Membership) -> None:
    assert membership_of(7, entry_of(membership).encode()) == membership


@given(rooms)
def test_a_room_is_read_as_it_was_written(room: RoomState) -> None:
    fields = {name.encode(): value.encode() for name, value in room_fields(room).items()}
    assert room_of_fields(fields) == room


def test_an_entry_of_two_fields_is_a_present_member_without_marks() -> None:
    assert membership_of(7, b"member 0") == Membership(7)


def test_what_a_later_version_knows_is_read_as_far_as_it_is_known() -> None:
    assert membership_of(7, b"moderator 3 0 2 1 9") == Membership(7, ROLE_MEMBER, 3, None, 2, 1)


def test_no_fields_are_no_room() -> None:
    assert room_of_fields({}) is None
