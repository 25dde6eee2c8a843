"""Where storms rage: the whole system on either database, each part of which can be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import MariaDb, debian_mariadb, mariadb_server
from tests.system import System


@dataclass(frozen=True)
class Stage:
    """A running system and its database."""

    system: System
    database_url: str
    mariadb: MariaDb | None

    @property
    def victims(self) -> tuple[str, ...]:
        """Everything that can be killed. A SQLite file has no process."""
        parts = ("gateway-1", "logic-1", "task-1", "connect-1", "redis", "etcd")
        return (*parts, "mariadb") if self.mariadb else parts

    async def kill(self, victim: str) -> None:
        """SIGKILL. The supervisor starts it again; a database that is not its own is started here."""
        if victim == "mariadb" and self.mariadb is not None:
            await self.mariadb.kill()
            await self.mariadb.start()
        else:
            self.system.kill(victim)


@pytest.fixture(params=["sqlite", "mariadb"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """The system on a database of its own."""
    async with AsyncExitStack() as stack:
        data = tmp_path / "data"
        mariadb, url, settings = None, f"sqlite+aiosqlite:///{data / 'idiom.sqlite3'}", {}
        if request.param == "mariadb":
            if debian_mariadb() is None:
                pytest.skip("mariadb-server is not installed: run deploy/test-services.sh")
            mariadb = await stack.enter_async_context(mariadb_server())
            url = stack.enter_context(mariadb.database())
            settings = {"database_url": url}
        system = System(data, 1, **settings)
        stack.callback(system.close)
        system.start()
        yield Stage(system, url, mariadb)
