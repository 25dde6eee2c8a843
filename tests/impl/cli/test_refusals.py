"""What `idiom` says when it cannot: one sentence, an exit code, no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import MariaDb, free_port, free_ports
from tests.system import IDIOM, System, clean_environment

_SECRETS = {"user_secret": "u" * 32, "service_secret": "s" * 32}


def _idiom(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    variables = clean_environment({f"IDIOM_{name.upper()}": str(value) for name, value in settings.items()})
    return _run([*IDIOM, *arguments], variables)


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


def _assert_sentence(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("idiom: ")
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.fixture
def busy_port() -> Iterator[int]:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        yield port


@pytest.mark.parametrize(
    "name",
    [
        "gateway_port",
        "gateway_grpc_port",
        "connect_port",
        "logic_grpc_port",
        "connect_grpc_port",
        "redis_port",
        "etcd_port",
    ],
)
def test_a_busy_port_is_named_with_its_variable(tmp_path: Path, busy_port: int, name: str) -> None:
    ports = {**System(tmp_path).settings, "data_dir": tmp_path, name: busy_port}
    result = _idiom("up", **ports)
    _assert_sentence(result, f"port {busy_port} is in use", f"IDIOM_{name.upper()}")


def test_ports_that_overlap_are_named(tmp_path: Path) -> None:
    ports = System(tmp_path).settings
    result = _idiom("up", "--scale", "2", **ports | {"connect_port": str(int(ports["gateway_port"]) + 1)})
    _assert_sentence(result, "IDIOM_GATEWAY_PORT", "IDIOM_CONNECT_PORT")


def test_ports_that_count_up_too_far_are_named(tmp_path: Path) -> None:
    result = _idiom("up", "--scale", "2", **System(tmp_path).settings | {"gateway_port": "65535"})
    _assert_sentence(result, "port 65536", "IDIOM_GATEWAY_PORT")


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    result = _idiom("up", **System(tmp_path).settings | {"host": "192.0.2.1"})
    _assert_sentence(result, "192.0.2.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gateway_port", "eighty"),
        ("gateway_port", "70000"),
        ("redis_url", "http://localhost"),
        ("redis_url", "redis://localhost:port"),
        ("etcd_endpoints", "localhost"),
        ("database_url", "somewhere"),
        ("database_url", "postgresql://localhost/idiom"),
        ("public_connect_url", "http://example.org"),
        ("user_secret", "short"),
        ("log_level", "loud"),
        ("lease_seconds", "0"),
        ("lease_seconds", "1e12"),
        *(
            (name, value)
            for name in ("access_token_seconds", "refresh_token_seconds", "drain_seconds")
            for value in ("inf", "nan", "1e300", "1e12", "-1")
        ),
        ("instance", "a/b"),
    ],
)
def test_a_broken_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    result = _idiom("up", **{"data_dir": tmp_path / "data", name: value})
    _assert_sentence(result, f"IDIOM_{name.upper()}: ")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("verb", [["serve", "logic"], ["migrate"]])
def test_every_verb_names_a_broken_setting(tmp_path: Path, verb: list[str]) -> None:
    _assert_sentence(_idiom(*verb, data_dir=tmp_path, lease_seconds="x"), "IDIOM_LEASE_SECONDS: ")


def test_a_secret_is_not_repeated_in_the_complaint(tmp_path: Path) -> None:
    assert "hunter2" not in _idiom("up", data_dir=tmp_path, user_secret="hunter2").stderr


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _assert_sentence(_idiom("up", data_dir=tmp_path / "file"), "IDIOM_DATA_DIR")
    _assert_sentence(_idiom("migrate", data_dir=tmp_path / "file"), "IDIOM_DATA_DIR")


def test_a_data_directory_without_write_permission_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "data"
    if os.getuid() == 0:
        target = Path("/idiom-no-such-directory")  # below a directory that only root may write
        dropped = _as_nobody()
    else:
        tmp_path.chmod(0o500)
        dropped = []
    result = _run([*dropped, *IDIOM, "up"], clean_environment({"IDIOM_DATA_DIR": str(target)}))
    tmp_path.chmod(0o700)
    _assert_sentence(result, "IDIOM_DATA_DIR", "Permission denied", str(target))


def _as_nobody() -> list[str]:
    """Drops the right to write anywhere, but not the right to read the interpreter."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may write anywhere, and setpriv is not installed")
    write_anywhere = "-dac_override,-dac_read_search,-fowner,-chown"
    return [setpriv, "--reuid=65534", "--clear-groups", f"--bounding-set={write_anywhere}", "--inh-caps=-all"]


