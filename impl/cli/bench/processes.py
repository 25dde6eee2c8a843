"""Processes of a benchmark: started, waited for, ended, and asked for their processor time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

_READY_SECONDS = 20.0
_PAUSE = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def process(*command: str, port: int) -> AsyncIterator[int]:
    """Runs a program while the context lasts; yields its process id once it listens on the port.

    Raises:
        OSError: it cannot be started, or ends, or does not listen in time; with what it said.
    """
    started = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        await _listening(started, port)
        yield started.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        await started.communicate()


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of this program."""
    return sys.executable, "-P", "-m", name, *arguments


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _listening(started: asyncio.subprocess.Process, port: int) -> None:
    for _ in range(int(_READY_SECONDS / _PAUSE)):
        if started.returncode is not None:
            break
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_PAUSE)
        else:
            writer.close()
            return
    said = b""
    if started.returncode is not None and started.stderr:
        said = await started.stderr.read()
    raise OSError(f"a program of the benchmark does not serve: {said.decode(errors='replace')[-500:]}")
