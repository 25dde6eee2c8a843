from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given as examples
from hypothesis import strategies as st
from im.logic.v1.room_pb2 import ROLE_ADMIN, ROLE_MEMBER, RoomEvent, RoomSettings
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.folding import Members, concerned
from tests.impl.storage.sql.events import (
    created,
    event,
    given,
    handed_to,
    joined,
    left,
    marked,
    room_event,
)

ROOM = "room.7"
USERS = st.integers(1, 3)
CHANGES = st.one_of(
    st.builds(joined, USERS, st.sampled_from([ROLE_MEMBER, ROLE_ADMIN])),
    st.builds(left, USERS),
    st.builds(given, USERS, st.sampled_from([ROLE_MEMBER, ROLE_ADMIN])),
    st.builds(handed_to, USERS),
    st.sampled_from("pq").map(lambda name: RoomEvent(changed=RoomSettings(name=name))),
)
STEPS = st.lists(
    st.one_of(CHANGES, USERS.map(str), st.tuples(USERS, st.integers(0, 20), st.integers(0, 20))),
    max_size=30,
)


def stream(steps: Sequence[RoomEvent | str | tuple[int, int, int]]) -> list[ConversationEvent]:
    """Changes, messages by the user in the text, and marks; numbered as the accept script does."""
    events = [room_event(ROOM, 1, created(2, 3))]
    for step in steps:
        seq = max(one.seq for one in events) + 1
        if isinstance(step, str):
            events.append(event(ROOM, seq, number=seq, sender_id=int(step)))
        elif isinstance(step, tuple):
            events.append(marked(ROOM, step[0], delivered=step[1], read=step[2]))
        else:
            events.append(room_event(ROOM, seq, step, sender_id=1))
    return events


def folded(*batches: Sequence[ConversationEvent]) -> Members:
    members = Members()
    for batch in batches:
        for one in batch:
            members.apply(one)
    return members


@examples(STEPS, st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=8))
def test_whatever_comes_again_the_rows_are_as_if_it_came_once(
    steps: list[RoomEvent | str | tuple[int, int, int]], again: list[tuple[int, int]]
) -> None:
    events = stream(steps)
    once = folded(events)
    more = folded(events, *(events[start : start + length] for start, length in again))
    assert (more.rooms, more.memberships) == (once.rooms, once.memberships)


@examples(STEPS, st.integers(0, 31))
def test_an_owner_who_died_in_mid_batch_is_repeated_by_the_next(
    steps: list[RoomEvent | str | tuple[int, int, int]], reached: int
) -> None:
    events = stream(steps)
    resumed = folded(events[:reached], events)
    assert resumed.memberships == folded(events).memberships


@examples(STEPS)
def test_only_memberships_that_were_read_are_changed(
    steps: list[RoomEvent | str | tuple[int, int, int]],
) -> None:
    events = stream(steps)
    assert folded(events).changed_memberships <= set(concerned(events))


def test_a_change_of_a_room_whose_creation_could_not_be_stored_is_kept() -> None:
    members = folded(
        [room_event(ROOM, 5, RoomEvent(changed=RoomSettings(name="tea"))), room_event(ROOM, 6, left(2))]
    )
    assert members.rooms[ROOM]["name"] == "tea"
    assert members.memberships[2, ROOM]["left_seq"] == 7
