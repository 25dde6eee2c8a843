"""How time is laid out in Snowflake ids: milliseconds above 22 other bits."""

from __future__ import annotations

BEGINNING_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z, at which the milliseconds of ids begin."""
IDS_PER_MS = 1 << 22


def first_id(unix_ms: int) -> int:
    """The lowest id that can be made at that time, milliseconds since the Unix epoch."""
    return max(0, unix_ms - BEGINNING_MS) * IDS_PER_MS
