"""Rooms under random interleavings of what several users do, against a model of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from im.logic.v1.room_pb2 import ROLE_ADMIN, ROLE_MEMBER

from codegen.runtime.errors import Error
from impl.logic.permissions import RULES, Action
from impl.storage.conversations import Accepted
from impl.storage.keys import keys_of
from impl.storage.membership import Changed, Denied, Mark, Membership, RoomChange, may_read
from tests.impl.storage.redis.changes import create, join, leave, role, transfer
from tests.impl.storage.redis.conftest import PARTITIONS, Process, World
from tests.impl.storage.redis.room_model import MOST_MEMBERS, USERS, Deed, Room
from tests.impl.storage.redis.sends import send, stream_of

Processes = tuple[Process, Process]

KINDS = ("send", "mark", "join", "add", "leave", "remove", "raise", "lower", "transfer")
ALONE = {"send", "join", "leave"}


@st.composite
def a_deed(draw: st.DrawFn) -> Deed:
    kind = draw(st.sampled_from(KINDS))
    actor = draw(st.sampled_from(USERS))
    target = actor if kind in ALONE else draw(st.sampled_from(USERS))
    return Deed(kind, draw(st.sampled_from(("room.1", "room.2"))), actor, target, draw(st.integers(1, 8)))


rounds = st.lists(st.tuples(st.lists(a_deed(), min_size=1, max_size=16), st.booleans()), max_size=8)


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
    rounds: list[tuple[list[Deed], bool]],
) -> None:
    asyncio.run_coroutine_threadsafe(compare(world, processes, rounds), loop).result(60)


async def compare(world: World, processes: Processes, rounds: list[tuple[list[Deed], bool]]) -> None:
    world.stored.clear()
    world.stays.clear()
    await emptied(processes[0])
    models = {
        "room.1": Room(open=True, tells_everything=False),
        "room.2": Room(open=False, tells_everything=True),
    }
    for name, model in models.items():
        model.create(1, (2, 10))
        await processes[0].conversations.change(create_like(name, model))
    for number, (deeds, forget) in enumerate(rounds):
        # What one process does at once shares batches and keeps the order of its arrival; marks come a moment
        # later, because many may be made by one call.
        process, together = processes[number % 2], sorted(deeds, key=lambda deed: deed.kind == "mark")
        results = await asyncio.gather(*(do(process, deed) for deed in together), return_exceptions=True)
        assert [outcome(result) for result in results] == [models[deed.room].do(deed) for deed in together]
        if forget:
            await unload(world, process, models)
    for name, model in models.items():
        await agree(world, processes[0], name, model)


async def emptied(process: Process) -> None:
    """Nothing is left but what tells a Redis that has lost its data: a connection may be made anew."""
    keys = [key async for key in process.redis.scan_iter(count=1000) if not key.endswith(b":generation")]
    if keys:
        await process.redis.delete(*keys)


def create_like(name: str, model: Room) -> RoomChange:
    state = model.state()
    made = create(1, 2, 10, room=name, join=state.join)
    return RoomChange(
        **{slot: getattr(made, slot) for slot in made.__slots__ if slot != "settings"},
        settings={"name": state.name, "description": "", "join": state.join, "history": state.history},
    )


async def do(process: Process, deed: Deed) -> object:
    conversations, room = process.conversations, deed.room
    match deed.kind:
        case "send":
            text = send(room, deed.actor, f"c{deed.number}", members=())
            return await conversations.accept(text)
        case "mark":
            return (await conversations.mark([Mark(room, deed.actor, deed.target, deed.number)]))[0]
    return await conversations.change(change_of(deed))


def change_of(deed: Deed) -> RoomChange:
    room, actor, target = deed.room, deed.actor, deed.target
    match deed.kind:
        case "join" | "add":
            rule = RULES[Action.JOIN if deed.kind == "join" else Action.ADD]
            return join(actor, target, rule=rule, room=room, most_members=MOST_MEMBERS)
        case "leave" | "remove":
            rule = RULES[Action.LEAVE if deed.kind == "leave" else Action.REMOVE]
            return leave(actor, target, rule=rule, room=room)
        case "raise":
            return role(actor, target, ROLE_ADMIN, rule=RULES[Action.MAKE_ADMIN], room=room)
        case "lower":
            return role(actor, target, ROLE_MEMBER, rule=RULES[Action.MAKE_MEMBER], room=room)
    return transfer(actor, target, rule=RULES[Action.TRANSFER], room=room)


def outcome(result: object) -> tuple[object, ...]:
    match result:
        case Accepted():
            return "DUPLICATE" if result.duplicate else "OK", result.seq
        case Changed():
            return ("OK", result.seq) if result.seq else ("SAME",)
        case Denied():
            return "DENIED", result.actor.value, result.target.value
        case Error():
            return (result.reason.name,)
        case Membership():
            return "OK", result.delivered_seq, result.read_seq
        case None:
            return ("NOT_A_MEMBER",)
    raise AssertionError(result)


async def unload(world: World, process: Process, models: dict[str, Room]) -> None:
    """Leaves the rooms to the database alone, which holds everything."""
    for name, model in models.items():
        seen = (await process.conversations.overview(1, [name]))[name]
        world.stored[name] = model.stored(seen.epoch)
        for user, member in model.members.items():
            world.stays[name, user] = member
        await process.redis.delete(*keys_of(name, PARTITIONS).written(name))


async def agree(world: World, process: Process, name: str, model: Room) -> None:
    world.stays.update({(name, user): member for user, member in model.members.items()})
    present = sorted(model.present, key=lambda user: (model.members[user].joined_seq, user))
    roster, _ = await process.conversations.roster(name, "", 100)
    assert roster == [model.members[user] for user in present]
    sizes = await process.conversations.room_members([name], 100)
    assert {key: (count, sorted(users or ())) for key, (count, users) in sizes.items()} == {
        name: (len(present), sorted(present))
    }
    stream = [event for _, event in await stream_of(process.redis, name) if event.conversation_id == name]
    assert [event.seq for event in stream if event.seq] == list(range(1, model.seq + 1))
    for user in USERS:
        seen = (await process.conversations.overview(user, [name]))[name]
        assert seen.room is not None
        assert (seen.seq, seen.room.member_count) == (model.seq, len(present))
        assert seen.membership == model.members.get(user)
        if seen.membership:
            member, room, events_so_far = seen.membership, seen.room, range(1, model.seq + 1)
            assert {seq for seq in events_so_far if member.receives(seq)} == model.heard(user)
            assert {seq for seq in events_so_far if may_read(member, room, seq)} == model.readable(user)


async def test_any_interleaving_gives_what_the_model_gives(world: World, processes: Processes) -> None:
    await asyncio.to_thread(check, asyncio.get_running_loop(), world, processes)
