"""The accept script against a model of a few lines, under random interleavings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from im.errors.v1 import reason_errors

from codegen.runtime.errors import Error
from impl.storage.conversations import Accepted, Stored
from tests.impl.storage.redis.conftest import Process, World
from tests.impl.storage.redis.sends import present, send, stream_of

MEMBERS = {"dm.1.2": (1, 2), "dm.1.3": (1, 3), "dm.2.3": (2, 3)}


Processes = tuple[Process, Process]


@dataclass(frozen=True)
class Sent:
    conversation: str
    sender: int
    client_id: str
    text: str


@dataclass
class Model:
    """What should come out, sequentially."""

    seqs: dict[str, int] = field(default_factory=dict)
    first: dict[tuple[str, int, str], tuple[str, int]] = field(default_factory=dict)

    def accept(self, sent: Sent) -> tuple[str, int]:
        if sent.sender not in MEMBERS[sent.conversation]:
            return "NOT_A_MEMBER", 0
        key = (sent.conversation, sent.sender, sent.client_id)
        if key in self.first:
            text, seq = self.first[key]
            return ("DUPLICATE", seq) if text == sent.text else ("REUSED", 0)
        seq = self.seqs[sent.conversation] = self.seqs.get(sent.conversation, 0) + 1
        self.first[key] = (sent.text, seq)
        return "OK", seq


sends = st.builds(
    Sent,
    st.sampled_from(sorted(MEMBERS)),
    st.integers(1, 3),
    st.sampled_from("abcdef"),
    st.sampled_from("xy"),
)
rounds = st.lists(st.lists(sends, min_size=1, max_size=12), max_size=8)


@pytest.fixture
async def processes(world: World) -> AsyncIterator[Processes]:
    async with world.process() as one, world.process() as two:
        yield one, two


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=rounds)
def check(
    loop: asyncio.AbstractEventLoop,
    world: World,
    processes: Processes,
    rounds: list[list[Sent]],
) -> None:
    asyncio.run_coroutine_threadsafe(compare(world, processes, rounds), loop).result(60)


async def compare(world: World, processes: Processes, rounds: list[list[Sent]]) -> None:
    await processes[0].redis.flushall()
    world.stored.clear()
    first = await processes[0].conversations.accept(send("dm.0.0", 0, members=(0,)))
    world.stored.update({c: Stored(first.epoch, 0, present(*members)) for c, members in MEMBERS.items()})
    model = Model()
    for number, together in enumerate(rounds):
        # Concurrent sends of one process share batches and keep the order of their arrival.
        conversations = processes[number % 2].conversations
        results = await asyncio.gather(
            *(conversations.accept(send(s.conversation, s.sender, s.client_id, s.text)) for s in together),
            return_exceptions=True,
        )
        assert [outcome(result) for result in results] == expected(model, together)
    for conversation, last in model.seqs.items():
        events = [
            e
            for _, e in await stream_of(processes[0].redis, conversation)
            if e.conversation_id == conversation
        ]
        assert [event.seq for event in events] == list(range(1, last + 1))


def expected(model: Model, together: list[Sent]) -> list[tuple[str, int]]:
    return [model.accept(sent) for sent in together]


def outcome(result: Accepted | BaseException) -> tuple[str, int]:
    if isinstance(result, Accepted):
        return ("DUPLICATE" if result.duplicate else "OK", result.seq)
    assert isinstance(result, Error)
    names = {reason_errors.NOT_A_MEMBER: "NOT_A_MEMBER", reason_errors.CLIENT_MESSAGE_ID_REUSED: "REUSED"}
    return names[result.reason], 0


async def test_any_interleaving_gives_what_the_model_gives(world: World, processes: Processes) -> None:
    await asyncio.to_thread(check, asyncio.get_running_loop(), world, processes)
