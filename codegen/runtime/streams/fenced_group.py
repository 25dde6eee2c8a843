"""A consumer group whose entries only its owner can read and acknowledge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, TypeAlias

from idiom.v1 import reason_errors
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from codegen.runtime.errors import Error
from codegen.runtime.method import Group, Stream
from codegen.runtime.streams.partitions import CONSUMER, PartitionKeys

Entry: TypeAlias = tuple[bytes, Sequence[bytes] | None]
"""As Redis replies it: id, then names and values of fields; None if it was deleted while it was pending."""
NEW: Final = ">"
"""Reads entries that the group was not given yet."""
PENDING: Final = "0-0"
"""Reads, from the first one, entries that the group was given and has not acknowledged."""


def id_order(entry_id: str) -> tuple[int, int]:
    """Sorts entry ids as the stream does."""
    time, _, number = entry_id.partition("-")
    return int(time), int(number)


@dataclass(frozen=True, slots=True)
class Claim:
    """Ownership of one partition for one group."""

    partition: int
    token: int
    last: str
    """Id of the last entry that the group was given."""


class FencedGroup:
    """Scripts of one group. Those that take a token raise Error FENCED when a later owner exists."""

    def __init__(self, redis: Redis, stream: Stream[Any], group: Group) -> None:
        self.stream = stream
        self.group = group
        self._acquire = redis.register_script(_script("acquire"))
        self._read = redis.register_script(_script("read"))
        self._acknowledge = redis.register_script(_script("acknowledge"))

    def keys(self, partition: int) -> PartitionKeys:
        """Keys of a partition."""
        return PartitionKeys(self.stream.name, partition)

    async def acquire(self, partition: int, least: int) -> Claim:
        """Fences all earlier owners; the token is at least `least`. Makes the group if it is missing."""
        keys = self.keys(partition)
        token, last = await self._acquire(
            keys=[keys.owner(self.group.name), keys.stream, keys.counters], args=[self.group.name, least]
        )
        return Claim(partition, int(token), last.decode())

    async def read(self, claim: Claim, after: str, count: int) -> list[Entry]:
        """At most `count` entries: new ones, or pending ones after an id. Fields: `payload`, `ordinal`."""
        keys = self.keys(claim.partition)
        with _fencing():
            found: list[Entry] = await self._read(
                keys=[keys.stream, keys.owner(self.group.name)],
                args=[self.group.name, CONSUMER, claim.token, count, after],
            )
        return found

    async def acknowledge(self, claim: Claim, entry_ids: Sequence[str], *, dead: bool = False) -> int:
        """Acknowledges entries, copied to the stream `dead` if asked; returns how many were pending."""
        keys = self.keys(claim.partition)
        groups = self.stream.groups
        with _fencing():
            acknowledged: int = await self._acknowledge(
                keys=[keys.stream, keys.owner(self.group.name), keys.counters, keys.dead],
                args=[
                    self.group.name,
                    claim.token,
                    self.stream.retain,
                    int(dead),
                    len(groups),
                    *groups,
                    *entry_ids,
                ],
            )
        return acknowledged


@contextmanager
def _fencing() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        if str(error).startswith("FENCED"):
            raise Error(reason_errors.FENCED, str(error).removeprefix("FENCED ")) from None
        raise


def _script(name: str) -> str:
    return (files("codegen.runtime.streams") / "scripts" / f"{name}.lua").read_text()
