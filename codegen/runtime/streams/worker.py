"""Works through one owned partition for one group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError
from idiom.v1 import reason_errors
from idiom.v1.runtime_pb2 import Handled
from redis.exceptions import RedisError

from codegen.runtime.errors import Error
from codegen.runtime.streams.backoff import Backoff
from codegen.runtime.streams.decoding import deliveries
from codegen.runtime.streams.delivery import Delivery
from codegen.runtime.streams.doorbell import Doorbell
from codegen.runtime.streams.fenced_group import NEW, PENDING, Claim, Entry, FencedGroup, id_order

logger = logging.getLogger(__name__)

T = TypeVar("T")
Handle = Callable[[Sequence[Delivery[Any]]], Awaitable[Sequence[Handled]]]

OK: Final = Handled.OUTCOME_UNSPECIFIED
RETRY: Final = Handled.OUTCOME_RETRY
DEAD_LETTER: Final = Handled.OUTCOME_DEAD_LETTER
PAUSE: Final = Handled.OUTCOME_PAUSE


class PartitionWorker:
    """Reads, hands over, acknowledges; in order, and never further than what is acknowledged."""

    def __init__(self, group: FencedGroup, doorbell: Doorbell, claim: Claim, handle: Handle) -> None:
        self._group = group
        self._doorbell = doorbell
        self._claim = claim
        self._handle = handle
        self._stop = asyncio.Event()
        self._last = claim.last
        self._unsure = True
        """Whether entries may be pending that we do not know of."""
        self._inherited = True
        """Whether they were given to an earlier owner."""
        self._away = False
        """Whether the last call to Redis failed."""
        self._name = f"{group.stream.name}/{group.group.name}/{claim.partition}"

    def stop(self) -> None:
        """Lets `run` return after the batch under way."""
        self._stop.set()
        self._doorbell.ring(self._claim.partition)

    async def run(self) -> None:
        """Works until stopped.

        Raises:
            Error: FENCED when another owner has the partition.
        """
        while not self._stop.is_set():
            if entries := await self._read():
                # What was under way when an owner died may be why it died: one by one.
                size = 1 if self._inherited else len(entries)
                await self._work(entries, size=size, redelivered=self._inherited)
            elif not self._stop.is_set():
                await self._doorbell.wait(self._claim.partition, self._last)

    async def _read(self) -> list[Entry]:
        """Pending entries while there may be any that we do not know of, then new ones; none when stopped."""
        backoff = _redis_backoff()
        while not self._stop.is_set():
            after = PENDING if self._unsure else NEW
            entries = await self._answered(self._group.read, self._claim, after, self._group.group.batch)
            if entries:
                self._last = max(self._last, entries[-1][0].decode(), key=id_order)
                return entries
            if entries is None:  # the group may have been given entries all the same
                self._unsure = True
                await self._stopped_within(backoff.pause())
            elif self._unsure:
                self._unsure = self._inherited = False
            else:
                return []
        return []

    async def _work(self, entries: Sequence[Entry], *, size: int, redelivered: bool) -> None:
        """Returns when every entry is acknowledged, or when stopped."""
        left = await self._decoded(entries, redelivered=redelivered)
        backoff = Backoff(self._group.group.backoff, self._group.group.max_backoff)
        while left:
            batch = left[:size]
            outcomes = await self._outcomes(batch)
            if outcomes is None:
                size, outcomes = 1, [RETRY] * len(batch)
            done = [d.entry_id for d, outcome in zip(batch, outcomes, strict=True) if outcome == OK]
            if done and await self._until_answered(self._group.acknowledge, self._claim, done) is None:
                return
            again = [
                delivery._replace(redelivered=True)
                for delivery, outcome in zip(batch, outcomes, strict=True)
                if outcome != OK
            ]
            left = again + left[len(batch) :]
            if done:
                backoff.reset()
            if (again and await self._stopped_within(backoff.pause())) or self._stop.is_set():
                return

    async def _decoded(self, entries: Sequence[Entry], *, redelivered: bool) -> list[Delivery[Any]]:
        try:
            return self._deliveries(entries, redelivered=redelivered)
        except DecodeError:
            return await self._decodable(entries, redelivered=redelivered)

    async def _decodable(self, entries: Sequence[Entry], *, redelivered: bool) -> list[Delivery[Any]]:
        """What can be decoded; the rest becomes dead letters."""
        found: list[Delivery[Any]] = []
        dead = []
        for entry in entries:
            try:
                found += self._deliveries([entry], redelivered=redelivered)
            except DecodeError as error:
                dead.append(entry[0].decode())
                logger.error("%s: entry %s cannot be decoded: %s", self._name, dead[-1], error)  # noqa: TRY400 - the entry is at fault
        if dead:
            await self._until_answered(partial(self._group.acknowledge, dead=True), self._claim, dead)
        return found

    def _deliveries(self, entries: Sequence[Entry], *, redelivered: bool) -> list[Delivery[Any]]:
        return deliveries(entries, self._group.stream.message, self._claim, redelivered=redelivered)

    async def _outcomes(self, batch: Sequence[Delivery[Any]]) -> list[int] | None:
        """One outcome for each delivery; None when the handler failed without saying whose fault it was."""
        try:
            handled = await self._handle(batch)
        except Error as error:
            logger.warning("%s: %d entries from %s: %s", self._name, len(batch), batch[0].entry_id, error)
            return [PAUSE if error.code_name == "UNAVAILABLE" else RETRY] * len(batch)
        except Exception:  # the outermost loop of the partition: a defect must not end it
            logger.exception("%s: %d entries from %s failed", self._name, len(batch), batch[0].entry_id)
            return None
        if len(handled) != len(batch):
            logger.error("%s: %d outcomes for %d entries", self._name, len(handled), len(batch))
            return None
        self._report(list(zip(batch, handled, strict=True)))
        return [one.outcome for one in handled]

    def _report(self, handled: Sequence[tuple[Delivery[Any], Handled]]) -> None:
        """Says what did not succeed; what a whole batch has met is said once."""
        for (outcome, reason), alike in groupby(handled, lambda pair: (pair[1].outcome, pair[1].reason)):
            if outcome == OK:
                continue
            deliveries = [delivery for delivery, _ in alike]
            first = deliveries[0]
            # Once at the level that somebody looks at; repetitions are for those who search.
            level = logging.ERROR if outcome == DEAD_LETTER else logging.WARNING
            logger.log(
                logging.DEBUG if first.redelivered else level,
                "%s: %d entries from %s: %s: %s",
                self._name,
                len(deliveries),
                first.entry_id,
                Handled.Outcome.Name(outcome),
                reason,
            )

    async def _until_answered(self, call: Callable[..., Awaitable[T]], *args: Any) -> T | None:
        """Repeats a call while Redis is away; None when stopped meanwhile."""
        backoff = _redis_backoff()
        while (answer := await self._answered(call, *args)) is None:
            if await self._stopped_within(backoff.pause()):
                return None
        return answer

    async def _answered(self, call: Callable[..., Awaitable[T]], *args: Any) -> T | None:
        """One call; None when Redis is away, in which case it may have happened or not."""
        try:
            answer = await call(*args)
        except (Error, RedisError, OSError) as error:
            if isinstance(error, Error) and error.reason == reason_errors.FENCED:
                raise
            level = logging.DEBUG if self._away else logging.WARNING  # an outage is said once
            logger.log(level, "%s: Redis cannot be used now: %r", self._name, error)
            self._away = True
            return None
        self._away = False
        return answer

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stop.wait()
        except TimeoutError:
            return False


def _redis_backoff() -> Backoff:
    return Backoff(0.05, 1.0)
