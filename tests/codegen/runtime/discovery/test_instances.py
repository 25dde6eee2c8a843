from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.discovery import instances as module
from tests.servers import Etcd as EtcdProcess

HOLDER = Path(__file__).with_name("holder.py")


def instance(name: str, boot_id: str = "b") -> Instance:
    return Instance("tier", name, boot_id, f"127.0.0.1:{len(name)}", {"url": "ws://x"})


async def until(instances: Instances, holds: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await instances.changed()


@contextlib.asynccontextmanager
async def holder(server: EtcdProcess, what: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, HOLDER, server.endpoint, what, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_registered_instances_are_seen_sorted_and_go_when_they_leave(etcd: Etcd) -> None:
    async with Instances(etcd, "tier") as live:
        assert live.all() == ()
        async with register(etcd, instance("b"), 5), register(etcd, instance("a"), 5):
            await until(live, lambda: len(live.all()) == 2)
            assert live.all() == (instance("a"), instance("b"))
            assert live.get("a") == instance("a")
            assert live.get("c") is None
        await until(live, lambda: not live.all())


async def test_a_target_does_not_see_another_whose_name_it_begins(etcd: Etcd) -> None:
    other = Instance("tier-two", "x", "b", "127.0.0.1:1")
    async with register(etcd, other, 5), Instances(etcd, "tier") as live:
        assert live.all() == ()


async def test_leaving_does_not_remove_a_newer_registration_of_the_same_name(etcd: Etcd) -> None:
    async with contextlib.AsyncExitStack() as newer, Instances(etcd, "tier") as live:
        async with register(etcd, instance("a", "old"), 5):
            await newer.enter_async_context(register(etcd, instance("a", "new"), 5))
        await until(live, lambda: live.get("a") == instance("a", "new"))
        assert [entry.key for entry in await etcd.list("instances/")] == ["instances/tier/a"]


async def test_instances_stay_known_while_etcd_is_away_and_after_it_is_back(
    server: EtcdProcess, etcd: Etcd
) -> None:
    async with register(etcd, instance("a"), 2), Instances(etcd, "tier") as live:
        await server.kill()
        await asyncio.sleep(3)  # longer than the lease: nothing but the outage could remove it
        assert live.all() == (instance("a"),)
        await server.start()
        async with register(etcd, instance("b"), 2):
            await until(live, lambda: len(live.all()) == 2)
            assert live.get("a") is not None


async def test_an_etcd_that_comes_back_empty_is_filled_again_and_nobody_is_forgotten(
    server: EtcdProcess, etcd: Etcd
) -> None:
    async with register(etcd, instance("a"), 2), Instances(etcd, "tier") as live:
        await server.wipe()
        async with asyncio.timeout(20), contextlib.aclosing(etcd.watch("instances/tier/")) as states:
            async for state in states:
                assert live.all() == (instance("a"),)
                if state:
                    break


async def test_who_does_not_come_back_after_an_outage_is_forgotten_in_the_end(
    server: EtcdProcess, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE", 0.5)
    await etcd.put("instances/tier/gone", b'{"target":"tier","name":"gone","boot_id":"b","address":"x:1"}')
    async with Instances(etcd, "tier") as live:
        assert live.get("gone") is not None
        await server.wipe()
        await until(live, lambda: live.get("gone") is None)


async def test_an_unreadable_registration_is_passed_over(etcd: Etcd) -> None:
    await etcd.put("instances/tier/x", b"{")
    await etcd.put("instances/tier/y", b"[]")
    await etcd.put("instances/tier/z", b'{"target":"tier","name":5,"boot_id":"b","address":"x:1"}')
    await etcd.put("instances/tier/0", b'{"target":"tier","name":["a"],"boot_id":"b","address":"x:1"}')
    async with register(etcd, instance("a"), 5), Instances(etcd, "tier") as live:
        assert live.all() == (instance("a"),)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_registration_of_a_killed_or_frozen_process_expires(
    server: EtcdProcess, etcd: Etcd, number: signal.Signals
) -> None:
    async with Instances(etcd, "tier") as live, holder(server, "instance") as process:
        await until(live, lambda: live.get("held") is not None)
        process.send_signal(number)
        await until(live, lambda: live.get("held") is None)
        if number == signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            await until(live, lambda: live.get("held") is not None)


async def test_the_lock_of_a_frozen_process_is_free_after_its_lease(server: EtcdProcess, etcd: Etcd) -> None:
    async with holder(server, "lock") as process:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), etcd.lock("held"):
                pass
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(15), etcd.lock("held"):
            pass
