"""Children of the supervisor: readiness, restarts, and the order in which they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from impl.cli.child import Program
from impl.cli.output import Output
from impl.cli.refusal import Refusal
from impl.cli.supervisor import Supervisor
from impl.settings import environment


class _Lines:
    """What an Output has written, through a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", 0)
        self._reader = asyncio.StreamReader()
        self.seen: list[str] = []

    async def open(self) -> None:
        protocol = asyncio.StreamReaderProtocol(self._reader)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, self._file)

    def close(self) -> None:
        self._transport.close()

    async def until(self, text: str) -> str:
        async with asyncio.timeout(15):
            while not any(text in line for line in self.seen):
                self.seen.append((await self._reader.readline()).decode().rstrip())
        return next(line for line in self.seen if text in line)


@asynccontextmanager
async def _supervisor(hurry: asyncio.Event | None = None) -> AsyncIterator[tuple[Supervisor, _Lines]]:
    read_end, write_end = os.pipe()
    lines = _Lines(read_end)
    await lines.open()
    try:
        with Output(write_end, lambda: None) as output:
            async with Supervisor(output, hurry or asyncio.Event()) as supervisor:
                yield supervisor, lines
    finally:
        os.close(write_end)
        lines.close()


def _program(name: str, body: str, grace: float = 10.0) -> Program:
    """A Python program that is told its --ready-fd as `ready`."""
    source = "import os, signal, sys, time\nready = int(sys.argv[-1])\n" + textwrap.dedent(body)
    return Program(name, lambda: [sys.executable, "-I", "-S", "-c", source], environment(), grace=grace)


_SERVES = """
os.write(ready, b"1")
print("serving", flush=True)
signal.sigwait({signal.SIGTERM})
"""


async def test_lines_of_a_child_carry_its_name() -> None:
    async with _supervisor() as (supervisor, lines):
        await supervisor.start([_program("logic-1", "signal.pthread_sigmask(0, {15})\n" + _SERVES)])
        assert await lines.until("serving") == "logic-1   | serving"


async def test_a_child_that_dies_is_started_again_and_said_so() -> None:
    async with _supervisor() as (supervisor, lines):
        await supervisor.start([_program("logic-1", "signal.pthread_sigmask(0, {15})\n" + _SERVES)])
        pid = int((await lines.until("logic-1 is ready (pid")).rpartition(" ")[2].rstrip(")"))
        os.kill(pid, signal.SIGKILL)
        await lines.until("logic-1 ended (killed by SIGKILL); starting it again in 0.2 s")
        assert str(pid) not in await lines.until("logic-1 is ready again")


async def test_a_child_that_keeps_dying_waits_longer_each_time(tmp_path: Path) -> None:
    fails_later = f"""
    if os.path.exists({str(tmp_path / "once")!r}):
        sys.exit(3)
    open({str(tmp_path / "once")!r}, "w").close()
    os.write(ready, b"1")
    """
    async with _supervisor() as (supervisor, lines):
        await supervisor.start([_program("task-1", fails_later)])
        for ending, delay in ((0, 0.2), (3, 0.4), (3, 0.8)):
            await lines.until(f"task-1 ended (exit code {ending}); starting it again in {delay} s")


async def test_a_child_that_ends_before_it_is_ready_refuses_the_start() -> None:
    with pytest.raises(Refusal, match=r"^logic-1 ended before it was ready \(exit code 7\)$"):
        async with _supervisor() as (supervisor, _):
            await supervisor.start([_program("logic-1", "sys.exit(7)"), _program("task-1", _SERVES)])


async def test_a_program_that_does_not_exist_refuses_the_start() -> None:
    missing = Program("etcd", lambda: ["/nowhere/etcd"], environment())
    with pytest.raises(Refusal, match="etcd ended before it was ready"):
        async with _supervisor() as (supervisor, lines):
            await supervisor.start([missing])
    assert lines


async def test_stages_end_in_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    body = """
    signal.pthread_sigmask(signal.SIG_BLOCK, {{15}})
    os.write(ready, b"1")
    signal.sigwait({{15}})
    open({path!r}, "a").write({name!r})
    """
    programs = [[_program(name, body.format(path=str(order), name=name))] for name in "abc"]
    async with _supervisor() as (supervisor, _):
        await supervisor.start(*programs)
    assert order.read_text() == "cba"


_STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(ready, b"1")
time.sleep(100)
"""


async def test_a_child_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    async with asyncio.timeout(10), _supervisor() as (supervisor, _):
        await supervisor.start([_program("connect-1", _STUBBORN, grace=0.3)])


async def test_hurry_kills_at_once() -> None:
    hurry = asyncio.Event()
    async with asyncio.timeout(10), _supervisor(hurry) as (supervisor, _):
        await supervisor.start([_program("connect-1", _STUBBORN, grace=60)])
        hurry.set()


@pytest.mark.timeout(30)
def test_a_held_terminal_does_not_hold_the_system() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb"), Output(write_end, lambda: None) as output:
        for number in range(30_000):
            output.line("logic-1", f"line {number} {'x' * 200}")
        os.set_blocking(read_end, False)
        while True:  # lets the writer end
            try:
                os.read(read_end, 1 << 20)
            except BlockingIOError:
                break


async def test_a_reader_that_goes_away_is_noticed() -> None:
    read_end, write_end = os.pipe()
    broken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def unread() -> None:
        loop.call_soon_threadsafe(broken.set)

    with Output(write_end, unread):
        os.close(read_end)
        async with asyncio.timeout(5):
            await broken.wait()
    os.close(write_end)
