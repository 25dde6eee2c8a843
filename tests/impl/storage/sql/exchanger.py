"""Exchanges refresh tokens in a process of its own: python -m … URL NAME TOKEN…; a line on stdin begins."""

from __future__ import annotations

import asyncio
import json
import sys

from impl.logic.refresh_tokens import RefreshTokens
from impl.storage.database import Database
from impl.storage.logins import Logins

REFRESH = RefreshTokens(b"k" * 32, 1000)
NOW = 1_800_000_000_000


async def exchanged(logins: Logins, token: str, name: str, now_ms: int = NOW) -> tuple[str, str]:
    """The verdict, and the successor that goes with it."""
    successor, exchange = REFRESH.exchange(token, name, now_ms)
    found = await logins.exchange(exchange)
    return (found[0].value if found else "unknown", successor)


async def main(url: str, name: str, tokens: list[str]) -> None:
    """Writes a list of verdicts and successors."""
    async with Database(url) as database:
        logins = Logins(database)
        await database.check()
        print("ready", flush=True)  # noqa: T201 - to the test
        await asyncio.to_thread(sys.stdin.readline)
        results = await asyncio.gather(*(exchanged(logins, token, name) for token in tokens))
        print(json.dumps(results))  # noqa: T201 - to the test


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
