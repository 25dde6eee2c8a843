"""Snowflake ids: 63 bits, of which 41 are milliseconds, 10 the worker and 12 a sequence; without I/O."""

from __future__ import annotations

import time
from collections.abc import Callable

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE

from codegen.runtime.errors import Error
from impl.storage.snowflake import BEGINNING_MS, IDS_PER_MS

WORKERS = 1 << 10
SEQUENCES = IDS_PER_MS // WORKERS
LARGEST_MS = (1 << 41) - 1

Clock = Callable[[], int]
"""Milliseconds since `BEGINNING_MS`, never going back."""


def monotonic_clock() -> Clock:
    """The wall clock as it is now, and from now on as much later as the monotonic clock says."""
    wall_ns = time.time_ns() - BEGINNING_MS * 1_000_000
    anchor_ns = wall_ns - time.monotonic_ns()
    return lambda: (anchor_ns + time.monotonic_ns()) // 1_000_000


def compose(milliseconds: int, worker: int, sequence: int) -> int:
    """The id of these parts."""
    return (milliseconds * WORKERS + worker) * SEQUENCES + sequence


def created_ms_of(snowflake: int) -> int:
    """When an id was made, milliseconds since the Unix epoch."""
    return BEGINNING_MS + snowflake // IDS_PER_MS


class Snowflakes:
    """Makes ids that grow, none of them above the mark that is reserved for the worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worker = -1
        self._mark = -1
        self._last_ms = -1
        self._sequence = 0

    @property
    def last_ms(self) -> int:
        """Milliseconds up to which ids of the worker may exist."""
        return self._last_ms

    @property
    def mark(self) -> int:
        """Milliseconds beyond which no id is made."""
        return self._mark

    def use(self, worker: int, mark: int) -> None:
        """Makes ids of this worker, up to and including `mark` in milliseconds of the clock."""
        if worker != self._worker:
            # Begin in a new millisecond: behind it lies what others made of this number, and we of another.
            self._last_ms, self._sequence = max(self._last_ms, self._clock() - 1), SEQUENCES - 1
        self._worker, self._mark = worker, mark

    def next(self) -> int:
        """A new id.

        Error DEPENDENCY_UNAVAILABLE when the reservation is used up: etcd has been away for too long.
        """
        milliseconds, sequence = self._following(self._clock())
        if milliseconds > min(self._mark, LARGEST_MS):
            raise Error(DEPENDENCY_UNAVAILABLE, "no ids are reserved for this process now", retry_after=1.0)
        self._last_ms, self._sequence = milliseconds, sequence
        return compose(milliseconds, self._worker, sequence)

    def _following(self, now: int) -> tuple[int, int]:
        """When a millisecond has no sequence left, the next one is borrowed instead of waited for."""
        if now > self._last_ms:
            return now, 0
        if self._sequence + 1 < SEQUENCES:
            return self._last_ms, self._sequence + 1
        return self._last_ms + 1, 0
