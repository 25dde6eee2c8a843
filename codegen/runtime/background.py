"""Work that goes on beside a task which sees it die."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

LOG = logging.getLogger(__name__)


def background(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Starts work that is never expected to fail; who starts it also ends it.

    If it fails nevertheless, that is logged and the task that started it is cancelled: a process that goes on
    without its leases or its view of the others looks alive and is not.
    """
    owner = asyncio.current_task()
    task = asyncio.create_task(work, name=name)

    def ended(done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            LOG.critical("%s failed", name, exc_info=error)
            if owner is not None:
                owner.cancel(f"{name} failed")

    task.add_done_callback(ended)
    return task
