"""What `idiom up` promises to the person at the terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from impl.cli.leash import leashed
from tests.system import IDIOM, Command, System, children, clean_environment, wait_gone

NAMES = {"redis", "etcd", "logic-1", "task-1", "connect-1", "gateway-1"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[System]:
    """A system of the test's own, not started."""
    system = System(tmp_path / "data")
    yield system
    system.close()


def test_the_last_line_is_the_address_of_the_page(own: System) -> None:
    own.start()
    said = [line for line in own.log().splitlines() if line.startswith("idiom ")]
    assert said[-1].endswith(f"| Idiom is up: {own.url}/ and gRPC at {own.grpc_address} (Ctrl-C stops)")
    assert httpx.get(f"{own.url}/healthz").status_code == 200
    assert set(own.command.pids) == NAMES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(own: System, number: signal.Signals) -> None:
    own.start()
    pids = children(own.command.process.pid)
    assert len(pids) == len(NAMES)
    assert own._end(number) == 0
    wait_gone(pids, 0)
    assert own.log().splitlines()[-1].endswith("| stopped")
    assert "Traceback" not in own.log()
    assert "killing it" not in own.log()


def test_a_killed_supervisor_leaves_nothing_and_can_be_started_again(own: System) -> None:
    own.start()
    pids = children(own.command.process.pid)
    own.crash()
    wait_gone(pids)
    own.start()


@pytest.mark.parametrize("line", ["starting redis", "migrating", "starting 1 of each", "logic-1 is ready"])
def test_a_signal_while_starting_ends_everything(own: System, line: str) -> None:
    variables = {f"IDIOM_{name.upper()}": value for name, value in own.settings.items()}
    command = Command(["up"], variables)
    command.until_line(line)
    pids = children(command.process.pid)
    command.process.terminate()
    assert command.wait() == 0
    wait_gone(pids, 0)
    assert "Traceback" not in command.log()


def test_a_reader_of_the_output_that_goes_away_ends_everything(own: System) -> None:
    with _plain(own, subprocess.PIPE) as process:
        assert process.stdout is not None
        _read_until(process.stdout.readline, b"Idiom is up")
        pids = children(process.pid)
        process.stdout.close()
        assert process.wait(30) == 0
        wait_gone(pids, 0)


def test_a_closed_terminal_ends_everything(own: System) -> None:
    with _terminal(own) as (process, master):
        _read_until(lambda: os.read(master, 65536), b"Idiom is up")
        pids = children(process.pid)
        os.close(master)
        assert process.wait(30) == 0
        wait_gone(pids, 0)


def test_ctrl_c_ends_everything_without_hitting_the_children_twice(own: System) -> None:
    with _terminal(own) as (process, master):
        _read_until(lambda: os.read(master, 65536), b"Idiom is up")
        pids = children(process.pid)
        written: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=(master, written))
        reader.start()
        os.write(master, b"\x03")
        assert process.wait(30) == 0
        reader.join(10)
        wait_gone(pids, 0)
        assert b"stopped" in b"".join(written)
        assert b"killing it" not in b"".join(written)
        os.close(master)


def test_a_second_start_in_the_same_directory_says_who_runs(system: System) -> None:
    second = subprocess.run(
        [*IDIOM, "up"],
        env=clean_environment({"IDIOM_DATA_DIR": str(system.data_dir)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"idiom: already running in {system.data_dir} (pid {system.command.process.pid})\n"
    )


def test_secrets_are_generated_for_the_owner_alone(system: System) -> None:
    secrets = system.data_dir / "secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in secrets.iterdir()} == {"user", "service", "redis"}
    for path in secrets.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_text()) >= 32
    assert len({path.read_text() for path in secrets.iterdir()}) == 3


def test_nothing_the_system_writes_can_be_read_by_others(system: System) -> None:
    for path in system.data_dir.rglob("*"):
        with suppress(FileNotFoundError):
            assert path.stat().st_mode & 0o077 == 0, path


def test_secrets_do_not_show_in_process_lists(system: System) -> None:
    secrets = [path.read_bytes() for path in (system.data_dir / "secrets").iterdir()]
    for pid in children(system.command.process.pid):
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(secret in command_line for secret in secrets)


@pytest.mark.parametrize("name", sorted(NAMES))
async def test_a_killed_process_is_started_again_and_said_so(system: System, name: str) -> None:
    await system.kill_and_wait(name)
    assert f"{name} ended (killed by SIGKILL); starting it again in" in system.log()
    assert f"{name} is ready again" in system.log()


@contextmanager
def _plain(system: System, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    yield from _popen(system, leashed([*IDIOM, "up"]), subprocess.DEVNULL, stdout)


@contextmanager
def _terminal(system: System) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command as the leader of a terminal's foreground group; yields the terminal's other side."""
    master, slave = pty.openpty()
    for process in _popen(system, leashed(["setsid", "--ctty", *IDIOM, "up"]), slave, slave):
        os.close(slave)
        yield process, master


def _popen(system: System, command: list[str], stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    variables = {f"IDIOM_{name.upper()}": value for name, value in system.settings.items()}
    with subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=subprocess.STDOUT, env=clean_environment(variables)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _read_until(read: Callable[[], bytes], text: bytes) -> None:
    seen = b""
    while text not in seen:
        chunk = read()
        assert chunk, seen.decode()
        seen += chunk


def _read_all(descriptor: int, into: list[bytes]) -> None:
    with suppress(OSError):  # a terminal without the other side gives EIO, not an end
        while chunk := os.read(descriptor, 65536):
            into.append(chunk)
