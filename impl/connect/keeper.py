"""Keeps the session map true: adds, refreshes and removes the sessions of this process, and notes acks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice

from redis.asyncio import Redis
from redis.exceptions import RedisError

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from impl.storage.conversations import Position
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
"""Most removals, and most acks, that wait for a registry that is away. Beyond, the oldest are dropped."""


class SessionKeeper:
    """The sessions of this process in the session map.

    An unreachable registry never ends a session: what could not be written is written when it is back.

    Args:
        sessions: the session map.
        redis: where the map is; asked now and then whether it is still the same server.
        refresh_seconds: interval of refreshing; an entry must live for several of them.
        pace_seconds: interval of writing acks, and of trying again.
    """

    def __init__(
        self,
        sessions: Sessions,
        redis: Redis,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        pace_seconds: float = _PACE_SECONDS,
    ) -> None:
        self._sessions = sessions
        self._redis = redis
        self._refresh_seconds = refresh_seconds
        self._pace_seconds = pace_seconds
        self._present: dict[str, SessionAddress] = {}
        self._gone: deque[SessionAddress] = deque(maxlen=_MAX_WAITING)
        self._acks: dict[tuple[int, str], Position] = {}
        self._wake = asyncio.Event()
        self._refreshed = 0.0
        self._server = ""
        self._away = False
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

    def acknowledge(self, user_id: int, position: Position) -> None:
        """The user has received everything up to the position; written soon."""
        key = (user_id, position.conversation_id)
        known = self._acks.pop(key, position)
        if len(self._acks) >= _MAX_WAITING:
            del self._acks[next(iter(self._acks))]
        self._acks[key] = max(known, position, key=lambda place: (place.epoch, place.seq))

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
            await self._write_acks()
            await self._refresh()
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

    async def _write_acks(self) -> None:
        while self._acks:
            batch = list(islice(self._acks.items(), _BATCH))
            await self._sessions.acknowledge([(user_id, position) for (user_id, _), position in batch])
            for key, position in batch:
                if self._acks.get(key) is position:
                    del self._acks[key]

    async def _refresh(self) -> None:
        now = asyncio.get_running_loop().time()
        server = await self._identity()
        if not self._away and server == self._server and now < self._refreshed + self._refresh_seconds:
            return
        for batch in _batches(list(self._present.values())):
            await self._sessions.add([address for address in batch if address.session_id in self._present])
        self._refreshed = now
        self._server = server

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
