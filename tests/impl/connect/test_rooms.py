from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from im.logic.v1.message_pb2 import Message
from im.logic.v1.room_pb2 import MemberJoined, MemberLeft, RoomCreated, RoomEvent, RoomSettings

from impl.connect.rooms import Reading, RoomIndex, arrivals, departures

ROOM = "room.1"


@pytest.fixture
def index() -> RoomIndex:
    made = RoomIndex()
    made.online(1)
    return made


def test_who_is_not_online_is_not_remembered(index: RoomIndex) -> None:
    index.came(2, ROOM, 5)
    assert index.members(ROOM) == []
    assert not index.rooms


def test_a_member_receives_from_their_own_join_on(index: RoomIndex) -> None:
    index.came(1, ROOM, 5)
    assert index.audience(ROOM, 4) == []
    assert index.audience(ROOM, 5) == [1]
    assert list(index.rooms) == [ROOM]


def test_who_left_is_no_member_and_the_room_is_empty(index: RoomIndex) -> None:
    index.came(1, ROOM, 5)
    index.went(1, ROOM, 6)
    assert index.members(ROOM) == []
    assert not index.rooms
    assert index.knows(1, ROOM)


def test_an_old_event_does_not_undo_a_newer_one(index: RoomIndex) -> None:
    index.came(1, ROOM, 7)
    index.went(1, ROOM, 6)
    assert index.members(ROOM) == [1]
    index.went(1, ROOM, 8)
    index.came(1, ROOM, 7)
    assert index.members(ROOM) == []


def test_a_list_tells_of_all_rooms(index: RoomIndex) -> None:
    index.came(1, "room.2", 3)
    with index.reading(1) as reading:
        index.settle(reading, {ROOM: 5})
    assert list(index.rooms) == [ROOM]
    assert index.audience(ROOM, 5) == [1]


def test_a_list_says_nothing_of_what_happened_while_it_was_read(index: RoomIndex) -> None:
    index.came(1, "room.2", 3)
    with index.reading(1) as reading:
        index.came(1, "room.3", 9)
        index.went(1, "room.2", 4)
        index.settle(reading, {"room.2": 3})
    assert list(index.rooms) == ["room.3"]


def test_a_list_from_before_the_user_went_offline_is_worth_nothing(index: RoomIndex) -> None:
    with index.reading(1) as reading:
        index.offline(1)
        index.online(1)
        index.settle(reading, {ROOM: 5})
    assert not index.rooms


def test_who_is_offline_is_forgotten(index: RoomIndex) -> None:
    index.came(1, ROOM, 5)
    index.offline(1)
    index.online(1)
    assert not index.rooms
    assert not index.knows(1, ROOM)


@pytest.mark.parametrize(
    ("change", "came", "went"),
    [
        (RoomEvent(created=RoomCreated(settings=RoomSettings(name="n"), member_ids=[2, 3])), [1, 2, 3], []),
        (RoomEvent(joined=MemberJoined(user_id=4)), [4], []),
        (RoomEvent(left=MemberLeft(user_id=4)), [], [4]),
        (RoomEvent(changed=RoomSettings(name="n")), [], []),
        (None, [], []),
    ],
)
def test_events_say_who_comes_and_goes(change: RoomEvent | None, came: list[int], went: list[int]) -> None:
    message = Message(sender_id=1, room=change)
    assert arrivals(message) == came
    assert departures(message) == went


class Rooms(RuleBasedStateMachine):
    """One user, online all the time, and two rooms. Events arrive in any order and often, lists late."""

    readings = Bundle("readings")

    def __init__(self) -> None:
        super().__init__()
        self.index = RoomIndex()
        self.seq = dict.fromkeys(("room.1", "room.2"), 1)
        self.truth: dict[str, int] = {}
        """Room to the number of the join, as it is."""
        self.events: list[tuple[str, str, int]] = []
        self.arrived: set[tuple[str, str, int]] = set()

    @initialize()
    def begin(self) -> None:
        self.index.online(1)

    @rule(room=st.sampled_from(("room.1", "room.2")), others=st.integers(0, 3))
    def change(self, room: str, others: int) -> None:
        """The user joins or leaves; `others` events lie before it."""
        self.seq[room] += 1 + others
        if room in self.truth:
            del self.truth[room]
            self.events.append(("went", room, self.seq[room]))
        else:
            self.truth[room] = self.seq[room]
            self.events.append(("came", room, self.seq[room]))

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.arrive(data.draw(st.sampled_from(self.events)))

    @rule(target=readings)
    def ask(self) -> list[object]:
        """A list is asked for; logic has not read it yet."""
        asked = self.index.reading(1)
        return [asked, asked.__enter__(), None]

    @rule(reading=readings)
    def read(self, reading: list[object]) -> None:
        """Logic reads the truth."""
        if reading[2] is None:
            reading[2] = dict(self.truth)

    @rule(reading=readings)
    def settle(self, reading: list[object]) -> None:
        """The answer arrives."""
        asked, token, joined = reading
        if asked is not None and isinstance(joined, dict) and isinstance(token, Reading):
            self.index.settle(token, joined)
            asked.__exit__(None, None, None)  # type: ignore[attr-defined]
            reading[0] = None

    def arrive(self, event: tuple[str, str, int]) -> None:
        kind, room, seq = event
        getattr(self.index, kind)(1, room, seq)
        self.arrived.add(event)

    @invariant()
    def nothing_older_undoes_what_has_arrived(self) -> None:
        for room in self.seq:
            kind, _, seq = max(
                (event for event in self.arrived if event[1] == room),
                key=lambda event: event[2],
                default=("", room, 0),
            )
            if kind == "went":
                assert not self.index.audience(room, seq)
            if kind == "came" and self.truth.get(room) == seq:
                assert self.index.audience(room, seq) == [1]

    @invariant()
    def rooms_are_those_with_members(self) -> None:
        assert all(self.index.members(room) == [1] for room in self.index.rooms)

    def teardown(self) -> None:
        """In the end everything has arrived, in whatever order: the index is true."""
        for event in sorted(set(self.events) - self.arrived, key=lambda event: -event[2]):
            self.arrive(event)
        assert set(self.index.rooms) == set(self.truth)
        for room, joined in self.truth.items():
            assert self.index.audience(room, joined) == [1]
            assert self.index.audience(room, joined - 1) == []


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
