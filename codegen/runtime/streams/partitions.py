"""How order keys fall on partitions, and the keys that every partition has."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

CONSUMER = "owner"
"""The one consumer name of every group, so that a new owner simply reads its own pending entries."""


def partition_of(key: str, partitions: int) -> int:
    """The partition of an order key: CRC-32 (IEEE 802.3) of its UTF-8 form, modulo `partitions`."""
    return zlib.crc32(key.encode()) % partitions


@dataclass(frozen=True, slots=True)
class PartitionKeys:
    """Redis keys of one partition of one stream; all share the hash tag `{p<partition>}`."""

    name: str
    """Name of the stream."""
    partition: int

    @property
    def tag(self) -> str:
        """Hash tag that keeps a partition's keys on one server."""
        return f"{{p{self.partition}}}"

    @property
    def stream(self) -> str:
        """The stream. Entries have the fields `payload` and `ordinal`."""
        return f"{self.tag}:{self.name}"

    @property
    def dead(self) -> str:
        """Stream of entries whose payload could not be decoded."""
        return f"{self.stream}:dead"

    @property
    def counters(self) -> str:
        """Hash: `accepted` is the last ordinal; accepted - `acked:<group>` is the lag of a group."""
        return f"{self.stream}:counters"

    @property
    def generation(self) -> str:
        """Hash: `epoch`, and `run_id` and `replication_id` of the server last found to hold it."""
        return f"{self.tag}:generation"

    def owner(self, group: str) -> str:
        """Fencing token of the group's owner."""
        return f"{self.stream}:owner:{group}"
