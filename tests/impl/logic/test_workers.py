from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE

from codegen.runtime.discovery import Etcd, register
from codegen.runtime.errors import Error
from impl.logic.ids import SEQUENCES, WORKERS
from impl.logic.workers import Candidate, Ids, Reservation, candidates
from tests import servers
from tests.impl.logic.conftest import logic


async def new() -> bool:
    return True


async def old() -> bool:
    return False


def worker_of(snowflake: int) -> int:
    return snowflake // SEQUENCES % WORKERS


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """etcd's keys change by a task of the process under test; nothing announces it."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


RESERVATIONS = st.dictionaries(
    st.integers(0, WORKERS - 1),
    st.tuples(
        st.builds(Reservation, mark=st.integers(0, 20), holder=st.sampled_from(["", "a", "b"])),
        st.integers(1, 9),
    ),
    max_size=20,
)


@given(RESERVATIONS, st.sets(st.sampled_from(["a", "b"])), st.integers(0, 20), st.integers(0, 20))
def test_only_numbers_whose_ids_all_lie_in_the_past_may_be_taken(
    held: dict[int, tuple[Reservation, int]], living: set[str], now: int, opens: int
) -> None:
    found = candidates(held, living, now, opens)
    for worker, revision in ((c.worker, c.revision) for c in found):
        if worker in held:
            assert held[worker][0].mark < now
            assert held[worker][0].holder not in living
            assert held[worker][1] == revision
        else:
            assert revision == 0
            assert now >= opens
    if now >= opens:
        assert WORKERS - len(held) <= len(found)


def test_a_number_given_back_is_taken_again_first() -> None:
    held = {0: (Reservation(9, "a"), 3), 1: (Reservation(4, ""), 5)}
    assert candidates(held, {"a"}, 10, 0)[:2] == [Candidate(1, 5), Candidate(2, 0)]


async def test_processes_hold_different_numbers_and_give_them_back(keys: Etcd) -> None:
    async with Ids(keys, logic("a"), new) as a, Ids(keys, logic("b"), new) as b:
        assert worker_of(a.next()) == a.worker != b.worker == worker_of(b.next())
        first = max(a.next(), b.next())
    async with Ids(keys, logic("c"), old) as c:
        assert c.worker in {0, 1}
        assert c.next() > first


async def test_many_that_start_at_once_get_different_numbers(keys: Etcd) -> None:
    everybody = [Ids(keys, logic(f"l{n}"), new) for n in range(12)]
    await asyncio.gather(*(ids.__aenter__() for ids in everybody))
    assert len({ids.worker for ids in everybody}) == 12
    await asyncio.gather(*(ids.__aexit__(None, None, None) for ids in everybody))


async def test_the_number_of_a_process_that_died_is_not_taken_before_its_mark_has_passed(keys: Etcd) -> None:
    dead = Ids(keys, logic("dead"), new, reservation_ms=600)
    await dead.__aenter__()
    assert dead._keeper is not None
    dead._keeper.cancel()
    last = dead.next()
    async with Ids(keys, logic("other"), new) as other:
        assert other.worker != dead.worker

    async def takes_it() -> bool:
        async with Ids(keys, logic("next"), new) as ids:
            assert ids.next() > last
            return ids.worker == dead.worker

    await until(takes_it)


async def test_a_mark_is_extended_while_the_process_lives(keys: Etcd) -> None:
    async with Ids(keys, logic(), new, reservation_ms=500) as ids:
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert worker_of(ids.next()) == 0
            await asyncio.sleep(0.01)


async def test_an_empty_etcd_beside_old_data_waits_one_reservation(keys: Etcd) -> None:
    start = time.monotonic()
    async with Ids(keys, logic("a"), old, reservation_ms=700), Ids(keys, logic("b"), old):
        assert 0.7 <= time.monotonic() - start < 5


async def test_a_process_whose_number_was_taken_goes_on_with_another(keys: Etcd) -> None:
    async with Ids(keys, logic(), new, reservation_ms=500) as ids:
        taken = ids.worker
        before = ids.next()
        thief = Reservation(1 << 60, "thief")
        await keys.put(f"workers/{taken}", json.dumps({"mark": thief.mark, "holder": thief.holder}).encode())

        async def moved() -> bool:
            return ids.worker != taken

        await until(moved)
        assert worker_of(ids.next()) == ids.worker
        assert ids.next() > before


async def test_a_living_process_keeps_its_number_though_its_mark_has_passed(keys: Etcd) -> None:
    living = logic("living")
    value = json.dumps({"mark": 1, "holder": living.boot_id}).encode()
    await keys.put("workers/0", value)
    async with register(keys, living, 5), Ids(keys, logic("starter"), new) as starter:
        assert starter.worker == 1


async def test_a_wiped_etcd_keeps_every_living_process_its_number() -> None:
    async with (
        servers.etcd_server() as server,
        Etcd((server.endpoint,), f"/{secrets.token_hex(4)}") as keys,
        Ids(keys, logic("a"), new, reservation_ms=20_000) as a,
        Ids(keys, logic("b"), new, reservation_ms=20_000) as b,
    ):
        await server.wipe()

        async def both_again() -> bool:
            return {0, 1} <= {
                int(e.key.split("/")[1]) for e in await keys.list("workers/") if e.key != "workers/open"
            }

        await until(both_again)
        assert {a.worker, b.worker} == {0, 1}


async def test_ids_run_out_only_when_etcd_is_away_for_longer_than_the_reservation() -> None:
    async with (
        servers.etcd_server() as server,
        Etcd((server.endpoint,), "/x", timeout=0.5) as keys,
        Ids(keys, logic(), new, reservation_ms=1500) as ids,
    ):
        await server.kill()
        ids.next()

        async def out() -> bool:
            try:
                ids.next()
            except Error:
                return True
            return False

        assert not await out()
        await until(out)
        await server.start()

        async def back() -> bool:
            return not await out()

        await until(back)


async def test_the_start_waits_for_a_database_that_is_away(keys: Etcd) -> None:
    away = iter([True, False])

    async def is_new() -> bool:
        if next(away):
            raise Error(DEPENDENCY_UNAVAILABLE, "the database is not available")
        return True

    async with Ids(keys, logic(), is_new) as ids:
        assert ids.next() > 0
