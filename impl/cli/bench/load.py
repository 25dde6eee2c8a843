"""A load generator in a process of its own: one request after another on each connection, answers verified.

    python -m impl.cli.bench.load PORT CONNECTIONS SECONDS < request

Standard input is the request, byte by byte. Prints how many answers came that had status 200 and the body of
the first one, and how many seconds that took.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_PATIENCE = 10.0


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's have another class
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        answer = _answer(self._held)
        if answer is None:
            return
        head, body = answer
        self._held = b""
        self._load.answered(head, body)
        if self._load.going_on:
            self._transport.write(self._load.request)
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._load.lost()


class Load:
    """All connections."""

    def __init__(self, request: bytes, connections: int, seconds: float) -> None:
        self.request = request
        self.count = 0
        self.going_on = True
        self.over = asyncio.Event()
        self.failure = ""
        self._expected: bytes | None = None
        self._left = connections
        self._began = time.monotonic()
        self._seconds = seconds
        self.spent = 0.0

    def answered(self, head: bytes, body: bytes) -> None:
        """One answer has come."""
        if self._expected is None:
            self._expected = body
        if not head.startswith(b"HTTP/1.1 200") or body != self._expected:
            self.failure = (head + body)[:500].decode(errors="replace")
            self.going_on = False
        self.count += 1
        self.spent = time.monotonic() - self._began
        if self.spent >= self._seconds:
            self.going_on = False

    def lost(self) -> None:
        """One connection has ended."""
        self._left -= 1
        if self.going_on:
            self.failure, self.going_on = self.failure or "a connection was lost", False
        if self._left == 0:
            self.over.set()


def _answer(data: bytes) -> tuple[bytes, bytes] | None:
    """Head and body, once both are there. Answers have a length; one without has none of the right body."""
    head, found, body = data.partition(_HEAD_END)
    if not found:
        return None
    for line in head.split(b"\r\n"):
        if line.lower().startswith(_LENGTH):
            return (head, body) if len(body) >= int(line[len(_LENGTH) :]) else None
    return head, body


async def run(port: int, connections: int, seconds: float, request: bytes) -> Load:
    """Runs the load."""
    load = Load(request, connections, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Client(load), "127.0.0.1", port)
    try:
        await asyncio.wait_for(load.over.wait(), seconds + _PATIENCE)
    except TimeoutError:
        load.failure = load.failure or "answers stay away"
    return load


def main() -> int:
    """The command."""
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    load = uvloop.run(run(port, connections, seconds, sys.stdin.buffer.read()))
    if load.failure:
        sys.stderr.write(f"{load.failure}\n")
        return 1
    sys.stdout.write(f"{load.count} {load.spent}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
