"""Feeds: whatever frames do on their way, events come each once, in order, without a hole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from im.logic.v1.message_pb2 import Head, Message, Tombstone

from impl.client.feed import ANY_EPOCH, HELD, Feed, Position, Seen, position_of

CONVERSATION = "dm.1.2"


def event(seq: int, epoch: int = 1, key: str = "", *, tombstone: bool = False) -> Message:
    return Message(
        id=epoch * 100_000 + seq,
        conversation_id=CONVERSATION,
        epoch=epoch,
        seq=seq,
        sender_id=1,
        client_message_id=key or f"{epoch}-{seq}",
        tombstone=Tombstone(duplicate_of=1) if tombstone else None,
    )


def head(seq: int, epoch: int = 1, first_seq: int = 1) -> Head:
    return Head(conversation_id=CONVERSATION, epoch=epoch, seq=seq, first_seq=first_seq)


def feed(seq: int = 0, epoch: int = 1) -> Feed:
    return Feed(Position(epoch, seq), Seen())


def seqs(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages]


class Conversation(RuleBasedStateMachine):
    """A service that numbers events and loses some with an epoch, and a network that does anything."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = feed()
        self.history: list[Message] = []
        self.lost: list[Message] = []
        self.flying: list[Message] = []
        self.pages: list[tuple[list[Message], Head, bool]] = []
        self.shown: list[Message] = []
        self.epoch, self.next_seq = 1, 1

    def at_end(self) -> Head:
        return head(self.history[-1].seq if self.history else 0, self.epoch)

    @rule(kind=st.sampled_from(["new", "new", "new", "again", "tombstone"]), data=st.data())
    def accept(self, kind: str, data: st.DataObject) -> None:
        held = [each.client_message_id for each in self.history if not each.HasField("tombstone")]
        # What repeats a stored message is a tombstone once it is stored itself, and never before.
        known = held if kind == "tombstone" else [*held, *(each.client_message_id for each in self.lost)]
        key = data.draw(st.sampled_from(known)) if kind != "new" and known else ""
        self.history.append(
            event(self.next_seq, self.epoch, key, tombstone=kind == "tombstone" and bool(known))
        )
        self.flying.append(event(self.next_seq, self.epoch, key))
        self.next_seq += 1

    @rule(tail=st.integers(0, 3), jump=st.integers(1, 5))
    def lose_the_stream(self, tail: int, jump: int) -> None:
        kept = len(self.history) - min(tail, len(self.history))
        self.lost += self.history[kept:]
        del self.history[kept:]
        self.epoch += 1
        self.next_seq += jump

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), repeat=st.booleans())
    def arrive(self, data: st.DataObject, repeat: bool) -> None:
        message = data.draw(st.sampled_from(self.flying))
        if not repeat:
            self.flying.remove(message)
        self.shown += self.feed.receive(message)

    @precondition(lambda self: self.flying)
    @rule()
    def arrive_in_order(self) -> None:
        self.shown += self.feed.receive(self.flying.pop(0))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.flying.remove(data.draw(st.sampled_from(self.flying)))

    @rule()
    def hear_of_the_end(self) -> None:
        self.feed.reached(position_of(self.at_end()))

    @rule(size=st.integers(1, 4))
    def read_history(self, size: int) -> None:
        after = self.feed.position.seq if self.feed.position else 0
        rest = [each for each in self.history if each.seq > after]
        self.pages.append((rest[:size], self.at_end(), len(rest) > size))

    @precondition(lambda self: self.pages)
    @rule(data=st.data())
    def page_arrives(self, data: st.DataObject) -> None:
        page = data.draw(st.sampled_from(self.pages))
        self.pages.remove(page)
        self.shown += self.feed.fill(page[0], page[1], more=page[2])

    @invariant()
    def shown_once_in_order_and_without_a_hole(self) -> None:
        assert all(a.seq < b.seq for a, b in pairwise(self.shown))
        keys = [message.client_message_id for message in self.shown]
        assert len(keys) == len(set(keys))
        upto = self.feed.position.seq if self.feed.position else 0
        passed = {m.client_message_id for m in self.history if m.seq <= upto and not m.HasField("tombstone")}
        assert passed <= set(keys)
        assert not any(message.HasField("tombstone") for message in self.shown)

    def teardown(self) -> None:
        self.hear_of_the_end()
        for _ in range(len(self.history) + 2):
            if self.feed.behind:
                self.read_history(2)
                page = self.pages.pop()
                self.shown += self.feed.fill(page[0], page[1], more=page[2])
        assert not self.feed.behind
        self.shown_once_in_order_and_without_a_hole()
        assert self.feed.position is not None
        assert self.feed.position.seq >= self.at_end().seq


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_events_in_order_are_given_as_they_come() -> None:
    new = feed(4)
    assert seqs(new.receive(event(5))) == [5]
    assert seqs(new.receive(event(6))) == [6]
    assert not new.behind


