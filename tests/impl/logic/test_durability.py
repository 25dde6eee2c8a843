from __future__ import annotations

import asyncio
import time

from im.logic.v1.message_service_pb2 import SendMessageRequest, SendMessageResponse
from im.logic.v1.rung_pb2 import ACCEPTED, DURABLE

from codegen.runtime.context import Context, Identity, Wire
from impl.logic.durability import Durability
from impl.storage.envelope import private_id, room_conversation
from tests import servers
from tests.impl.logic import calls
from tests.impl.logic.conftest import Tier, forgotten, settle


async def durably(tier: Tier, sender: int, seconds: float = 20, **target: int) -> SendMessageResponse:
    """A send that waits until it is stored, in a call of so many seconds."""
    request = SendMessageRequest(client_message_id="x", text="hi", wait_for=DURABLE)
    for field, value in target.items():
        setattr(request, field, value)
    context = Context(Wire.GRPC, Identity(subject=str(sender)), deadline=time.monotonic() + seconds)
    return await tier.desk.send_message(request, context)


async def accepted(tier: Tier, name: str, seq: int = 1) -> None:
    """Returns once the conversation has so many numbers."""
    async with asyncio.timeout(20):
        while (head := (await tier.conversations.heads([name])).get(name)) is None or head.seq < seq:  # noqa: ASYNC110 - Redis announces nothing
            await asyncio.sleep(0.005)


async def looks(tier: Tier) -> int:
    """How often Redis was asked how far a conversation is stored."""
    stats = await tier.conversations._redis.info("commandstats")
    return int(stats.get("cmdstat_hget", {}).get("calls", 0))


async def test_a_send_waits_until_it_is_stored(tier: Tier, ada: int, bo: int) -> None:
    sending = asyncio.create_task(durably(tier, ada, to_user_id=bo))
    await accepted(tier, private_id(ada, bo))
    assert not (await asyncio.wait([sending], timeout=0.1))[0]
    await settle(tier)
    assert (await sending).state == DURABLE
    assert (await durably(tier, ada, to_user_id=bo)).state == DURABLE  # a repetition, too


async def test_a_send_to_a_room_waits_as_well(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, bo)
    sending = asyncio.create_task(durably(tier, bo, room_id=room))
    await accepted(tier, room_conversation(room), 2)
    await settle(tier)
    assert (await sending).state == DURABLE


async def test_as_the_deadline_draws_near_the_rung_that_was_reached_is_answered(
    tier: Tier, ada: int, bo: int
) -> None:
    begin = time.monotonic()
    response = await durably(tier, ada, 1.0, to_user_id=bo)
    assert response.state == ACCEPTED
    assert response.message.seq == 1
    assert time.monotonic() - begin < 1.0
    assert (await durably(tier, ada, 0.3, to_user_id=ada)).state == ACCEPTED


async def test_all_who_wait_are_told_and_nobody_is_asked_when_nobody_waits(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    names = [(await calls.write(tier, ada, to)).conversation_id for to in (ada, bo, cy)]
    async with Durability(tier.conversations, period=0.001) as durability:
        waiting = [asyncio.create_task(durability.reached(name, 1)) for name in names for _ in range(300)]
        before = await looks(tier)
        await asyncio.sleep(0.05)
        assert 0 < await looks(tier) - before <= 3 * 50  # once for each conversation in a millisecond
        assert not any(waiter.done() for waiter in waiting)
        await settle(tier)
        assert all(await asyncio.gather(*waiting))
        async with asyncio.timeout(10):
            while before != (before := await looks(tier)):  # noqa: ASYNC110 - what is awaited is silence
                await asyncio.sleep(0.05)


async def test_so_many_may_wait_and_no_more(tier: Tier, ada: int) -> None:
    note = (await calls.write(tier, ada, ada)).conversation_id
    async with Durability(tier.conversations, most=1) as durability:
        first = asyncio.create_task(durability.reached(note, 1))
        await asyncio.sleep(0)
        assert not await durability.reached(note, 1)
        await settle(tier)
        assert await first
        assert await durability.reached(note, 1)  # there is room again


async def test_who_still_waits_at_the_end_is_told_that_it_was_in_vain(tier: Tier, ada: int) -> None:
    note = (await calls.write(tier, ada, ada)).conversation_id
    async with Durability(tier.conversations) as durability:
        waiting = asyncio.create_task(durability.reached(note, 1))
        await asyncio.sleep(0.05)
    assert not await waiting
    assert not await durability.reached(note, 1)


async def test_a_redis_that_goes_away_does_not_end_the_waiting(
    tier: Tier, ada: int, bo: int, redis_process: servers.Redis
) -> None:
    sending = asyncio.create_task(durably(tier, ada, to_user_id=bo))
    patient = asyncio.create_task(durably(tier, ada, 2.5, to_user_id=ada))
    async with asyncio.timeout(20):
        while len(tier.desk._durability._waiting) < 2:  # noqa: ASYNC110 - both were answered by then
            await asyncio.sleep(0.005)
    await redis_process.kill()
    assert (await patient).state == ACCEPTED
    await redis_process.start()
    await settle(tier)
    assert (await sending).state == DURABLE


async def test_what_was_lost_is_not_said_to_be_stored_because_higher_numbers_are(
    tier: Tier, ada: int, bo: int
) -> None:
    for _ in range(2):
        await calls.write(tier, ada, bo)
    await settle(tier)
    lost = asyncio.create_task(durably(tier, ada, to_user_id=bo))
    await accepted(tier, private_id(ada, bo), 3)
    await forgotten(tier)
    later = await calls.write(tier, bo, ada)
    assert later.seq > 3
    await settle(tier)
    assert (await lost).state == ACCEPTED