@pytest.mark.parametrize(
    "arguments", [[], ["up", "--scale", "0"], ["up", "--scale", "x"], ["serve", "x"], ["x"]]
)
def test_wrong_arguments_are_refused_with_usage(arguments: list[str]) -> None:
    result = _idiom(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: idiom")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("tier", "secret"), [("logic", "user"), ("task", "service")])
def test_a_tier_without_its_secret_is_refused(tmp_path: Path, tier: str, secret: str) -> None:
    other = {"service_secret" if secret == "user" else "user_secret": "x" * 32}
    result = _idiom("serve", tier, data_dir=tmp_path, **other)
    _assert_sentence(result, str(tmp_path / "secrets" / secret), f"IDIOM_{secret.upper()}_SECRET")


@pytest.mark.parametrize("verb", [["up"], ["serve", "gateway"]])
@pytest.mark.parametrize("content", ["", "short", " " * 40])
def test_a_secret_that_is_too_short_is_named(tmp_path: Path, verb: list[str], content: str) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "service").write_text("s" * 32)
    (secrets / "user").write_text(content)
    result = _idiom(*verb, **System(tmp_path).settings | {"data_dir": str(tmp_path)})
    _assert_sentence(result, str(secrets / "user"), "shorter than 32 bytes")


@pytest.mark.parametrize(
    ("tier", "port"),
    [
        ("gateway", "gateway_port"),
        ("gateway", "gateway_grpc_port"),
        ("connect", "connect_port"),
        ("connect", "connect_grpc_port"),
    ],
)
def test_a_tier_whose_port_is_busy_is_refused(tmp_path: Path, busy_port: int, tier: str, port: str) -> None:
    settings = {**System(tmp_path).settings, **_SECRETS, "data_dir": tmp_path, port: busy_port}
    result = _idiom("serve", tier, **settings)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    sentence = result.stderr.splitlines()[-1]  # logs stand above it
    assert sentence.startswith("idiom: ")
    assert str(busy_port) in sentence


@pytest.mark.parametrize("descriptor", ["99", "-1", str(1 << 40)])
def test_a_descriptor_that_is_not_open_is_refused(tmp_path: Path, descriptor: str) -> None:
    result = _idiom("serve", "gateway", f"--ready-fd={descriptor}", data_dir=tmp_path, **_SECRETS)
    _assert_sentence(result, f"--ready-fd {descriptor} ")


def test_what_stands_in_the_place_of_a_directory_is_named(tmp_path: Path) -> None:
    system = System(tmp_path)
    data = Path(system.settings["data_dir"])
    data.mkdir(exist_ok=True)
    (data / "redis").touch()
    result = _idiom("up", **system.settings)
    _assert_sentence(result, str(data / "redis"))


def test_what_a_migration_writes_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert _idiom("migrate", data_dir=tmp_path).returncode == 0
    assert (tmp_path / "idiom.sqlite3").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite+aiosqlite:////nowhere/at/all.sqlite3", "/nowhere/at/all.sqlite3"),
        ("mysql+pymysql://idiom:hunter2@127.0.0.1/idiom", "mysql+asyncmy://"),
        ("mysql://idiom:hunter2@127.0.0.1", "names no database"),
        ("mysql://idiom:hunter2@127.0.0.1:1/idiom", "Can't connect to MySQL server on '127.0.0.1'"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(
    tmp_path: Path, url: str, words: str
) -> None:
    result = _idiom("migrate", data_dir=tmp_path, database_url=url)
    _assert_sentence(result, words)
    assert "hunter2" not in result.stderr


def test_a_wrong_password_and_a_missing_database_are_said(tmp_path: Path, mariadb: MariaDb) -> None:
    wrong = _idiom("migrate", data_dir=tmp_path, database_url=mariadb.url("idiom_1", password="hunter2"))
    _assert_sentence(wrong, "Access denied for user 'idiom'@'127.0.0.1'")
    assert "hunter2" not in wrong.stderr
    missing = _idiom("migrate", data_dir=tmp_path, database_url=mariadb.url("idiom_missing"))
    _assert_sentence(missing, "Unknown database 'idiom_missing'")


def test_up_without_its_database_ends_with_the_reason(tmp_path: Path, mariadb: MariaDb) -> None:
    settings = System(tmp_path / "data").settings | {"database_url": mariadb.url("idiom_missing")}
    result = _idiom("up", **settings)
    assert result.returncode == 1
    assert "Unknown database 'idiom_missing'" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_help_and_version_answer() -> None:
    assert "idiom" in _idiom("--help").stdout
    assert "--scale" in _idiom("up", "--help").stdout
    assert _idiom("version").stdout.startswith("idiom ")


def test_free_ports_are_free_in_runs() -> None:
    first, second = free_ports(2, 3)
    assert not set(range(first, first + 3)) & set(range(second, second + 3))
