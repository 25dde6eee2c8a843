"""Worker numbers for Snowflake ids, held in etcd.

`workers/<n>` says up to when ids of worker n may have been made: its mark. A holder keeps its mark far enough
ahead to survive an outage of etcd; whoever takes the number over begins above it. So no two ids are the
same however the clocks of two machines differ, and a holder that was cut off finds its number taken, not
shared.

`workers/open` protects against an etcd that has lost its data: numbers that are not written there may be
taken only from then on, one reservation after the first process found etcd empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from codegen.runtime.background import background
from codegen.runtime.discovery import Entry, Etcd, Instance
from codegen.runtime.errors import Error
from impl.logic.ids import WORKERS, Clock, Snowflakes, monotonic_clock

RESERVATION_MS = 90_000
"""How far a mark runs ahead when it is written: more than the tolerated outage of etcd of 60 s."""
EXTENSIONS = 9
"""Writes of a mark per reservation."""

_PREFIX = "workers/"
_OPEN = "workers/open"
_RETRY_SECONDS = 0.5

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Value of `workers/<n>`."""

    mark: int
    """Highest millisecond of which ids may have been made."""
    holder: str
    """Boot id of the process that holds it; empty after a clean stop."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker number that may be taken."""

    worker: int
    revision: int
    """Modification revision of its key, 0 if it has none."""


Held = Mapping[int, tuple[Reservation, int]]
"""Reservations, and the revisions of their keys, by worker number."""


def candidates(held: Held, living: AbstractSet[str], now: int, opens: int) -> list[Candidate]:
    """Numbers that may be taken at `now`, lowest first.

    Args:
        held: all reservations.
        living: boot ids of living processes.
        now: milliseconds of our clock.
        opens: from when on numbers without a reservation may be taken.
    """
    found = []
    for worker in range(WORKERS):
        if worker not in held:
            if now >= opens:
                found.append(Candidate(worker, 0))
            continue
        reservation, revision = held[worker]
        if reservation.mark < now and reservation.holder not in living:
            found.append(Candidate(worker, revision))
    return found


class Ids:
    """Makes ids; an async context manager that holds a worker number while it lasts.

    Args:
        etcd: where numbers are reserved.
        instance: whose boot id holds the number.
        is_new: whether the deployment has no data yet, so that no id can have been made before.
        reservation_ms: how far marks run ahead.
        clock: milliseconds of ids.
    """

    def __init__(
        self,
        etcd: Etcd,
        instance: Instance,
        is_new: Callable[[], Awaitable[bool]],
        *,
        reservation_ms: int = RESERVATION_MS,
        clock: Clock | None = None,
    ) -> None:
        self._etcd = etcd
        self._instance = instance
        self._is_new = is_new
        self._reservation_ms = reservation_ms
        self._clock = clock or monotonic_clock()
        self._snowflakes = Snowflakes(self._clock)
        self._worker = 0
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Takes a number; waits for etcd, for the database, and until a number may be taken."""
        await self._take()
        self._keeper = background(self._keep(), "worker-number")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the number back, so that it may be taken at once."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        with contextlib.suppress(Error):
            await self._write(Reservation(self._snowflakes.last_ms, ""))

    @property
    def worker(self) -> int:
        """The number held."""
        return self._worker

    def next(self) -> int:
        """A new id, higher than all before. Error DEPENDENCY_UNAVAILABLE when etcd was away for too long."""
        return self._snowflakes.next()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._reservation_ms / EXTENSIONS / 1000)
            try:
                await self._extend()
            except Error as error:
                _logger.warning("worker number %d is not extended: %s", self._worker, error)
            except Exception:
                _logger.exception("worker number %d is not extended", self._worker)

    async def _extend(self) -> None:
        """Moves the mark ahead; takes another number if ours belongs to somebody else by now."""
        mark = self._ahead()
        if await self._write(Reservation(mark, self._instance.boot_id)):
            self._snowflakes.use(self._worker, mark)
        else:
            _logger.warning("worker number %d was taken over", self._worker)
            await self._take()

    async def _write(self, reservation: Reservation) -> bool:
        """Whether the number is still ours, now with this reservation."""
        key = f"{_PREFIX}{self._worker}"
        entry = await self._etcd.get(key)
        if entry is None:  # etcd lost its data; until our mark nobody else can have taken the number
            alive = self._clock() <= self._snowflakes.mark
            return alive and await self._etcd.create(key, _encode(reservation)) is not None
        if _decode(entry).holder != self._instance.boot_id:
            return False
        return await self._etcd.replace(key, _encode(reservation), entry.mod_revision)

    async def _take(self) -> None:
        said = ""
        while True:
            why = "all are held, or etcd has lost its data and old ids must pass"
            try:
                if await self._try_to_take():
                    return
            except Error as error:
                why = str(error)
            if why != said:
                _logger.warning("waiting for a worker number: %s", why)
            said = why
            await asyncio.sleep(_RETRY_SECONDS)

    async def _try_to_take(self) -> bool:
        opens = await self._opens()
        held = {
            int(number): (_decode(entry), entry.mod_revision)
            for entry in await self._etcd.list(_PREFIX)
            if (number := entry.key.removeprefix(_PREFIX)).isdigit()
        }
        instances = await self._etcd.list(f"instances/{self._instance.target}/")
        living = {json.loads(entry.value)["boot_id"] for entry in instances}
        for candidate in candidates(held, living, self._clock(), opens):
            if await self._claim(candidate):
                return True
        return False

    async def _claim(self, candidate: Candidate) -> bool:
        key, mark = f"{_PREFIX}{candidate.worker}", self._ahead()
        value = _encode(Reservation(mark, self._instance.boot_id))
        if candidate.revision:
            done = await self._etcd.replace(key, value, candidate.revision)
        else:
            done = await self._etcd.create(key, value) is not None
        if done:
            self._worker = candidate.worker
            self._snowflakes.use(candidate.worker, mark)
        return done

    async def _opens(self) -> int:
        """From when on unknown numbers may be taken; decided by the first process that finds etcd empty."""
        entry = await self._etcd.get(_OPEN)
        if entry is None:
            wait = 0 if await self._is_new() else self._reservation_ms
            await self._etcd.create(_OPEN, str(self._clock() + wait).encode())
            entry = await self._etcd.get(_OPEN)
        return int(entry.value) if entry else 1 << 63

    def _ahead(self) -> int:
        return max(self._clock(), self._snowflakes.last_ms) + self._reservation_ms


def _encode(reservation: Reservation) -> bytes:
    return json.dumps(asdict(reservation)).encode()


def _decode(entry: Entry) -> Reservation:
    return Reservation(**json.loads(entry.value))
