"""`idiom up`: the whole system on one machine, under one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from impl.cli.child import Program
from impl.cli.claim import Port, check_ports, data_directory, generate_secrets
from impl.cli.embedded import EtcdServer, RedisServer, etcd_binary, valkey_binary
from impl.cli.output import Output
from impl.cli.refusal import Refusal
from impl.cli.supervisor import Supervisor
from impl.settings import Settings, environment, unknown_variables, variable

_STDOUT = 1
_GRACE_MARGIN = 3.0
_TIER_PORTS = {
    "logic": ("logic_grpc_port",),
    "task": (),
    "connect": ("connect_port", "connect_grpc_port"),
    "gateway": ("gateway_port", "gateway_grpc_port"),
}
"""Tiers in the order they start, and the ports of each."""


def up(settings: Settings, scale: int) -> None:
    """Runs everything until a signal ends it.

    Raises:
        Refusal: it cannot be started.
    """
    settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    with data_directory(settings.data_dir):
        check_ports(_ports(settings, scale))
        generate_secrets(settings.data_dir / "secrets")
        asyncio.run(_run(settings, scale))


async def _run(settings: Settings, scale: int) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    _handle_signals(loop, stop, hurry)

    def unread() -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(stop.set)

    with Output(_STDOUT, unread) as output:
        for name in unknown_variables():
            output.line("idiom", f"{name} is no setting of this version; it is ignored")
        try:
            async with Supervisor(output, hurry) as supervisor:
                if await _unless(stop, _bring_up(settings, scale, supervisor, output)):
                    output.line("idiom", f"Idiom is up: {_addresses(settings)} (Ctrl-C stops)")
                await stop.wait()
                output.line("idiom", "stopping")
        finally:
            output.line("idiom", "stopped")


def _handle_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def asked() -> None:
        (hurry if stop.is_set() else stop).set()

    loop.add_signal_handler(signal.SIGINT, asked)
    loop.add_signal_handler(signal.SIGTERM, asked)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means: go on without the terminal
        loop.add_signal_handler(signal.SIGHUP, stop.set)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was completed; it is given up once `stop` is set."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working})
    if working.cancelled():
        return False
    working.result()
    return True


async def _bring_up(settings: Settings, scale: int, supervisor: Supervisor, output: Output) -> None:
    servers = _servers(settings)
    output.line("idiom", f"data in {settings.data_dir}")
    migration = Program("migrate", lambda: _idiom("migrate"), environment(data_dir=settings.data_dir))
    if servers:
        output.line("idiom", f"starting {', '.join(server.name for server in servers)}")
        await supervisor.start(servers)
    output.line("idiom", "migrating the database")
    await supervisor.complete(migration)
    output.line("idiom", f"starting {scale} of each: {', '.join(_TIER_PORTS)}")
    await supervisor.start(*([_tier(settings, tier, i) for i in range(scale)] for tier in _TIER_PORTS))


def _servers(settings: Settings) -> list[Program]:
    """The embedded servers that the settings ask for."""
    programs = []
    verbose = settings.log_level == "DEBUG"
    if not settings.redis_url:
        redis = RedisServer(
            _binary(valkey_binary),
            settings.data_dir / "redis",
            settings.redis_port,
            (settings.data_dir / "secrets" / "redis").read_text().strip(),
            log_level="notice" if verbose else "warning",
        )
        programs.append(Program("redis", redis.command, environment(), redis.ready))
    if not settings.etcd_endpoints:
        etcd = EtcdServer(
            _binary(etcd_binary),
            settings.data_dir / "etcd",
            settings.etcd_port,
            settings.etcd_peer_port,
            log_level="info" if verbose else "warn",
        )
        programs.append(Program("etcd", etcd.command, environment(), etcd.ready))
    return programs


def _binary(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except (FileNotFoundError, ImportError) as error:
        raise Refusal(f"an embedded server is missing: {error}") from error


def _tier(settings: Settings, tier: str, index: int) -> Program:
    """One process of a tier; its ports count up from the tier's first."""
    own = {name: getattr(settings, name) + index for name in _TIER_PORTS[tier]}
    name = f"{tier}-{index + 1}"
    return Program(
        name,
        functools.partial(_idiom, "serve", tier),
        environment(data_dir=settings.data_dir, instance=name, **own),
        grace=settings.drain_seconds + _GRACE_MARGIN,
    )


def _idiom(*arguments: str) -> list[str]:
    # -P: a folder named like one of our packages in the working directory must not hide it.
    return [sys.executable, "-P", "-m", "impl.cli.main", *arguments]


def _ports(settings: Settings, scale: int) -> list[Port]:
    wanted = [
        (name, getattr(settings, name) + index)
        for names in _TIER_PORTS.values()
        for name in names
        for index in range(scale)
    ]
    if not settings.redis_url:
        wanted.append(("redis_port", settings.redis_port))
    if not settings.etcd_endpoints:
        wanted += [("etcd_port", settings.etcd_port), ("etcd_peer_port", settings.etcd_peer_port)]
    return [Port(variable(name), _host(settings, name), number) for name, number in wanted]


def _host(settings: Settings, port: str) -> str:
    if port in {"gateway_port", "gateway_grpc_port", "connect_port"}:
        return settings.host
    return settings.internal_host if port in {"logic_grpc_port", "connect_grpc_port"} else "127.0.0.1"


def _addresses(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared only
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.gateway_port}/ and gRPC at {host}:{settings.gateway_grpc_port}"