def test_what_overtakes_waits_for_what_was_overtaken() -> None:
    new = feed()
    assert new.receive(event(2)) == []
    assert new.behind
    assert seqs(new.receive(event(1))) == [1, 2]
    assert not new.behind


def test_a_new_epoch_is_read_from_history_even_if_its_number_comes_next() -> None:
    new = feed(3)
    assert new.receive(event(4, epoch=2)) == []
    assert new.behind
    assert seqs(new.fill([event(4, epoch=2)], head(4, 2), more=False)) == [4]
    assert new.position == Position(2, 4)


def test_history_may_begin_later_for_who_came_back() -> None:
    new = feed(3)
    new.reached(Position(1, 9))
    page = [event(8), event(9)]
    assert seqs(new.fill(page, head(9, first_seq=8), more=False)) == [8, 9]


def test_a_page_that_does_not_follow_is_not_believed() -> None:
    new = feed(3)
    new.reached(Position(1, 9))
    assert new.fill([event(8), event(9)], head(9), more=False) == []
    assert new.behind


def test_who_may_read_no_more_is_not_behind() -> None:
    new = feed(3)
    new.reached(Position(1, 9))
    assert new.fill([event(4)], head(9), more=False)
    assert not new.behind
    new.reached(Position(1, 10))
    new.give_up()
    assert (new.behind, new.position) == (False, Position(1, 4))


def test_an_event_newer_than_a_page_keeps_the_feed_behind() -> None:
    new = feed(3)
    new.receive(event(7))
    assert seqs(new.fill([event(4), event(5)], head(5), more=False)) == [4, 5]
    assert new.behind
    assert seqs(new.fill([event(6)], head(7), more=True)) == [6, 7]
    assert not new.behind


def test_what_is_held_is_bounded_and_the_rest_comes_from_history() -> None:
    new = feed()
    for seq in range(2, 3 * HELD):
        new.receive(event(seq))
    assert len(new._held) == HELD
    assert len(new.receive(event(1))) == HELD
    assert new.behind


def test_nothing_is_given_before_it_is_known_where_to_begin() -> None:
    new = Feed(None, Seen())
    assert new.receive(event(7)) == []
    assert new.behind
    assert seqs(new.begin(Position(ANY_EPOCH, 6))) == [7]
    assert new.begin(Position(1, 0)) == []
    assert new.position == Position(1, 7)


@pytest.mark.parametrize("late", [event(5, key="a"), event(5, key="a", tombstone=True)])
def test_a_late_repetition_takes_its_place_and_is_not_given(late: Message) -> None:
    new = feed(3)
    assert seqs(new.receive(event(4, key="a"))) == [4]
    assert new.receive(late) == []
    assert seqs(new.receive(event(6))) == [6]


def test_memory_of_what_was_seen_is_bounded() -> None:
    seen = Seen(most=2)
    first = [seen.first(event(n)) for n in (1, 2, 3)]
    assert (first, seen.first(event(1)), seen.first(event(3))) == ([True] * 3, True, False)
