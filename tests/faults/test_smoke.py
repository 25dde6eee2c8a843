"""Every process is killed in turn while senders keep sending; nothing accepted is lost, doubled or moved."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.checker import Record, violations
from tests.faults.participants import Account, Recipient, Sender, SocketSender, register

if TYPE_CHECKING:
    from tests.conftest import System

PAIRS = 10
RATE = 70.0
"""Sends per second in all; the promise is held at 50 and more."""
CALM_SECONDS = 10.0
RECOVERY_SECONDS = 15.0
VICTIMS = ("gateway-1", "logic-1", "task-1", "connect-1", "redis", "etcd")


@pytest.mark.timeout(300)
async def test_no_kill_of_any_process_loses_doubles_or_moves_a_message(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.url, limits=httpx.Limits(max_connections=64)) as http:
        senders, recipients = await _participants(http)
        recoveries, duration = await _storm(system, senders, recipients)
        accepted = [record for sender in senders for record in sender.accepted]
        await _settled(recipients, accepted, senders)
    print(_report(senders, recipients, recoveries, duration))  # noqa: T201 - the figures of the run
    stored = await _stored(system.data_dir / "idiom.sqlite3", len(accepted))
    assert max(recoveries.values()) <= RECOVERY_SECONDS, recoveries
    assert len(accepted) >= 2000
    assert len(accepted) / duration >= 50
    assert [line for sender in senders for line in sender.unexpected] == []
    assert [line for recipient in recipients for line in recipient.unexpected] == []
    views = {recipient.account.name: recipient.view() for recipient in recipients}
    assert violations(accepted, views, _recipient_of(accepted, senders), stored) == []
    assert sum(recipient.live for recipient in recipients) > 0
    assert "Traceback" not in system.log()


async def _participants(http: httpx.AsyncClient) -> tuple[list[Sender], list[Recipient]]:
    accounts = [await register(http, f"fault-{number}") for number in range(2 * PAIRS)]
    pairs = list(zip(accounts[:PAIRS], accounts[PAIRS:], strict=True))
    senders = [
        (SocketSender if number % 2 else Sender)(http, a, b, PAIRS / RATE)
        for number, (a, b) in enumerate(pairs)
    ]
    return senders, [Recipient(http, b) for _, b in pairs]


async def _storm(
    system: System, senders: list[Sender], recipients: list[Recipient]
) -> tuple[dict[str, float], float]:
    stop = asyncio.Event()
    progress = _Progress()
    recoveries: dict[str, float] = {}
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(recipient.run()) for recipient in recipients]
        started = time.monotonic()
        writers = [
            tasks.create_task(sender.run(stop, partial(progress.note, sender.account.name)))
            for sender in senders
        ]
        for victim in VICTIMS:
            await asyncio.sleep(CALM_SECONDS)
            system.kill(victim)
            recoveries[victim] = await progress.recovered(time.monotonic())
        await asyncio.sleep(CALM_SECONDS)
        stop.set()
        await asyncio.wait(writers)
        duration = time.monotonic() - started
        accepted = sum(len(sender.accepted) for sender in senders)
        for recipient, sender in zip(recipients, senders, strict=True):
            await recipient.wait_for(len(sender.accepted), 60.0)
        assert accepted
        for reader in readers:
            reader.cancel()
    return recoveries, duration


class _Progress:
    """Wakes whoever waits for accepted sends."""

    def __init__(self) -> None:
        self._starts: dict[str, float] = {}
        self._accepted = asyncio.Event()

    def note(self, sender: str, started: float) -> None:
        self._starts[sender] = started
        self._accepted.set()

    async def recovered(self, since: float) -> float:
        """Seconds until a send that each sender began after `since` was accepted."""
        async with asyncio.timeout(60.0):
            while any(started <= since for started in self._starts.values()):
                self._accepted.clear()
                await self._accepted.wait()
        return time.monotonic() - since


async def _settled(recipients: list[Recipient], accepted: list[Record], senders: list[Sender]) -> None:
    assert sum(len(recipient.view()) for recipient in recipients) >= len(accepted), [
        len(sender.accepted) for sender in senders
    ]


def _recipient_of(accepted: list[Record], senders: list[Sender]) -> dict[str, str]:
    names: dict[int, Account] = {sender.account.user_id: sender.to for sender in senders}
    return {record.conversation_id: names[record.sender_id].name for record in accepted}


async def _stored(path: Path, expected: int) -> list[Record]:
    """All rows, as soon as there are as many as expected; persisting lags behind accepting."""
    async with asyncio.timeout(30.0):
        while len(rows := await asyncio.to_thread(_rows, path)) < expected:  # noqa: ASYNC110 - written elsewhere
            await asyncio.sleep(0.2)
    return rows


def _rows(path: Path) -> list[Record]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT id, conversation_id, epoch, seq, sender_id, client_message_id FROM messages"
            " ORDER BY conversation_id, epoch, seq"
        )
        return [Record(*row) for row in rows]


def _report(
    senders: list[Sender], recipients: list[Recipient], recoveries: dict[str, float], duration: float
) -> str:
    accepted = sum(len(sender.accepted) for sender in senders)
    attempts = sum(sender.attempts for sender in senders)
    back = ", ".join(f"{victim} {seconds:.1f} s" for victim, seconds in recoveries.items())
    return (
        f"\n{accepted} accepted of {attempts} attempts in {duration:.0f} s ({accepted / duration:.0f}/s); "
        f"{sum(r.live for r in recipients)} live, {sum(r.sessions for r in recipients)} sessions; "
        f"sends again after: {back}"
    )
