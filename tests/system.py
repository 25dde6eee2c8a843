"""The whole system, started by `idiom up` as a child of the test run, as a user would start it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from impl.cli.leash import leashed
from tests.servers import free_ports

_READY_SECONDS = 90.0
_STOP_SECONDS = 40.0
_RESTART_SECONDS = 30.0
_UP = "Idiom is up: "
_READY = re.compile(r"idiom +\| (?P<name>\S+) is ready(?: again)? \(pid (?P<pid>\d+)\)")
_ALONE = ("redis_port", "etcd_port", "etcd_peer_port")
_COUNTED = ("gateway_port", "gateway_grpc_port", "connect_port", "logic_grpc_port", "connect_grpc_port")

IDIOM = (sys.executable, "-P", "-m", "impl.cli.main")
"""The `idiom` command, whatever the working directory."""


class Command:
    """A running `idiom` command; what it writes is read by a thread, so it never waits for the test."""

    def __init__(self, arguments: Sequence[str], variables: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.pids: dict[str, int] = {}
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            leashed([*IDIOM, *arguments]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(variables),
            start_new_session=True,
            preexec_fn=_hear_hangups,  # noqa: PLW1509 - only sets a signal's disposition
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for data in stream:
                self._note(data.decode(errors="replace").rstrip("\n"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _note(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            if ready := _READY.match(line):
                self.pids[ready["name"]] = int(ready["pid"])
            self._changed.notify_all()

    def log(self) -> str:
        """Everything written so far."""
        with self._changed:
            return "\n".join(self.lines)

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Exit code, once it has ended and all it wrote is read."""
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits for a condition on `lines` or `pids`; False when the time is over or the command ended."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, seconds)
            return condition()

    def until_line(self, text: str, seconds: float = _READY_SECONDS) -> None:
        """Waits for a line that contains `text`."""
        found = self.until(lambda: any(text in line for line in self.lines), seconds)
        assert found, f"no line with {text!r}:\n{self.log()}"


class System:
    """A running system. A second start uses the same ports and data."""

    def __init__(self, data_dir: Path, scale: int = 1, **settings: str) -> None:
        counted = {
            name: str(port) for name, port in zip(_COUNTED, free_ports(len(_COUNTED), scale), strict=True)
        }
        alone = {name: str(port) for name, port in zip(_ALONE, free_ports(3), strict=True)}
        self.data_dir = data_dir
        self.settings = {**counted, **alone, "data_dir": str(data_dir), **settings}
        self.scale = scale
        self._command: Command | None = None
        self._earlier = ""

    @property
    def command(self) -> Command:
        """The running supervisor."""
        assert self._command is not None, "the system does not run"
        return self._command

    @property
    def url(self) -> str:
        """Of the first gateway, without a slash at the end."""
        return self.gateway(1)

    def gateway(self, number: int) -> str:
        """Of gateway `number`, counted from 1."""
        return f"http://127.0.0.1:{self._port('gateway_port') + number - 1}"

    @property
    def grpc_address(self) -> str:
        """`host:port` of the first gateway's gRPC server."""
        return f"127.0.0.1:{self._port('gateway_grpc_port')}"

    def socket(self, number: int = 1) -> str:
        """Of the socket of connect `number`, counted from 1."""
        return f"ws://127.0.0.1:{self._port('connect_port') + number - 1}/v1/ws"

    @property
    def logic_address(self) -> str:
        """`host:port` of the first logic's gRPC server."""
        return f"127.0.0.1:{self._port('logic_grpc_port')}"

    @property
    def etcd_endpoints(self) -> tuple[str, ...]:
        """Of the embedded etcd."""
        return (f"127.0.0.1:{self._port('etcd_port')}",)

    @property
    def redis_url(self) -> str:
        """Of the embedded Redis, with its password."""
        password = (self.data_dir / "secrets" / "redis").read_text().strip()
        return f"redis://:{password}@127.0.0.1:{self._port('redis_port')}/0"

    def start(self) -> None:
        """Returns once everything is ready."""
        assert self._command is None, "the system runs already"
        variables = {f"IDIOM_{name.upper()}": value for name, value in self.settings.items()}
        self._command = Command(["up", "--scale", str(self.scale)], variables)
        self._command.until_line(_UP)

    def stop(self) -> int:
        """SIGTERM to the supervisor; returns its exit code once everything has ended."""
        return self._end(signal.SIGTERM)

    def crash(self) -> None:
        """SIGKILL to the supervisor; returns once everything has ended."""
        pids = list(self.command.pids.values())
        self._end(signal.SIGKILL)
        wait_gone(pids)

    def _end(self, number: signal.Signals) -> int:
        command, self._command = self.command, None
        command.process.send_signal(number)
        try:
            return command.wait()
        finally:
            self._earlier += command.log() + "\n"
            if command.process.poll() is None:
                command.process.kill()
                command.wait()

    def close(self) -> None:
        """Stops what still runs."""
        if self._command is not None:
            self.stop()

    def pid(self, name: str) -> int:
        """Process id of `logic-1`, `redis` and so on, when it was last ready."""
        return self.command.pids[name]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to one process."""
        os.kill(self.pid(name), number)

    async def kill_and_wait(self, name: str) -> None:
        """SIGKILL to one process; returns once its successor is ready."""
        killed = self.pid(name)
        self.kill(name)
        await self.wait_restarted(name, killed)

    async def wait_restarted(self, name: str, killed: int) -> None:
        """Returns once a process with another id than `killed` is ready under the name."""
        command = self.command
        restarted = await asyncio.to_thread(
            command.until, lambda: command.pids.get(name) != killed, _RESTART_SECONDS
        )
        assert restarted, f"{name} was not started again:\n{self.log()}"

    def log(self) -> str:
        """Everything that all processes have written, earlier runs included."""
        return self._earlier + (self._command.log() if self._command else "")

    def _port(self, name: str) -> int:
        return int(self.settings[name])


def _hear_hangups() -> None:
    """Under nohup the test run ignores SIGHUP, and so would its children."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def clean_environment(variables: dict[str, str]) -> dict[str, str]:
    """This environment with no settings but the given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IDIOM_")}
    return inherited | variables


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def wait_gone(pids: Sequence[int], seconds: float = 10.0) -> None:
    """Waits until none of the processes, which are nobody's children here, exists any more."""
    deadline = time.monotonic() + seconds
    while remaining := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"still running: {remaining}"
        time.sleep(0.02)
