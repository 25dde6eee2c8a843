"""Outboxes: an entry stays until it is durable, whatever becomes of epochs."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from impl.client import outbox as module
from impl.client.feed import Position
from impl.client.outbox import Entry, Outbox

ME, NOW = 1, 1_000_000.0
PAIR, ROOM = "dm.1.2", "room.9"


def added(outbox: Outbox, text: str, conversation: str = PAIR) -> Entry:
    entry = outbox.add(conversation, text, NOW)
    assert entry is not None
    return entry


def test_entries_go_in_the_order_in_which_they_were_written_conversation_by_conversation() -> None:
    outbox = Outbox(ME)
    first, _, other = added(outbox, "a"), added(outbox, "b"), added(outbox, "c", ROOM)
    assert outbox.next(PAIR) == first
    assert outbox.next(ROOM) == other
    outbox.accepted(first.client_message_id, Position(1, 1))
    following = outbox.next(PAIR)
    assert following is not None
    assert following.text == "b"
    assert outbox.waiting == {PAIR, ROOM}


def test_an_accepted_entry_stays_until_the_database_has_it() -> None:
    outbox = Outbox(ME)
    entry = added(outbox, "a")
    outbox.accepted(entry.client_message_id, Position(1, 7))
    assert outbox.next(PAIR) is None
    assert outbox.durable(PAIR, Position(1, 6)) == []
    assert outbox.durable(ROOM, Position(1, 9)) == []
    assert outbox.durable(PAIR, Position(2, 9)) == []
    assert [gone.seq for gone in outbox.durable(PAIR, Position(1, 7))] == [7]
    assert outbox.of() == []


def test_a_new_epoch_sends_again_what_was_not_durable_and_says_so() -> None:
    outbox = Outbox(ME)
    lost, waiting = added(outbox, "lost"), added(outbox, "waiting")
    outbox.accepted(lost.client_message_id, Position(1, 7))
    assert outbox.begun(PAIR, 1) == []
    [again] = outbox.begun(PAIR, 2)
    assert outbox.next(PAIR) == again
    assert outbox.request(again, NOW).resend
    assert outbox.request(again, NOW).client_message_id == lost.client_message_id
    assert not outbox.request(waiting, NOW).resend
    outbox.accepted(again.client_message_id, Position(2, 9))
    assert outbox.begun(PAIR, 2) == []


def test_a_late_send_says_so() -> None:
    outbox = Outbox(ME)
    entry = added(outbox, "a")
    assert not outbox.request(entry, NOW + 1799).resend
    assert outbox.request(entry, NOW + 1801).resend


def test_requests_go_to_the_other_user_or_to_the_room() -> None:
    outbox = Outbox(ME)
    assert outbox.request(added(outbox, "a"), NOW).to_user_id == 2
    assert outbox.request(added(outbox, "a", ROOM), NOW).room_id == 9
    with pytest.raises(ValueError, match="'nobody' is not the id"):
        outbox.add("nobody", "a", NOW)


def test_the_outbox_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    outbox = Outbox(ME)
    added(outbox, "a")
    assert outbox.add(PAIR, "b", NOW) is None


class Life(RuleBasedStateMachine):
    """A service that accepts, stores and loses, with answers that may not arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(ME)
        self.written: list[str] = []
        self.epoch, self.seq, self.stored = 1, 0, 0
        self.accepted: dict[str, Position] = {}
        self.database: dict[str, Position] = {}

    @rule()
    def write(self) -> None:
        self.written.append(added(self.outbox, "a").client_message_id)

    @rule(answered=st.booleans())
    def send(self, answered: bool) -> None:
        entry = self.outbox.next(PAIR)
        if entry is None:
            return
        name = entry.client_message_id
        position = self.database.get(name) or self.accepted.get(name)
        if position is None:
            self.seq += 1
            position = self.accepted[name] = Position(self.epoch, self.seq)
        if answered:
            self.outbox.accepted(name, position)

    @rule()
    def store(self) -> None:
        self.database.update(self.accepted)
        self.stored = self.seq

    @rule(jump=st.integers(1, 3))
    def lose(self, jump: int) -> None:
        self.accepted = dict(self.database)
        self.epoch, self.seq = self.epoch + 1, self.seq + jump

    @rule()
    def hear_of_the_head(self) -> None:
        self.outbox.begun(PAIR, self.epoch)
        self.outbox.durable(PAIR, Position(self.epoch, self.stored))

    @precondition(lambda self: self.stored)
    @rule()
    def restart(self) -> None:
        self.outbox = Outbox(ME, self.outbox.of())

    @invariant()
    def what_is_not_in_the_database_is_in_the_outbox(self) -> None:
        here = [entry.client_message_id for entry in self.outbox.of()]
        assert set(self.written) - set(self.database) <= set(here)
        assert here == [name for name in self.written if name in here]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, deadline=None)


def test_what_lies_beyond_a_head_that_was_asked_for_later_is_sent_again() -> None:
    outbox = Outbox(ME)
    for name, seq in (("a", 4), ("b", 5)):
        assert outbox.add(PAIR, name, 0.0, name)
        outbox.accepted(name, Position(1, seq))
    asked = list(outbox.of())
    outbox.add(PAIR, "c", 0.0, "c")
    outbox.accepted("c", Position(1, 6))
    assert [entry.client_message_id for entry in outbox.missed(asked, Position(1, 4))] == ["b"]
    waiting = outbox.next(PAIR)
    assert waiting is not None
    assert (waiting.client_message_id, waiting.again) == ("b", True)
    assert outbox.missed(asked, Position(1, 4)) == []
