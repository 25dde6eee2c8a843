"""What holds for the whole deployment since its first start."""

from __future__ import annotations

from idiom.v1.reason_errors import INTERNAL

from codegen.runtime.discovery import Etcd
from codegen.runtime.errors import Error

PARTITIONS_KEY = "deployment/partitions"


async def require_partitions(etcd: Etcd, partitions: int) -> None:
    """Records the number of partitions at the first start; refuses another one ever after.

    With another number, conversations would continue in partitions that know nothing of them.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE; INTERNAL if the deployment has another number of partitions.
    """
    mine = str(partitions).encode()
    if await etcd.create(PARTITIONS_KEY, mine):
        return
    entry = await etcd.get(PARTITIONS_KEY)
    if entry and entry.value != mine:
        recorded = entry.value.decode(errors="replace")
        raise Error(
            INTERNAL,
            f"this deployment was started with {recorded} partitions and cannot go on with {partitions}",
        )
