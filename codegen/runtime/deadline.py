"""A deadline for a block of code."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """Raises TimeoutError where its block has not ended in time: `with Deadline(2.0): await …`.

    It does what `asyncio.timeout` does. Every call passes through one or two of them, and `asyncio.timeout`
    with its coroutines and its rescheduling costs three times as much: 5 of the 60 µs that a request takes.

    Args:
        seconds: from now; None means no deadline.
    """

    __slots__ = ("_cancelling", "_expired", "_handle", "_seconds", "_task")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._expired = False
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> Self:
        """Starts the clock."""
        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._task = asyncio.current_task(loop)
            self._cancelling = self._task.cancelling() if self._task else 0
            self._handle = loop.call_later(self._seconds, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops the clock.

        Raises:
            TimeoutError: the block was cancelled by this deadline and nothing else.
        """
        if self._handle is not None:
            self._handle.cancel()
        if self._expired and self._task is not None:
            others = self._task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not others:
                raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()
