"""The suspicion that events were lost on their way to this process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_LOOKS = 2


class Alarm:
    """Raised by whoever has the suspicion, waited for by who looks into it: at once, and once more."""

    def __init__(self) -> None:
        self._looks = 0
        self._raised = asyncio.Event()

    @property
    def raised(self) -> bool:
        """Whether another look is due."""
        return self._looks > 0

    def sound(self) -> None:
        """Something may have been lost."""
        self._looks = _LOOKS
        self._raised.set()

    async def look(self, seconds: float) -> bool:
        """Returns when a look is due: True for an alarm, False because so many seconds are over."""
        if not self._looks:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._raised.wait()
        self._raised.clear()
        alarmed = self._looks > 0
        self._looks -= alarmed
        return alarmed
