"""Pauses between attempts."""

from __future__ import annotations

import random


class Backoff:
    """Pauses that double from `first` to `longest` seconds, each shortened by up to half at random."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        pause = min(self._next, self._longest)
        self._next = min(2 * pause, self._longest)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - only spreads load

    def reset(self) -> None:
        """Begins anew after a success."""
        self._next = self._first
