"""`idiom serve TIER`: one process of a tier."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import uvloop

from codegen.runtime.errors import Error
from impl.cli.refusal import Refusal
from impl.settings import Settings, variable

_Run = Callable[[Settings, Callable[[], None], asyncio.Event], Awaitable[None]]
_INTERRUPTED = 130
_NOISY = ("aetcd", "alembic", "aiosqlite", "asyncio", "grpc", "httpx", "websockets")
_PER_PARTITION = ("codegen.runtime.streams.ownership", "impl.storage.generation")
"""Write a line for each partition whenever a process comes or goes."""

_logger = logging.getLogger(__name__)


def serve(tier: str, settings: Settings, ready_fd: int | None) -> None:
    """Runs a tier until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        tier: name of the tier.
        settings: of this process.
        ready_fd: inherited descriptor that gets one byte once the tier serves.

    Raises:
        Refusal: the tier cannot serve.
    """
    named = settings.model_copy(update={"instance": settings.instance or f"{tier}-1"})
    log_to_stderr(settings.log_level)
    _check_secrets(tier, named)
    if ready_fd is not None:
        _check_open(ready_fd)
    run = cast("_Run", importlib.import_module(f"impl.{tier}.app").run)
    sentences: dict[str, None] = {}  # each once, in the order they came
    # Python before 3.11.4 puts what is raised within `except*` into a group of its own.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(run, named, ready_fd))
        except* (Error, OSError) as group:
            sentences.update(dict.fromkeys(map(_sentence, _leaves(group))))
        except* asyncio.CancelledError:
            sentences.setdefault(f"{named.instance} ends because a part of it failed; the log says which")
    if sentences:
        raise Refusal("; ".join(sentences))


def _check_open(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except (OSError, OverflowError) as error:
        raise Refusal(f"--ready-fd {descriptor} is not an open descriptor") from error


def _check_secrets(tier: str, settings: Settings) -> None:
    """Refuses at once, before the tier waits for its servers."""
    try:
        settings.service_key()
        if tier != "task":
            settings.user_key()
    except OSError as error:
        raise Refusal(
            f"cannot use {error.filename}: {error.strerror}; `idiom up` makes one where there is none, "
            f"or set {variable(f'{Path(error.filename).name}_secret')}"
        ) from error


async def _serve(run: _Run, settings: Settings, ready_fd: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)

    def ready() -> None:
        if ready_fd is None:
            _logger.info("%s serves", settings.instance)
        else:  # the supervisor says so
            os.write(ready_fd, b"1")
            os.close(ready_fd)

    await run(settings, ready, stop)


def _stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(_INTERRUPTED)
    stop.set()


def log_to_stderr(level: str) -> None:
    """Logs lines for people; the supervisor puts the name of the process in front of them."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in _NOISY if level == "DEBUG" else (*_NOISY, *_PER_PARTITION):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    leaves: list[Exception] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, Error) else str(error)
