from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from impl.task.notices import Notices
from tests import servers
from tests.impl.task.world import World


@pytest.fixture
async def world(etcd: servers.Etcd, redis: servers.Redis, tmp_path: Path) -> AsyncIterator[World]:
    async with World(etcd, redis, tmp_path) as world:
        yield world


@pytest.fixture
async def notices(world: World) -> AsyncIterator[Notices]:
    async with Notices(world.sessions, world.courier) as notices:
        yield notices
