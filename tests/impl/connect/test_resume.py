from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence

import pytest
from im.client.v1.frames_pb2 import Cursor, Incomplete, ServerFrame
from im.client.v1.session_service_socket import SESSION
from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.rung_pb2 import DURABLE, Progress
from websockets.typing import Subprotocol

from impl.connect.app import Tuning
from impl.connect.backlog import Lost, Place
from impl.connect.resume import BOUNDS, Bounds, Budget, incomplete, place_of, plan
from impl.settings import Settings
from tests.impl.connect.conftest import BINARY, JSON, Client, Person, Town, running
from tests.impl.connect.neighbours import Gate, gated_logic, running_logic

SELF = "dm.1.2"


def head(epoch: int, seq: int, name: str = SELF) -> Head:
    return Head(conversation_id=name, epoch=epoch, seq=seq)


def cursor(epoch: int, seq: int, name: str = SELF) -> Cursor:
    return Cursor(conversation_id=name, epoch=epoch, seq=seq)


# What is to be done


def test_who_is_at_the_head_misses_nothing() -> None:
    (one,) = plan(1, [cursor(1, 5)], {SELF: head(1, 5)}, BOUNDS)
    assert one.complete


@pytest.mark.parametrize(
    ("at", "of", "behind"),
    [
        ((1, 4), (1, 5), True),
        ((1, 6), (1, 5), False),
        ((1, 5), (2, 1005), True),
        ((2, 5), (1, 5), False),
        ((1, 500), (2, 20), False),
    ],
)
def test_logic_is_asked_if_what_is_missing_lies_above_the_cursor(at: Place, of: Place, behind: bool) -> None:
    (one,) = plan(1, [cursor(*at)], {SELF: head(*of)}, BOUNDS)
    assert not one.complete
    assert one.behind is behind


@pytest.mark.parametrize("name", ["dm.3.4", "dm.2.1", "room.x", "room.0", "elsewhere"])
def test_what_surely_is_not_the_users_is_left_out(name: str) -> None:
    assert plan(1, [cursor(1, 1, name)], {}, BOUNDS) == []


def test_a_room_and_an_old_private_conversation_may_be_theirs_though_they_are_not_listed() -> None:
    cursors = [cursor(1, 1, "dm.1.2"), cursor(1, 1, "room.5")]
    assert [one.behind for one in plan(1, cursors, {}, BOUNDS)] == [True, True]


def test_logic_is_asked_for_a_bounded_number_of_conversations_that_are_not_listed() -> None:
    cursors = [cursor(1, 1, f"room.{number}") for number in range(1, 10)]
    planned = plan(1, cursors, {}, dataclasses.replace(BOUNDS, unlisted=3))
    assert [one.behind for one in planned] == [True] * 3 + [False] * 6


def test_of_two_cursors_for_one_conversation_the_first_counts() -> None:
    (one,) = plan(1, [cursor(1, 1), cursor(1, 3)], {}, BOUNDS)
    assert one.place == (1, 1)


@pytest.mark.parametrize(
    ("at", "of", "lost", "told"),
    [
        pytest.param((1, 3), (1, 9), None, (1, 9, 3), id="after what was sent"),
        pytest.param((1, 3), None, None, (1, 3, 3), id="the head is not known"),
        pytest.param((1, 9), (1, 3), None, (1, 3, 3), id="ahead of the head: what both have counts"),
        pytest.param((1, 900), (2, 20), None, (2, 20, 0), id="an epoch below: from its begin"),
        pytest.param((1, 900), (2, 1900), None, (2, 1900, 900), id="an epoch above"),
        pytest.param((1, 3), (1, 4), Lost((1, 5), (1, 7)), (1, 7, 3), id="live events lost after sending"),
        pytest.param(None, (1, 4), Lost((1, 5), (1, 7)), (1, 7, 4), id="live events lost without a cursor"),
        pytest.param(None, (1, 6), Lost((1, 5), (1, 6)), (1, 6, 4), id="the head counts them already"),
        pytest.param(None, (1, 4), Lost(progress=True), (1, 4, 4), id="progress lost"),
    ],
)
def test_incomplete_says_where_to_go_on(
    at: Place | None, of: Place | None, lost: Lost | None, told: tuple[int, int, int]
) -> None:
    frame = incomplete(SELF, at, head(*of) if of else None, lost)
    assert frame.head.conversation_id == SELF
    assert (frame.head.epoch, frame.head.seq, frame.after_seq) == told


