"""One supervised process: started on a leash, watched until it is ready, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from impl.cli.leash import leashed
from impl.cli.output import Output
from impl.cli.refusal import Refusal

_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0
_RAN_WELL_SECONDS = 10.0
_READY_SECONDS = 120.0
_STILL_WAITING_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LAST_LINES_SECONDS = 1.0
_CHUNK = 65536
_LONGEST_LINE = 65536


@dataclass(frozen=True, slots=True)
class Program:
    """What to run."""

    name: str
    command: Callable[[], Sequence[str]]
    """Called before each start."""
    environment: Mapping[str, str]
    probe: Callable[[], Awaitable[bool]] | None = None
    """Whether it is ready; without a probe the program says so itself through `--ready-fd`."""
    grace: float = field(default=10.0, kw_only=True)
    """Seconds between SIGTERM and SIGKILL."""


class Child:
    """A program that is kept running until it is stopped.

    `run` is its life and belongs into a task; `ready` and `stop` are for whoever supervises it.
    """

    def __init__(self, program: Program, output: Output) -> None:
        self.program = program
        self.name = program.name
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ready(self) -> None:
        """Returns once it is ready for the first time.

        Raises:
            Refusal: it ended before, or took too long.
        """
        async with _still_waiting(self._output, self.name):
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    await asyncio.shield(self._ready)
            except TimeoutError:
                raise Refusal(f"{self.name} is not ready after {_READY_SECONDS:g} s") from None

    async def run(self) -> None:
        """Starts it, and again with a growing delay whenever it ends, until `stop`."""
        delay = _FIRST_DELAY
        try:
            while not self._stopping.is_set():
                ready_at = await self._live()
                if self._stopping.is_set() or self._refused():
                    break
                if ready_at is not None and time.monotonic() - ready_at > _RAN_WELL_SECONDS:
                    delay = _FIRST_DELAY
                self._say(f"ended ({self._ending()}); starting it again in {delay:g} s")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)
                delay = min(delay * 2, _LONGEST_DELAY)
        finally:
            self._ended.set()

    async def stop(self, hurry: asyncio.Event) -> None:
        """SIGTERM, then SIGKILL after the program's grace or once `hurry` is set. Returns once it is gone."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        hurried = asyncio.create_task(hurry.wait())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait(
                {hurried, ended}, timeout=self.program.grace, return_when=asyncio.FIRST_COMPLETED
            )
            if not self._ended.is_set():
                self._say("does not stop; killing it")
                self._signal(signal.SIGKILL)
            await ended
        finally:
            hurried.cancel()
            ended.cancel()

    async def _live(self) -> float | None:
        """One life of the process. Returns when it became ready, as `time.monotonic()`."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                process, told = await self._start(stack)
            except OSError as error:
                named = f"{error.filename}: " if error.filename else ""
                self._fail(f"cannot start {self.name}: {named}{error.strerror or error}")
                return None
            lines = asyncio.create_task(show_lines(process, self.name, self._output))
            readiness = asyncio.create_task(self._await_ready(told, process.pid))
            if self._stopping.is_set():
                self._signal(signal.SIGTERM)
            await process.wait()
            readiness.cancel()
            # Something the process has started may still hold its output.
            await asyncio.wait({lines}, timeout=_LAST_LINES_SECONDS)
            lines.cancel()
            await asyncio.wait({readiness})
            self._fail(f"{self.name} ended before it was ready ({self._ending()})")
            return None if readiness.cancelled() else readiness.result()

    async def _start(
        self, stack: contextlib.AsyncExitStack
    ) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader | None]:
        command = [*self.program.command()]
        told: asyncio.StreamReader | None = None
        inherited: tuple[int, ...] = ()
        if self.program.probe is None:
            told, write_end = await _notification_pipe(stack)
            inherited = (write_end,)
            command += ["--ready-fd", str(write_end)]
        try:
            process = self._process = await spawn(command, self.program.environment, inherited)
        finally:
            for descriptor in inherited:
                os.close(descriptor)
        return process, told

    async def _await_ready(self, told: asyncio.StreamReader | None, pid: int) -> float | None:
        if told is not None:
            if not await told.read(1):
                return None
        else:
            assert self.program.probe is not None  # noqa: S101 - one of the two is there
            while not await self.program.probe():  # noqa: ASYNC110 - such servers announce nothing
                await asyncio.sleep(_POLL_SECONDS)
        again = self._ready.done()
        self._say(f"is ready{' again' if again else ''} (pid {pid})")
        if not again:
            self._ready.set_result(None)
        return time.monotonic()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _say(self, text: str) -> None:
        self._output.line("idiom", f"{self.name} {text}")

    def _fail(self, sentence: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(Refusal(sentence))
            self._ready.exception()  # seen: not everybody waits for it

    def _refused(self) -> bool:
        return self._ready.done() and self._ready.exception() is not None

    def _ending(self) -> str:
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return "it could not be started"
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


async def spawn(
    command: Sequence[str], environment: Mapping[str, str], inherited: Sequence[int] = ()
) -> asyncio.subprocess.Process:
    """Starts a command on this process's leash, in a session of its own, its output in one pipe."""
    return await asyncio.create_subprocess_exec(
        *leashed(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        pass_fds=inherited,
        start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
    )


async def show_lines(process: asyncio.subprocess.Process, name: str, output: Output) -> None:
    """Shows what a process writes, line by line, until it closes its output."""
    assert process.stdout is not None  # noqa: S101 - spawn asks for a pipe
    rest = b""
    while chunk := await process.stdout.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            output.line(name, line.decode(errors="replace").rstrip())
    if rest:
        output.line(name, rest.decode(errors="replace").rstrip())


async def _notification_pipe(stack: contextlib.AsyncExitStack) -> tuple[asyncio.StreamReader, int]:
    """A reader that gets a byte from whoever inherits the write end; the caller closes its own."""
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    stack.callback(transport.close)
    return reader, write_end


@contextlib.asynccontextmanager
async def _still_waiting(output: Output, name: str) -> AsyncIterator[None]:
    """Shows progress while something takes long."""

    async def remind() -> None:
        while True:
            await asyncio.sleep(_STILL_WAITING_SECONDS)
            output.line("idiom", f"still waiting for {name}")

    reminder = asyncio.create_task(remind())
    try:
        yield
    finally:
        reminder.cancel()
