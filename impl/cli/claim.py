"""What `idiom up` makes sure of before it starts anything: the data directory, its secrets, and the ports."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from impl.cli.refusal import Refusal
from impl.settings import read_secret

SECRETS = ("user", "service", "redis")
_SECRET_BYTES = 32
_RELEASE_SECONDS = 1.5
_RETRY_SECONDS = 0.1
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a process will listen on."""

    variable: str
    """The setting it comes from."""
    host: str
    number: int


@contextlib.contextmanager
def data_directory(path: Path) -> Iterator[None]:
    """Makes the directory and holds it for this process alone.

    Raises:
        Refusal: it cannot be written, or another supervisor holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path / "idiom.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Refusal(f"cannot write to {path} (IDIOM_DATA_DIR): {error.strerror}") from error
    try:
        _hold(lock, path)
        yield
    finally:
        os.close(lock)


def _hold(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise Refusal(f"already running in {path} (pid {holder})") from None
    except OSError as error:
        raise Refusal(f"cannot lock {path / 'idiom.lock'}: {error.strerror}") from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def generate_secrets(directory: Path) -> None:
    """Makes each secret that does not exist yet; nobody but the owner may read them.

    Raises:
        Refusal: they cannot be written, or one that exists is too short.
    """
    try:
        directory.mkdir(exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        for name in SECRETS:
            _generate(directory / name)
    except OSError as error:
        raise Refusal(f"cannot write the secrets in {directory}: {error.strerror}") from error
    for name in SECRETS:
        _check(directory / name)


def _check(path: Path) -> None:
    try:
        read_secret(path)
    except OSError as error:
        raise Refusal(f"cannot use {path}: {error.strerror}; without it `idiom up` makes another") from error


def _generate(path: Path) -> None:
    if path.exists():
        path.chmod(0o600)
        return
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(_SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def check_ports(ports: Sequence[Port]) -> None:
    """Makes sure that all ports differ and are free.

    Children of a supervisor that was killed a moment ago may still be going: a busy port is tried again.

    Raises:
        Refusal: one is not; names the port and its variable.
    """
    _check_overlap(ports)
    deadline = time.monotonic() + _RELEASE_SECONDS
    for port in ports:
        while (problem := _problem(port)) is not None:
            if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise Refusal(_sentence(port, problem)) from problem
            time.sleep(_RETRY_SECONDS)


def _check_overlap(ports: Sequence[Port]) -> None:
    seen: dict[int, Port] = {}
    for port in ports:
        if port.number > _MAX_PORT:
            raise Refusal(f"port {port.number} ({port.variable}, counted up) is above {_MAX_PORT}")
        other = seen.setdefault(port.number, port)
        if other is not port:
            raise Refusal(f"port {port.number} is wanted by both {other.variable} and {port.variable}")


def _problem(port: Port) -> OSError | None:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            port.host, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _sentence(port: Port, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"port {port.number} is in use; free it or set {port.variable}"
    return f"cannot listen on {port.host}:{port.number} ({port.variable}): {problem.strerror}"
