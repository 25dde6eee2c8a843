"""What holds for the whole deployment since its first start."""

from __future__ import annotations

from idiom.v1.reason_errors import INTERNAL

from codegen.runtime.discovery import Etcd
from codegen.runtime.errors import Error

PARTITIONS_KEY = "deployment/partitions"


async def agreed_partitions(etcd: Etcd, default: int) -> int:
    """The deployment's number of partitions: `default` at its first start, ever after what it was then.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE; INTERNAL if what is recorded is no such number.
    """
    await etcd.create(PARTITIONS_KEY, str(default).encode())
    entry = await etcd.get(PARTITIONS_KEY)
    recorded = entry.value.decode(errors="replace") if entry else str(default)
    if not recorded.isdecimal() or int(recorded) < 1:
        raise Error(INTERNAL, f"{PARTITIONS_KEY} in etcd is {recorded!r}, which is no number of partitions")
    return int(recorded)
