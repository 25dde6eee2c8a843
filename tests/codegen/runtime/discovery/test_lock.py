from __future__ import annotations

import asyncio

import pytest

from codegen.runtime.discovery import Etcd, Lease
from codegen.runtime.discovery.lock import while_held
from codegen.runtime.errors import Error
from tests.servers import Etcd as EtcdProcess


async def test_only_one_holds_a_lock_and_each_gets_its_turn(etcd: Etcd) -> None:
    inside = 0
    turns = []

    async def work(name: int) -> None:
        nonlocal inside
        async with etcd.lock("one"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            turns.append(name)
            inside -= 1

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for name in range(5):
            group.create_task(work(name))
    assert sorted(turns) == [0, 1, 2, 3, 4]


async def test_locks_of_different_names_do_not_exclude_each_other(etcd: Etcd) -> None:
    async with asyncio.timeout(10), etcd.lock("one"), etcd.lock("one-more"):
        pass


async def test_waiting_for_a_lock_can_be_given_up(etcd: Etcd) -> None:
    async with etcd.lock("one"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), etcd.lock("one"):
                pass
    async with asyncio.timeout(5), etcd.lock("one"):
        pass


async def test_an_error_of_the_body_passes_and_frees_the_lock(etcd: Etcd) -> None:
    with pytest.raises(ZeroDivisionError):
        async with etcd.lock("one"):
            raise ZeroDivisionError
    async with asyncio.timeout(5), etcd.lock("one"):
        pass


async def test_the_body_is_cancelled_when_the_lock_may_be_lost(server: EtcdProcess, etcd: Etcd) -> None:
    async def hold() -> None:
        async with asyncio.timeout(20), etcd.lock("one", seconds=2):
            await server.kill()
            await asyncio.Event().wait()

    with pytest.raises(Error, match="lock was lost"):
        await hold()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_told_to_stop_as_the_lock_is_lost_stops(etcd: Etcd) -> None:
    async def hold(lease: Lease) -> None:
        async with while_held(lease):
            await asyncio.Event().wait()

    async with etcd.lease(5) as lease:
        task = asyncio.create_task(hold(lease))
        await asyncio.sleep(0.05)  # both it and its guard have to wait by now
        await lease.grant()  # tells who holds the lock, in the same moment as
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
