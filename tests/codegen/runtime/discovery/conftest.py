from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from codegen.runtime.discovery import Etcd
from tests.servers import Etcd as EtcdProcess
from tests.servers import etcd_server


@pytest.fixture
async def server() -> AsyncIterator[EtcdProcess]:
    async with etcd_server() as process:
        yield process


@pytest.fixture
async def etcd(server: EtcdProcess) -> AsyncIterator[Etcd]:
    async with Etcd([server.endpoint], "/test") as client:
        yield client
