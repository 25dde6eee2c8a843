from __future__ import annotations

import pytest
from im.logic.v1.message_pb2 import Head

from impl.connect import seen as seen_module
from impl.connect.backlog import Place
from impl.connect.seen import NOWHERE, Comparison, Seen, Viewer

BOB: Viewer = ("session-of-bob", "dm.1.2")
ROOM: Viewer = "room.7"


def looks(
    comparison: Comparison, seen: Seen, *heads: Place, viewer: Viewer = BOB
) -> list[dict[Viewer, Place]]:
    return [comparison.look({viewer: head}, seen.of) for head in heads]


def test_a_viewer_is_as_far_as_the_highest_place() -> None:
    seen = Seen()
    assert seen.of(BOB) == NOWHERE
    for place in ((1, 5), (1, 3), (2, 1), (1, 9)):
        seen.note(BOB, place)
        seen.note(ROOM, place)
    assert seen.of(BOB) == (2, 1)
    assert seen.of(ROOM) == (2, 1)


def test_single_viewers_are_forgotten_when_nothing_comes_for_them() -> None:
    seen = Seen()
    seen.note(BOB, (1, 5))
    seen.age()
    assert seen.of(BOB) == (1, 5)
    seen.age()
    assert seen.of(BOB) == NOWHERE


def test_very_many_viewers_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "_MOST", 10)
    seen = Seen()
    for number in range(100):
        seen.note((str(number), "dm.1.2"), (1, 1))
    known = [number for number in range(100) if seen.of((str(number), "dm.1.2")) != NOWHERE]
    assert len(known) <= 20
    assert 99 in known


def test_rooms_are_remembered_until_nobody_is_there() -> None:
    seen = Seen()
    seen.note("room.7", (1, 5))
    seen.note("room.8", (1, 5))
    seen.age()
    seen.age()
    seen.keep({"room.7"})
    assert seen.of("room.7") == (1, 5)
    assert seen.of("room.8") == NOWHERE


def test_who_is_welcome_knows_the_heads_but_other_members_of_the_room_may_not() -> None:
    seen = Seen()
    seen.note("room.7", (1, 5))
    rooms = [Head(conversation_id=f"room.{number}", epoch=1, seq=9) for number in (7, 8)]
    private = [Head(conversation_id=f"dm.1.{number}", epoch=1, seq=9) for number in range(2, 100)]
    seen.welcome("s", [*rooms, *private])
    assert seen.of("room.7") == (1, 5)
    assert seen.of("room.8") == (1, 9)
    assert seen.of(("s", "dm.1.2")) == (1, 9)
    assert seen.of(("s", "dm.1.99")) == NOWHERE


def test_one_look_finds_nothing_because_events_are_on_their_way() -> None:
    seen = Seen()
    comparison = Comparison()
    assert looks(comparison, seen, (1, 1)) == [{}]
    seen.note(BOB, (1, 1))
    assert looks(comparison, seen, (1, 2)) == [{}]
    seen.note(BOB, (1, 2))
    assert looks(comparison, seen, (1, 2)) == [{}]


@pytest.mark.parametrize("viewer", [BOB, ROOM])
def test_a_head_that_does_not_come_by_the_second_look_is_lost(viewer: Viewer) -> None:
    assert looks(Comparison(), Seen(), (1, 4), (1, 4), viewer=viewer) == [{}, {viewer: (1, 4)}]


def test_an_active_conversation_of_which_nothing_comes_is_lost_too() -> None:
    assert looks(Comparison(), Seen(), (1, 4), (1, 9)) == [{}, {BOB: (1, 9)}]


def test_who_only_lags_behind_an_active_conversation_has_lost_nothing() -> None:
    seen = Seen()
    comparison = Comparison()
    for seq in range(1, 20):
        seen.note(BOB, (1, seq))
        assert looks(comparison, seen, (1, seq + 5)) == [{}]


def test_what_was_told_is_not_told_again() -> None:
    seen = Seen()
    comparison = Comparison()
    (_, lost) = looks(comparison, seen, (1, 4), (1, 4))
    seen.note(BOB, lost[BOB])
    assert looks(comparison, seen, (1, 4), (1, 4)) == [{}, {}]


def test_a_new_epoch_is_found_though_its_numbers_are_lower() -> None:
    seen = Seen()
    seen.note(BOB, (1, 500))
    assert looks(Comparison(), seen, (2, 3), (2, 3)) == [{}, {BOB: (2, 3)}]