@pytest.mark.parametrize(
    ("at", "of", "first", "expected"),
    [((1, 3), (1, 9), 1, 6), ((0, 0), (1, 9), 1, 9), ((0, 0), (1, 9), 8, 2), ((1, 3), (2, 1009), 1, 0)],
)
def test_as_much_is_reserved_as_the_member_may_read(at: Place, of: Place, first: int, expected: int) -> None:
    last = head(*of)
    last.first_seq = first
    (one,) = plan(1, [cursor(*at)], {SELF: last}, BOUNDS)
    assert one.expected == expected


def test_a_budget_gives_no_more_than_it_has() -> None:
    budget = Budget(Bounds(messages=5, size=100))
    assert [budget.reserve(3), budget.reserve(3), budget.reserve(1)] == [3, 2, 0]
    budget.messages, budget.size = 5, 0
    assert budget.reserve(1) == 0


# How it looks to a client


def place(message: Message) -> Cursor:
    return cursor(message.epoch, message.seq, message.conversation_id)


def start(name: str) -> Cursor:
    return cursor(0, 0, name)


def seqs(frames: Sequence[ServerFrame], name: str = "") -> list[int]:
    messages = [frame.message for frame in frames if frame.HasField("message")]
    return [message.seq for message in messages if not name or message.conversation_id == name]


def left_over(frames: Sequence[ServerFrame]) -> list[Incomplete]:
    return [frame.incomplete for frame in frames if frame.HasField("incomplete")]


async def resumed(client: Client, person: Person, *cursors: Cursor) -> list[ServerFrame]:
    """What is sent between `welcome` and `resumed`."""
    welcome = await client.open(person.token, *cursors)
    assert welcome.HasField("welcome"), welcome
    return await client.caught_up()


def bounded(**bounds: float) -> Tuning:
    return Tuning(bounds=dataclasses.replace(BOUNDS, **bounds))  # type: ignore[arg-type]


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
@pytest.mark.parametrize("missed", [0, 1, 7])
async def test_what_was_missed_comes_in_order_after_the_welcome(
    town: Town, subprotocol: Subprotocol, missed: int
) -> None:
    alice, bob = await town.person(), await town.person()
    sent = await town.send(alice, bob, *map(str, range(10)))
    async with town.client(subprotocol) as client:
        frames = await resumed(client, bob, place(sent[9 - missed]))
    assert [frame.message for frame in frames] == sent[10 - missed :]


