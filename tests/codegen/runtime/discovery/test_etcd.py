from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from codegen.runtime.discovery import Etcd
from codegen.runtime.discovery.watch import prefix_range
from codegen.runtime.errors import Error
from tests.servers import Etcd as EtcdProcess
from tests.servers import free_port


async def test_a_key_is_created_only_once(etcd: Etcd) -> None:
    first = await etcd.create("a/1", b"x")
    assert first is not None
    assert await etcd.create("a/1", b"y") is None
    assert await etcd.get("a/1") == first
    assert await etcd.get("a/2") is None


async def test_a_key_is_replaced_only_at_the_revision_seen(etcd: Etcd) -> None:
    await etcd.put("k", b"1")
    seen = await etcd.get("k")
    assert seen is not None
    assert await etcd.replace("k", b"2", seen.mod_revision)
    assert not await etcd.replace("k", b"3", seen.mod_revision)
    now = await etcd.get("k")
    assert now is not None
    assert now.value == b"2"


async def test_deleting_compares_the_revision_of_creation(etcd: Etcd) -> None:
    entry = await etcd.create("k", b"1")
    assert entry is not None
    assert not await etcd.delete("k", entry.create_revision + 1)
    assert await etcd.delete("k", entry.create_revision)
    assert not await etcd.delete("k")


async def test_a_list_is_sorted_and_holds_only_the_prefix(etcd: Etcd) -> None:
    for key in ("b/2", "b/1", "bb", "c"):
        await etcd.put(key, key.encode())
    assert [entry.key for entry in await etcd.list("b/")] == ["b/1", "b/2"]


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a/", b"a0"), (b"a\xff", b"b"), (b"\xff", b"\0"), (b"", b"\0")]
)
def test_the_range_of_a_prefix_ends_before_the_next_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_range(prefix) == end


async def test_an_absent_etcd_is_a_typed_error_within_the_timeout() -> None:
    async with Etcd([f"127.0.0.1:{free_port()}"], "/test", timeout=0.5) as etcd:
        began = time.monotonic()
        with pytest.raises(Error, match="DEPENDENCY_UNAVAILABLE"):
            await etcd.get("k")
        assert time.monotonic() - began < 5.0


async def test_a_frozen_etcd_is_a_typed_error_within_the_timeout(server: EtcdProcess) -> None:
    async with Etcd([server.endpoint], "/test", timeout=0.5) as etcd:
        await etcd.put("k", b"1")
        server.pause()
        with pytest.raises(Error, match="DEPENDENCY_UNAVAILABLE"):
            await etcd.get("k")
        server.resume()
        entry = await etcd.get("k")
        assert entry is not None


async def test_a_dead_endpoint_is_passed_over_for_a_live_one(server: EtcdProcess) -> None:
    async with Etcd([f"127.0.0.1:{free_port()}", server.endpoint], "/test") as etcd:
        assert await etcd.create("k", b"1") is not None


async def test_operations_work_again_after_etcd_was_killed_and_started(
    server: EtcdProcess, etcd: Etcd
) -> None:
    await etcd.put("k", b"1")
    await server.kill()
    with pytest.raises(Error):
        await etcd.get("k")
    await server.start()
    entry = await etcd.get("k")
    assert entry is not None
    assert entry.value == b"1"


async def test_a_watch_goes_on_across_a_restart_and_never_shows_less(server: EtcdProcess, etcd: Etcd) -> None:
    async with asyncio.timeout(30), aclosing(etcd.watch("w/")) as states:
        assert await anext(states) == {}
        await etcd.put("w/1", b"1")
        assert set(await anext(states)) == {"w/1"}
        await server.kill()
        await server.start()
        await etcd.put("w/2", b"2")
        assert set(await anext(states)) == {"w/1", "w/2"}
        await etcd.delete("w/1")
        assert set(await anext(states)) == {"w/2"}


async def test_a_lease_takes_its_keys_along(etcd: Etcd) -> None:
    async with etcd.lease(5) as lease:
        await etcd.put("k", b"1", lease)
        assert lease.generation == 1
    assert await etcd.get("k") is None


async def test_a_lease_outlives_a_killed_etcd_that_keeps_its_data(server: EtcdProcess, etcd: Etcd) -> None:
    async with etcd.lease(2) as lease:
        await etcd.put("k", b"1", lease)
        await server.kill()
        await asyncio.sleep(1)  # longer than a keep-alive interval: the keeper has to fail and go on
        await server.start()
        await asyncio.sleep(3)  # longer than the life of the lease: only keep-alives can hold it
        assert await etcd.get("k") is not None
        assert lease.generation == 1


async def test_a_lost_lease_is_made_anew(server: EtcdProcess, etcd: Etcd) -> None:
    async with asyncio.timeout(30), etcd.lease(2) as lease:
        renewed = asyncio.create_task(lease.renewed())
        await server.wipe()
        await renewed
        assert lease.generation == 2
        await etcd.put("k", b"1", lease)


async def test_a_write_under_a_lost_lease_makes_a_new_one_at_once(server: EtcdProcess, etcd: Etcd) -> None:
    async with asyncio.timeout(10), etcd.lease(60) as lease:
        renewed = asyncio.create_task(lease.renewed())
        await server.wipe()
        with pytest.raises(Error):
            await etcd.put("k", b"1", lease)
        await renewed
