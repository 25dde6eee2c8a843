"""The list of somebody who has very many conversations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest

from impl.logic.page_tokens import Recency
from impl.logic.ranking import Ranking
from impl.storage.envelope import private_id
from tests.impl.logic import calls
from tests.impl.logic.conftest import Tier
from tests.impl.storage.sql.events import event

PRIVATE: Final = 3000
AT_ONCE: Final = 500
FIRST_ID: Final = 1 << 50


@pytest.fixture
async def names(tier: Tier, ada: int) -> list[str]:
    """Private conversations, the latest first. Redis knows them, but not the ids of their last events."""
    names = [private_id(ada, 1000 + number) for number in range(PRIVATE)]
    events = [event(name, 1, number=FIRST_ID + number) for number, name in enumerate(names)]
    for begin in range(0, PRIVATE, AT_ONCE):
        portion = names[begin : begin + AT_ONCE]
        await tier.messages.persist(0, begin + 1, events[begin : begin + AT_ONCE])
        await tier.conversations.overview(ada, portion)
        async with asyncio.timeout(30):
            while len(await tier.conversations.heads(portion)) < len(portion):  # noqa: ASYNC110 - Redis does not tell
                await asyncio.sleep(0.01)
    return names[::-1]


async def pages(user: int, ranking: Ranking, size: int) -> AsyncIterator[Sequence[Recency]]:
    last, more = None, True
    while more:
        places, more = await ranking.page(user, last, size)
        yield places
        last = places[-1]


async def commands(tier: Tier) -> int:
    """How much Redis has been asked since it started."""
    stats: Any = await tier.conversations._redis.info("commandstats")
    return sum(of_one["calls"] for of_one in stats.values())


async def test_a_page_costs_the_same_at_any_depth(tier: Tier, ada: int, names: list[str]) -> None:
    chance = random.Random(1)
    late = [(ada, name, FIRST_ID) for name in chance.sample(names, 500)]
    await tier.conversations.touch(late)  # Redis is behind with some
    rooms = [f"room.{await calls.create(tier, ada)}" for _ in range(3)]
    ranking = Ranking(tier.conversations, tier.messages, depth=200)
    found, costs, before = [], [], await commands(tier)
    async for places in pages(ada, ranking, 100):
        found += [place.conversation_id for place in places]
        costs.append(await commands(tier) - before)
        before = await commands(tier)
    assert found == [*rooms[::-1], *names]
    assert max(costs) < 2 * min(costs[:-1])
