"""The judge finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.history import Change, History, Page, Record, Send, View
from tests.faults.judge import violations

ALICE, BOB, CAROL = 1, 2, 3
PRIVATE = [Record(100 + n, "dm.1.2", 1, n, ALICE, f"c{n}") for n in range(1, 6)]
ROOM = [
    Record(201, "room.9", 1, 1, ALICE, "", Change(joined=frozenset({ALICE, BOB}))),
    Record(202, "room.9", 1, 2, ALICE, "r1"),
    Record(203, "room.9", 1, 3, ALICE, "", Change(joined=frozenset({CAROL}))),
    Record(204, "room.9", 1, 4, BOB, "r1"),
    Record(205, "room.9", 1, 5, ALICE, "", Change(left=frozenset({CAROL}))),
    Record(206, "room.9", 1, 6, ALICE, "r2"),
]


def faultless() -> History:
    """A run in which everything went well."""
    records = PRIVATE + ROOM
    sends = [
        Send(r.conversation_id, r.sender_id, r.client_message_id, r) for r in records if r.client_message_id
    ]
    views = {
        "alice": View(ALICE, {"dm.1.2": list(PRIVATE), "room.9": list(ROOM)}),
        "bob": View(BOB, {"dm.1.2": list(PRIVATE), "room.9": list(ROOM)}, progress={"dm.1.2": 5}),
        "carol": View(CAROL, {"room.9": ROOM[2:5]}),
    }
    views["bob"].pages += [Page("dm.1.2", tuple(PRIVATE[:3]), (1, 3)), Page("dm.1.2", (), (1, 5))]
    return History(sends, views, list(records))


def test_a_faultless_run_breaks_nothing() -> None:
    assert violations(faultless()) == []


def test_an_unanswered_send_may_be_there_or_not() -> None:
    history = faultless()
    history.sends[4].record = None
    history.sends.append(Send("dm.1.2", BOB, "never arrived"))
    assert violations(history) == []


Spoil = Callable[[History], None]
Edit = Callable[[list[Record]], list[Record]]


def _view(device: str, conversation: str, change: Edit) -> Spoil:
    def apply(history: History) -> None:
        view = history.views[device]
        view.records[conversation] = change(list(view.records.get(conversation, ())))

    return apply


def _final(change: Edit) -> Spoil:
    def apply(history: History) -> None:
        history.final = change(history.final)

    return apply


def _refuse(history: History) -> None:
    history.sends[0].record, history.sends[0].refused = None, "NOT_A_MEMBER"


def _swap_sends(history: History) -> None:
    history.sends[0], history.sends[1] = history.sends[1], history.sends[0]


def _head_goes_back(history: History) -> None:
    history.views["bob"].pages.append(Page("dm.1.2", (), (1, 4)))


def _gap_in_a_page(history: History) -> None:
    history.views["bob"].pages.append(Page("dm.1.2", (PRIVATE[0], PRIVATE[2]), (1, 5)))


def _twice_without_an_answer(history: History) -> None:
    history.sends[0].record = None
    history.final.append(replace(PRIVATE[0], message_id=999, seq=6))


def _too_much_progress(history: History) -> None:
    history.views["bob"].progress["dm.1.2"] = 6


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_view("bob", "dm.1.2", lambda r: r[:-1]), "is not in the view of bob"),
        (_view("bob", "dm.1.2", lambda r: [*r, r[-1]]), "times in the view of bob"),
        (_view("bob", "dm.1.2", lambda r: [r[1], r[0], *r[2:]]), "comes after"),
        (
            _view("bob", "dm.1.2", lambda r: [*r[:-1], replace(r[-1], message_id=9)]),
            "and not there in the end",
        ),
        (_view("carol", "room.9", lambda r: [ROOM[1], *r]), "was no member then"),
        (_view("carol", "room.9", lambda r: [*r, ROOM[5]]), "was no member then"),
        (_view("carol", "room.9", lambda r: r[:-1]), "is not in the view of carol"),
        (_view("bob", "room.9", lambda r: [r[0], *r[2:]]), "is not in the view of bob"),
        (_final(lambda r: [r[0], *r[2:]]), "was accepted and is not in the end"),
        (_final(lambda r: [r[0], *r[2:]]), "has a gap"),
        (_final(lambda r: r[1:]), "does not begin with 1"),
        (_final(lambda r: [*r, replace(r[-1], message_id=999)]), "times in the last read"),
        (
            lambda history: setattr(history, "stored", history.final[1:]),
            "was read and is not in the database",
        ),
        (
            lambda history: setattr(history, "stored", [*ROOM, *PRIVATE, replace(ROOM[0], seq=99)]),
            "cannot be read",
        ),
        (_refuse, "was refused and is there"),
        (_swap_sends, "numbered before an earlier message"),
        (_head_goes_back, "went back from one read to the next"),
        (_gap_in_a_page, "has a gap or is out of order after 1 in a page of the view of bob"),
        (_twice_without_an_answer, "was not answered and is 2 times"),
        (_too_much_progress, "goes beyond its last number"),
        (lambda history: history.complaints.append("a client met nonsense"), "nonsense"),
    ],
)
def test_a_broken_run_is_found(spoil: Spoil, sentence: str) -> None:
    history = faultless()
    spoil(history)
    found = violations(history)
    assert any(sentence in line for line in found), found


def test_a_stay_that_ended_before_the_last_one_may_miss_its_end_but_has_no_hole() -> None:
    again = [
        Record(207, "room.9", 1, 7, CAROL, "", Change(joined=frozenset({CAROL}))),
        Record(208, "room.9", 1, 8, ALICE, "r3"),
    ]
    history = faultless()
    history.final += again
    history.sends.append(Send("room.9", ALICE, "r3", again[1]))
    for device in ("alice", "bob"):
        history.views[device].records["room.9"] += again
    history.views["carol"].records["room.9"] = [ROOM[2], *again]
    assert violations(history) == []
    history.views["carol"].records["room.9"] = [ROOM[3], *again]
    assert violations(history) == ["an earlier stay in room.9 has a hole in the view of carol"]
