"""Keeps the maps by which events find this process true: of its sessions, and of its rooms."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice

from redis.asyncio import Redis
from redis.exceptions import RedisError

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from impl.connect.registry import RoomRegistry
from impl.storage.sessions import SessionAddress, Sessions

log = logging.getLogger(__name__)

REFRESH_SECONDS = 30.0
EXPIRY_SECONDS = 90.0
_PACE_SECONDS = 1.0
"""Between two looks at what there is to write."""
_LAST_SECONDS = 2.0
"""For the last write."""
_BATCH = 512
_MAX_WAITING = 100_000
"""Most removals that wait for a registry that is away. Beyond, the oldest are dropped."""


class SessionKeeper:
    """The sessions and rooms of this process in Redis.

    A registry that is away never ends a session: what could not be written is written when it is back.

    Args:
        sessions: the session map.
        rooms: the map of rooms.
        redis: where the maps are; asked now and then whether it is still the same server.
        rewritten: called after the maps were written because they may not have been true.
        refresh_seconds: interval of refreshing; an entry must live for several of them.
        pace_seconds: interval of looking what there is to write, and of trying again.
    """

    def __init__(  # noqa: PLR0913 - its parts, and its times by keyword
        self,
        sessions: Sessions,
        rooms: RoomRegistry,
        redis: Redis,
        rewritten: Callable[[], None],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        pace_seconds: float = _PACE_SECONDS,
    ) -> None:
        self._sessions = sessions
        self._rooms = rooms
        self._redis = redis
        self._rewritten = rewritten
        self._refresh_seconds = refresh_seconds
        self._pace_seconds = pace_seconds
        self._present: dict[str, SessionAddress] = {}
        self._gone: deque[SessionAddress] = deque(maxlen=_MAX_WAITING)
        self._wake = asyncio.Event()
        self._refreshed = 0.0
        self._server = ""
        self._away = False
        self._doubted = False
        self._ending = False

    async def add(self, address: SessionAddress) -> None:
        """Write a session to the map; it is kept there until `remove`.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        await self._sessions.add([address])
        self._present[address.session_id] = address

    def remove(self, address: SessionAddress) -> None:
        """The session has ended; its entry goes soon, if it is still ours."""
        self._present.pop(address.session_id, None)
        self._gone.append(address)
        self._wake.set()

    def doubt(self) -> None:
        """Events did not come: write everything again soon."""
        self._doubted = True
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SessionKeeper]:
        """Write in the background; on exit what is left is written, if that is possible soon."""
        task = background(self._run(), "session-map")
        try:
            yield self
        finally:
            self._ending = True
            self._wake.set()
            await asyncio.wait([task], timeout=_LAST_SECONDS)
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        self._refreshed = asyncio.get_running_loop().time()
        ending = False
        while not ending:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace_seconds):
                    await self._wake.wait()
            self._wake.clear()
            ending = self._ending
            if not await self._write() and not ending:
                await asyncio.sleep(self._pace_seconds)

    async def _write(self) -> bool:
        try:
            await self._remove_gone()
            await self._refresh()
            if await self._rooms.follow(ending=self._ending):
                self._rewritten()
        except (Error, RedisError, OSError) as error:
            self._note(error)
        except Exception:
            log.exception("the session map could not be written")
            self._away = True
        else:
            self._note(None)
        return not self._away

    async def _remove_gone(self) -> None:
        while self._gone:
            batch = list(islice(self._gone, _BATCH))
            await self._sessions.remove(batch)
            for _ in batch:
                self._gone.popleft()

    async def _refresh(self) -> None:
        now = asyncio.get_running_loop().time()
        server = await self._identity()
        untrue = self._away or server != self._server
        if not (untrue or self._doubted or now >= self._refreshed + self._refresh_seconds):
            return
        self._doubted = False
        for batch in _batches(list(self._present.values())):
            await self._sessions.add([address for address in batch if address.session_id in self._present])
        await self._rooms.refresh()
        self._refreshed = now
        self._server = server
        if untrue:
            self._rewritten()

    async def _identity(self) -> str:
        """Which server it is: another one may have forgotten the map."""
        info = await self._redis.info("server")
        return str(info.get("run_id", ""))

    def _note(self, error: Exception | None) -> None:
        if error is not None and not self._away:
            log.warning("the session map cannot be written now: %s", error)
        if error is None and self._away:
            log.info("the session map can be written again")
        self._away = error is not None


def _batches(addresses: Sequence[SessionAddress]) -> list[Sequence[SessionAddress]]:
    return [addresses[start : start + _BATCH] for start in range(0, len(addresses), _BATCH)]
