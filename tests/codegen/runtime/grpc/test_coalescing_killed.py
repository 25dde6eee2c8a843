"""Calls in frames while the processes that serve them are killed and frozen at random."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.method import Method, Retry
from tests.codegen.runtime.grpc.coalescing import Coalescing, Outcome, call, outcome, upstreams
from tests.codegen.runtime.grpc.echo import ONCE, SAY
from tests.servers import free_ports

SERVED = Path(__file__).with_name("served.py")
INSTANCES = 3
SECONDS = 7.0
NEVER = replace(ONCE, policy=replace(ONCE.policy, retry=Retry.NEVER))
METHODS = {"safe": SAY, "once": ONCE, "never": NEVER}
GONE: Outcome = ("cancelled", "")
FAILURES = {"DEPENDENCY_UNAVAILABLE", "NO_INSTANCE", "DEADLINE_EXCEEDED"}


class Instance:
    """A process that serves at one port, again and again."""

    def __init__(self, port: int, effects: Path) -> None:
        self._port = port
        self._effects = effects
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            SERVED,
            "a",
            str(self._port),
            str(self._effects),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._child.stdout
        assert await self._child.stdout.readline() == b"serving\n"

    async def kill(self) -> None:
        assert self._child
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._child.communicate()

    async def freeze(self, seconds: float) -> None:
        assert self._child
        self._child.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)  # the fault itself
        self._child.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def running(instances: list[Instance]) -> AsyncIterator[None]:
    try:
        await asyncio.gather(*(each.start() for each in instances))
        yield
    finally:
        await asyncio.gather(*(each.kill() for each in instances))


async def harm(instances: list[Instance], rng: random.Random, ends: float) -> int:
    """Kills and freezes one after the other; returns how many were killed."""
    killed = 0
    while time.monotonic() < ends:
        victim = rng.choice(instances)
        if rng.random() < 0.6:
            await victim.kill()
            killed += 1
            await asyncio.sleep(rng.random() / 4)
            await victim.start()
        else:
            await victim.freeze(rng.random() / 2)
    return killed


async def asked(through: Upstreams, method: Method, text: str, patience: float | None) -> Outcome:
    """One call; its caller may go away before it is answered."""
    try:
        async with asyncio.timeout(patience):
            return await outcome(call(through, method, text, timeout=5.0))
    except TimeoutError:
        return GONE


async def load(through: Upstreams, rng: random.Random, ends: float) -> dict[str, Outcome]:
    """Calls in bursts, about 150 under way; returns outcomes by text."""
    calls: dict[str, asyncio.Task[Outcome]] = {}
    under_way: set[asyncio.Task[Outcome]] = set()
    while time.monotonic() < ends:
        for _ in range(rng.randint(1, 30)):
            kind = rng.choice(list(METHODS))
            text = f"{kind} {len(calls)}"
            patience = rng.random() / 50 if rng.random() < 0.1 else None
            calls[text] = asyncio.create_task(asked(through, METHODS[kind], text, patience))
            under_way.add(calls[text])
        await asyncio.sleep(rng.random() / 100)
        if len(under_way) > 150:
            _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    return {text: await each for text, each in calls.items()}


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
async def test_no_call_is_lost_silently_or_made_twice_when_servers_die(
    services: ServiceTokens, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    ports, effects = free_ports(INSTANCES), tmp_path / "effects"
    instances = [Instance(port, effects) for port in ports]
    async with running(instances), upstreams(Coalescing, ports, services) as through:
        ends = time.monotonic() + SECONDS
        outcomes, killed = await asyncio.gather(load(through, rng, ends), harm(instances, rng, ends))
        streams = [each._stream for each in through._callers.values() if each._stream]
        assert not any(stream._sent or stream._waiting for stream in streams)
    happened = Counter(effects.read_text().splitlines())
    for text, found in outcomes.items():
        kind = text.split()[0]
        assert found in {("", text), GONE} or found[0] in FAILURES, (text, found)
        assert found != ("", text) or happened[text], f"{text} was answered and had no effect"
        assert happened[text] <= 1 or kind == "safe", f"{text} happened {happened[text]} times"
    kinds = Counter((text.split()[0], found[0]) for text, found in outcomes.items())
    assert killed >= 2
    assert kinds["once", "DEPENDENCY_UNAVAILABLE"], kinds
    assert all(kinds[kind, ""] > 500 for kind in METHODS), kinds
    assert not kinds["safe", "DEPENDENCY_UNAVAILABLE"], kinds
