"""Requests to an app as a server hands them over, without a network, by processor time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from starlette.types import ASGIApp

BURST = 100
"""Requests between looks at the clock."""
OK = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    verb: str
    target: str
    body: bytes
    token: str

    def scope(self) -> dict[str, Any]:
        """As ASGI has it."""
        path, _, query = self.target.partition("?")
        headers = [
            (b"host", b"localhost"),
            (b"user-agent", b"bench"),
            (b"accept", b"*/*"),
            (b"authorization", f"Bearer {self.token}".encode()),
        ]
        if self.body:
            length = str(len(self.body)).encode()
            headers += [(b"content-type", b"application/json"), (b"content-length", length)]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.verb,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }


async def medians(apps: Sequence[ASGIApp], asked: Asked, *, rounds: int, least: float) -> list[list[float]]:
    """Seconds of processor time for one request to each app, of each round; apps take turns."""
    for app in apps:
        await _seconds(app, asked, least / 10)
    found: list[list[float]] = [[] for _ in apps]
    for number in range(rounds):
        order = list(range(len(apps)))
        for place in order if number % 2 == 0 else reversed(order):
            found[place].append(await _seconds(apps[place], asked, least))
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the rounds' ratios."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))


async def _seconds(app: ASGIApp, asked: Asked, least: float) -> float:
    plain = asked.scope()
    event = {"type": "http.request", "body": asked.body, "more_body": False}

    async def receive() -> Any:
        return event

    async def send(sent: Any) -> None:
        if sent.get("status", OK) != OK:
            raise RuntimeError(f"{asked.verb} {asked.target} is answered {sent}")

    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < least or not count:
        for _ in range(BURST):
            await app(dict(plain), receive, send)
            await asyncio.sleep(0)  # a server returns to its event loop, too
        count += BURST
    return spent / count
