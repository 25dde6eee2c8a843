"""Lines of many processes on one terminal.

Writing never blocks the caller: a terminal that is held, or a pipe that nobody reads, must not stop the
system behind it. Lines that find the queue full are dropped and counted.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_MAX_QUEUED = 10_000
_CLOSE_SECONDS = 2.0
_NAME_WIDTH = 9
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class Output:
    """Prefixed lines to a file descriptor; a context manager that ends once everything is written."""

    def __init__(self, descriptor: int, broken: Callable[[], None]) -> None:
        """`broken` is called from another thread when nobody can read the output any more."""
        self._descriptor = descriptor
        self._broken = broken
        self._colour = os.isatty(descriptor)
        self._colours: dict[str, int] = {}
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MAX_QUEUED)
        self._dropped = 0
        self._writer = threading.Thread(target=self._write, name="output", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="output-watch", daemon=True)

    def __enter__(self) -> Self:
        """Starts to write."""
        self._writer.start()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what is queued, but waits no longer than two seconds for a held terminal."""
        try:
            self._lines.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            return
        self._writer.join(_CLOSE_SECONDS)

    def line(self, name: str, text: str) -> None:
        """One line of the process `name`."""
        self._put(f"{self._prefix(name)}{text}\n")

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{_NAME_WIDTH}} | "
        if not self._colour:
            return padded
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\x1b[{colour}m{padded}\x1b[0m"

    def _put(self, text: str) -> None:
        if self._dropped:
            text = f"{self._prefix('idiom')}{self._dropped} lines were not shown\n{text}"
        try:
            self._lines.put_nowait(text.encode(errors="replace"))
        except queue.Full:
            self._dropped += 1
        else:
            self._dropped = 0

    def _write(self) -> None:
        while (data := self._lines.get()) is not None:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                self._broken()

    def _watch(self) -> None:
        """Sees a reader go away even while nothing is written."""
        poll = select.poll()
        poll.register(self._descriptor, 0)  # only POLLERR and POLLHUP
        poll.poll()
        self._broken()
