"""How a connection ended, and when to come back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Final, TypeVar

from codegen.runtime.method import CloseCode, Reconnect

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 30.0
"""Seconds, of the first and of the longest pause; each is a random part of its limit."""
STABLE: Final = 5.0
"""Seconds that a connection lasts to count as a success."""

LOST: Final = CloseCode("LOST", 1006, Reconnect.BACKOFF)
"""The connection ended without a word, or with one that the schema does not have."""
SILENT: Final = CloseCode("HEARTBEAT_TIMEOUT", 1006, Reconnect.NOW)
"""The server showed no life, or this machine has slept."""
UNREADABLE: Final = CloseCode("UNREADABLE_FRAME", 1007, Reconnect.BACKOFF)
"""A frame of the server cannot be read. RFC 6455 section 7.4.1."""

D = TypeVar("D")


def declared(module: ModuleType, kind: type[D]) -> tuple[D, ...]:
    """What a generated module declares of one kind: its close codes, its reasons."""
    return tuple(value for value in vars(module).values() if isinstance(value, kind))


class CloseCodes:
    """The close codes of a schema by number.

    Args:
        codes: as the schema has them.
    """

    def __init__(self, codes: Iterable[CloseCode]) -> None:
        self._codes = {code.code: code for code in codes}

    def of(self, code: int | None, reason: str = "") -> CloseCode:
        """What a code means; one that the schema does not have means to come back with backoff."""
        if code is None:
            return LOST
        return self._codes.get(code) or CloseCode(reason or LOST.name, code, Reconnect.BACKOFF)


@dataclass(slots=True)
class Pauses:
    """Pauses before a connection is opened again: with full jitter, and none where the server said NOW.

    A server that says NOW again and again is met with backoff all the same.
    """

    failures: int = 0

    def after(self, advice: Reconnect, lasted: float) -> float:
        """Seconds to wait.

        Args:
            advice: how the connection ended; NEVER is none of them.
            lasted: seconds for which it had been open; 0 if it was never.
        """
        if lasted >= STABLE:
            self.failures = 0
        self.failures += 1
        if self.failures == 1 and advice in (Reconnect.NOW, Reconnect.AUTHENTICATE):
            return 0.0
        limit = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 16))
        return random.uniform(0, limit)  # noqa: S311 - spreads load