async def test_without_cursors_it_is_live_at_once(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    await town.send(alice, bob, "one")
    async with town.client() as client:
        await client.greet(bob.token)
        heard = [(await client.hear()).WhichOneof("frame") for _ in range(2)]
    assert heard == ["welcome", "resumed"]


async def test_many_are_sent_in_several_pages(settings: Settings) -> None:
    async with running_logic(settings), running(settings, bounded(page=3)) as town:
        alice, bob = await town.person(), await town.person()
        await town.send(alice, bob, *map(str, range(20)))
        async with town.client() as client:
            frames = await resumed(client, bob, start(alice.with_(bob)))
    assert seqs(frames) == list(range(1, 21))
    assert not left_over(frames)


async def test_each_conversation_is_caught_up_by_itself(town: Town) -> None:
    people = [await town.person() for _ in range(6)]
    bob, others = people[0], people[1:]
    for number, other in enumerate(others):
        await town.send(other, bob, *["hi"] * number, "last")
    async with town.client() as client:
        frames = await resumed(client, bob, *(start(other.with_(bob)) for other in others))
    for number, other in enumerate(others):
        assert seqs(frames, other.with_(bob)) == list(range(1, number + 2))


async def test_too_many_are_told_as_incomplete(settings: Settings) -> None:
    async with running_logic(settings), running(settings, bounded(messages=8, page=3)) as town:
        alice, bob, carol = await town.person(), await town.person(), await town.person()
        await town.send(alice, bob, *map(str, range(6)))
        await town.send(carol, bob, *map(str, range(6)))
        names = [other.with_(bob) for other in (alice, carol)]
        async with town.client() as client:
            frames = await resumed(client, bob, *map(start, names))
    assert len(seqs(frames)) == 8
    (told,) = left_over(frames)
    assert (told.head.seq, told.after_seq) == (6, 2)
    assert [len(seqs(frames, name)) for name in names] == [6, 2]
    assert told.head.conversation_id == names[1]


async def test_too_many_bytes_are_told_as_incomplete(settings: Settings) -> None:
    async with running_logic(settings), running(settings, bounded(size=5000)) as town:
        alice, bob = await town.person(), await town.person()
        await town.send(alice, bob, *["x" * 1000] * 9)
        async with town.client(BINARY) as client:
            frames = await resumed(client, bob, start(alice.with_(bob)))
    assert seqs(frames) == [1, 2, 3, 4]
    (told,) = left_over(frames)
    assert (told.head.seq, told.after_seq) == (9, 4)


async def test_a_cursor_that_is_ahead_of_the_head_is_told_the_head(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    sent = await town.send(alice, bob, *map(str, range(3)))
    async with town.client() as client:
        foreign = cursor(sent[0].epoch, 50, alice.with_(bob))
        frames = await resumed(client, bob, foreign)
    (told,) = left_over(frames)
    assert (told.head.epoch, told.head.seq, told.after_seq) == (sent[0].epoch, 3, 3)
    assert not seqs(frames)


async def test_cursors_of_what_is_not_the_users_are_passed_over_in_silence(town: Town) -> None:
    alice, bob, carol = await town.person(), await town.person(), await town.person()
    await town.send(alice, bob, "private")
    room = await town.room(alice)
    names = [alice.with_(bob), f"room.{room}", "room.12345", f"dm.{carol.id}.987654321", "garbage"]
    async with town.client() as client:
        frames = await resumed(client, carol, *map(start, names))
    assert not frames


async def test_who_was_removed_while_away_is_sent_everything_up_to_that(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    room = await town.room(alice, bob)
    await town.send(alice, room, "two", "three")
    await town.leave(room, bob)
    await town.send(alice, room, "not for bob")
    async with town.client() as client:
        frames = await resumed(client, bob, cursor(1, 1, f"room.{room}"))
    assert seqs(frames) == [2, 3, 4]
    assert frames[-1].message.room.left.user_id == bob.id
    assert not left_over(frames)


async def test_cursors_that_break_the_rules_end_the_session_as_malformed(town: Town) -> None:
    alice = await town.person()
    async with town.client() as client:
        error = (await client.open(alice.token, cursor(1, 1, "x" * 200))).error
        assert error.reason == "VALIDATION_FAILED"
        assert await client.closed() == (4402, "MALFORMED_FRAME")


# Live events meanwhile


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """Bob is away, and logic keeps what it says of what he missed."""

    town: Town
    gate: Gate
    alice: Person
    bob: Person
    missed: Sequence[Message]

    async def live(self, session_id: str, *messages: Message) -> None:
        await self.town.deliver(self.town.batch(*((message, [session_id]) for message in messages)))

    def next(self, count: int, text: str = "live") -> list[Message]:
        """Events that follow those that were missed."""
        last = self.missed[-1]
        made = []
        for number in range(1, count + 1):
            message = Message(text=text, id=last.id + number, seq=last.seq + number, sender_id=self.alice.id)
            message.conversation_id, message.epoch = last.conversation_id, last.epoch
            made.append(message)
        return made


@pytest.fixture
async def held(settings: Settings) -> AsyncIterator[Held]:
    queue = dataclasses.replace(SESSION, send_queue_bytes=65536)
    async with gated_logic(settings) as gate, running(settings, Tuning(queue)) as town:
        alice, bob = await town.person(), await town.person()
        missed = await town.send(alice, bob, "one", "two", "three")
        gate.hold("list_messages")
        yield Held(town, gate, alice, bob, missed)


async def opened(client: Client, scene: Held, *cursors: Cursor) -> str:
    """The session id of bob, once logic has read what he missed but not said it."""
    welcome = (await client.open(scene.bob.token, *cursors)).welcome
    await scene.gate.held("list_messages")
    return welcome.session_id


async def test_live_events_wait_for_what_was_missed_and_none_comes_twice(held: Held) -> None:
    async with held.town.client() as client:
        session_id = await opened(client, held, start(held.alice.with_(held.bob)))
        following = held.next(2)
        await held.live(session_id, *held.missed[1:], *following)
        held.gate.free("list_messages")
        frames = await client.caught_up()
        assert [frame.message for frame in frames] == [*held.missed, *following]
        (last,) = held.next(3)[2:]
        await held.live(session_id, last)
        assert (await client.hear()).message == last


async def test_what_was_sent_as_missed_does_not_come_again_when_it_arrives_late(held: Held) -> None:
    async with held.town.client() as client:
        session_id = await opened(client, held, start(held.alice.with_(held.bob)))
        held.gate.free("list_messages")
        assert seqs(await client.caught_up()) == [1, 2, 3]
        (following,) = held.next(1)
        await held.live(session_id, *held.missed, following)
        assert (await client.hear()).message == following


async def test_other_conversations_go_on_meanwhile(held: Held) -> None:
    async with held.town.client() as client:
        session_id = await opened(client, held, start(held.alice.with_(held.bob)))
        other = Message(id=5, conversation_id=held.bob.with_(held.bob), epoch=1, seq=1, sender_id=held.bob.id)
        await held.live(session_id, *held.next(1), other)
        assert (await client.hear()).message == other
        held.gate.free("list_messages")
        assert seqs(await client.caught_up()) == [1, 2, 3, 4]


async def test_a_client_may_send_while_it_catches_up(held: Held) -> None:
    async with held.town.client() as client:
        await opened(client, held, start(held.alice.with_(held.bob)))
        request = {"clientMessageId": "c", "toUserId": str(held.alice.id), "text": "back"}
        await client.say(send={"requestId": "r", "request": request})
        assert (await client.hear()).sent.request_id == "r"
        held.gate.free("list_messages")
        assert seqs(await client.caught_up()) == [1, 2, 3]


async def test_progress_waits_with_its_conversation(held: Held) -> None:
    async with held.town.client() as client:
        session_id = await opened(client, held, start(held.alice.with_(held.bob)))
        progress = Progress(conversation_id=held.alice.with_(held.bob), seq=3, state=DURABLE)
        await held.town.deliver(held.town.progress(progress, session_id))
        held.gate.free("list_messages")
        kinds = [frame.WhichOneof("frame") for frame in await client.caught_up()]
    assert kinds == ["message", "message", "message", "progress"]


async def test_live_events_that_cannot_be_kept_are_told_as_incomplete(held: Held) -> None:
    async with held.town.client() as client:
        session_id = await opened(client, held, start(held.alice.with_(held.bob)))
        other = Message(id=5, conversation_id=held.bob.with_(held.bob), epoch=1, seq=1, sender_id=held.bob.id)
        await held.live(session_id, *held.next(4, "x" * 10000), other)
        assert (await client.hear()).message == other
        held.gate.free("list_messages")
        frames = await client.caught_up()
        assert seqs(frames) == [1, 2, 3]
        (told,) = left_over(frames)
        assert (told.head.seq, told.after_seq) == (7, 3)
        (last,) = held.next(5)[4:]
        await held.live(session_id, last)
        assert (await client.hear()).message == last


async def test_what_takes_too_long_is_told_as_incomplete(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings, bounded(seconds=0.3)) as town:
        alice, bob = await town.person(), await town.person()
        await town.send(alice, bob, "one", "two")
        gate.hold("list_messages")
        async with town.client() as client:
            frames = await resumed(client, bob, start(alice.with_(bob)))
        gate.free("list_messages")
    (told,) = left_over(frames)
    assert (told.head.seq, told.after_seq) == (2, 0)


async def test_a_client_that_goes_away_while_it_catches_up_leaves_nothing_behind(held: Held) -> None:
    async with held.town.client() as client:
        await opened(client, held, start(held.alice.with_(held.bob)))
    held.gate.free("list_messages")
    async with held.town.client() as client:
        assert seqs(await resumed(client, held.bob, place(held.missed[0]))) == [2, 3]


async def test_history_that_cannot_be_read_is_told_as_incomplete(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings, bounded(page=1)) as town:
        alice, bob = await town.person(), await town.person()
        await town.send(alice, bob, "one", "two", "three")
        async with town.client() as client:
            gate.fail("list_messages", after=1)
            frames = await resumed(client, bob, start(alice.with_(bob)))
    assert seqs(frames) == [1]
    (told,) = left_over(frames)
    assert (told.head.seq, told.after_seq) == (3, 1)


async def test_a_drain_lets_a_session_catch_up(held: Held) -> None:
    async with held.town.client() as client:
        await opened(client, held, start(held.alice.with_(held.bob)))
        held.town.stop.set()
        await asyncio.sleep(0.1)
        held.gate.free("list_messages")
        assert seqs(await client.caught_up()) == [1, 2, 3]
        assert await client.closed() == (4000, "DRAINING")


def test_places_are_ordered_by_epoch_and_number() -> None:
    assert place_of(Message(epoch=1, seq=9)) < place_of(Head(epoch=2, seq=1))
