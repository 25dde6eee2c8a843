"""Calls end when their time is up and when their client goes, and otherwise are left alone."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from codegen.runtime.transcoding.disconnect import GRACE, ClientGoneError, Rounds, Watch
from tests.codegen.runtime.http.request import Client


class _Client:
    """What a server tells of a client, which stays until `goes` is set."""

    def __init__(self) -> None:
        self.goes = asyncio.Event()
        self.asked = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        self.asked.set()
        await self.goes.wait()
        return {"type": "http.disconnect"}


async def _forever() -> None:
    await asyncio.Event().wait()


def _watch(client: _Client, seconds: float | None, *, body_read: bool = True) -> Watch:
    return Watch(Rounds(asyncio.get_running_loop()), client.receive, seconds, body_read=body_read)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01, GRACE, 3 * GRACE])
async def test_a_late_call_is_ended(seconds: float) -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with _watch(_Client(), seconds):
            await _forever()
    took = asyncio.get_running_loop().time() - began
    assert max(0.0, seconds) <= took < max(0.0, seconds) + 1
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left behind


async def test_a_call_ends_with_its_client() -> None:
    async def call() -> None:
        client = _Client()
        async with _watch(client, 10):
            client.goes.set()
            await _forever()

    with pytest.raises(ClientGoneError):
        await call()
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_nobody_listens_to_a_client_who_is_still_sending() -> None:
    async def call() -> None:
        client = _Client()
        client.goes.set()
        async with _watch(client, 10, body_read=False) as watch:
            await asyncio.sleep(4 * GRACE)
            assert not client.asked.is_set()
            watch.body_read()
            await _forever()

    with pytest.raises(ClientGoneError):
        await call()


async def test_a_short_call_never_asks_for_its_client() -> None:
    client = _Client()
    async with _watch(client, 10):
        await asyncio.sleep(0)
    await asyncio.sleep(4 * GRACE)
    assert not client.asked.is_set()


async def test_a_lasting_call_is_left_alone_while_its_client_stays() -> None:
    client = _Client()
    async with _watch(client, None):
        await client.asked.wait()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_server_that_cannot_tell_does_not_end_calls() -> None:
    client = _Client()

    async def receive() -> dict[str, Any]:
        await client.receive()
        raise OSError

    client.goes.set()
    async with Watch(Rounds(asyncio.get_running_loop()), receive, 10, body_read=True):
        await client.asked.wait()
        await asyncio.sleep(GRACE)


async def _cancelled(block: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("seconds", [10.0, 0.02])
async def test_a_cancellation_from_outside_stays_one(seconds: float) -> None:
    async def block() -> None:
        async with _watch(_Client(), seconds):
            try:
                await _forever()
            finally:
                await asyncio.sleep(0.05)

    assert (await _cancelled(block)).cancelled()


async def test_another_error_passes() -> None:
    with pytest.raises(ValueError, match="x"):
        async with _watch(_Client(), 10):
            raise ValueError("x")


async def test_many_calls_share_their_rounds_which_end_with_the_last() -> None:
    rounds = Rounds(asyncio.get_running_loop())
    clients = [_Client() for _ in range(100)]

    async def call(client: _Client, *, lasts: bool) -> None:
        async with Watch(rounds, client.receive, 10, body_read=True):
            if lasts:
                await client.asked.wait()

    await asyncio.gather(*(call(client, lasts=number % 2 == 0) for number, client in enumerate(clients)))
    assert [client.asked.is_set() for client in clients] == [True, False] * 50
    await asyncio.sleep(4 * GRACE)
    assert not rounds.turns
    async with Watch(rounds, clients[1].receive, None, body_read=True):
        assert rounds.turns
        await clients[1].asked.wait()


@pytest.mark.parametrize("goes", [False, True])
async def test_a_body_that_is_given_again_and_again_holds_nothing_up(goes: bool) -> None:
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked > 100 or (goes and asked > 1):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"{}", "more_body": False}

    with pytest.raises(ClientGoneError if goes else TimeoutError):
        async with Watch(Rounds(asyncio.get_running_loop()), receive, 4 * GRACE, body_read=True):
            await _forever()
    assert asked == 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_each_loop_has_its_own_rounds_also_in_threads(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[bool] = []
    add = Rounds.add

    def noted(rounds: Rounds, watch: Watch) -> set[Watch]:
        added.append(rounds.loop is asyncio.get_running_loop())
        return add(rounds, watch)

    async def ask() -> None:
        for _ in range(500):
            assert (await Client(app).send("GET", "/v1/texts/a")).status == 200

    monkeypatch.setattr(Rounds, "add", noted)
    threads = [threading.Thread(target=asyncio.run, args=[ask()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(added), all(added)) == (2000, True)
