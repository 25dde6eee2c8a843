from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import servers
from tests.impl.task.world import World


@pytest.fixture
async def world(etcd: servers.Etcd, redis: servers.Redis, tmp_path: Path) -> AsyncIterator[World]:
    async with World(etcd, redis, tmp_path) as world:
        yield world
