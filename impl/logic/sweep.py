"""Takes away what has no meaning any more."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from types import TracebackType
from typing import Self

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from impl.storage.logins import Logins

SECONDS = 600.0
"""Time between two sweeps."""
BATCH = 500
"""Rows taken away at once."""

_logger = logging.getLogger(__name__)


class UsedTokenSweep:
    """Forgets refresh tokens that were exchanged so long ago that they would have expired unused.

    Until then they are kept, because whoever shows one ends its login. None of a login that has ended is
    kept longer. An async context manager that sweeps while it lasts; any number of processes may.

    Args:
        logins: where the tokens are.
        milliseconds: life of a refresh token.
        seconds: between two sweeps.
    """

    def __init__(self, logins: Logins, milliseconds: int, seconds: float = SECONDS) -> None:
        self._logins = logins
        self._milliseconds = milliseconds
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts."""
        self._task = background(self._run(), "used-token-sweep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends; a batch that is under way is finished."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def once(self) -> int:
        """Forgets all there are, in batches; how many. Error DEPENDENCY_UNAVAILABLE."""
        before_ms = time.time_ns() // 1_000_000 - self._milliseconds
        total = forgotten = await self._logins.forget_used(before_ms, BATCH)
        while forgotten == BATCH:
            forgotten = await self._logins.forget_used(before_ms, BATCH)
            total += forgotten
        return total

    async def _run(self) -> None:
        while True:
            # Processes that were started together do not sweep together.
            await asyncio.sleep(self._seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            try:
                if total := await self.once():
                    _logger.info("%d used refresh tokens forgotten", total)
            except Error as error:
                _logger.warning("used refresh tokens are not swept: %s", error)
