"""Tells senders that the database holds their messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from itertools import islice
from types import TracebackType
from typing import Self

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from codegen.runtime.streams.backoff import Backoff
from impl.storage.sessions import Sessions
from impl.task.audience import Place, durable
from impl.task.courier import Courier
from impl.task.routing import Source, route

LOG = logging.getLogger(__name__)

WAITING = 10_000
"""Users and conversations of which a notice waits; more are dropped."""
BATCH = 512
"""Notices that are brought together."""
LAST_SECONDS = 1.0
"""For what waits at the end."""

Durable = tuple[int, Source]
"""The highest number that is stored, and the owner who stored it."""


class Notices:
    """Durable messages, told to the sessions of who sent them. An async context manager.

    Taking note never waits. What is lost here is only known later: who opens a session is told how far
    conversations are stored.

    Args:
        sessions: the session map.
        courier: to the gateways.
    """

    def __init__(self, sessions: Sessions, courier: Courier) -> None:
        self._sessions = sessions
        self._courier = courier
        self._waiting: dict[Place, Durable] = {}
        self._wake = asyncio.Event()
        self._ending = False
        self._dropping = False
        self.dropped = 0
        """Notices for which there was no room, since the start."""

    async def __aenter__(self) -> Self:
        """Starts telling."""
        self._task = background(self._run(), "notices")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tells what waits, if that is possible soon."""
        self._ending = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=LAST_SECONDS)
        self._task.cancel()
        await asyncio.wait([self._task])

    def put(self, source: Source, seqs: Mapping[Place, int]) -> None:
        """What users sent to conversations is stored, up to these numbers."""
        for place, seq in seqs.items():
            self._note(place, (seq, source))
        self._wake.set()

    def _note(self, place: Place, stored: Durable) -> None:
        known = self._waiting.get(place)
        if known is None and len(self._waiting) >= WAITING:
            self._drop()
        elif known is None or known[0] < stored[0]:
            self._waiting[place] = stored

    def _drop(self) -> None:
        self.dropped += 1
        if not self._dropping:  # said once until all that waited is told
            LOG.warning("%d senders wait to be told what is stored: more are not told", WAITING)
        self._dropping = True

    async def _run(self) -> None:
        backoff = Backoff(0.1, 2.0)
        while await self._any():
            batch = self._take()
            try:
                await self._tell(batch)
            except Error as error:
                LOG.info("%d notices wait: %s", len(batch), error)
                for place, stored in batch.items():
                    self._note(place, stored)
                await asyncio.sleep(backoff.pause())
            except Exception:  # the outermost loop of the task: a defect must not end it
                LOG.exception("%d notices failed", len(batch))
            else:
                backoff.reset()

    async def _any(self) -> bool:
        """Waits until there is something to tell; False when that is over."""
        while not self._waiting and not self._ending:
            self._dropping = False
            self._wake.clear()
            await self._wake.wait()
        return bool(self._waiting)

    def _take(self) -> dict[Place, Durable]:
        return {place: self._waiting.pop(place) for place in list(islice(self._waiting, BATCH))}

    async def _tell(self, batch: Mapping[Place, Durable]) -> None:
        sessions = await self._sessions.of([user for user, _ in batch])
        told = [
            (source, durable(user, conversation, seq))
            for (user, conversation), (seq, source) in batch.items()
        ]
        await self._courier.bring(route(told, sessions, {}))
