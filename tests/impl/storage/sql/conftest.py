from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from impl.storage.database import Database
from impl.storage.migration import migrate
from tests.servers import MariaDb


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'idiom.sqlite3'}"


@pytest.fixture
def mariadb_url(mariadb: MariaDb) -> Iterator[str]:
    with mariadb.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, url)
    async with Database(url) as opened:
        yield opened
