"""Concurrent unary calls to one instance share messages of one stream.

A unary call of gRPC costs hundreds of microseconds in Python, nearly all for the call, not for what it
carries. Calls of methods whose policy says `coalesce` travel as items of a `CallFrame`, answers as items of a
`ReplyFrame`. A frame takes what has come while the one before it was being sent: nothing waits for a timer.
Each item is a call of its own: with metadata, deadline, cancellation, status, and a run of the pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from idiom.v1.runtime_pb2 import Metadata

PATH = "/idiom.v1.Coalescing/Calls"
"""The stream's method. A server without it is called in the ordinary way."""

Values: TypeAlias = Mapping[str, str | bytes]
"""Metadata: text, or bytes for keys that end in `-bin`."""


def entries_of(values: Values) -> list[Metadata]:
    """Metadata as frames carry it."""
    return [
        Metadata(key=key, value=value if isinstance(value, bytes) else value.encode())
        for key, value in values.items()
    ]


def values_of(entries: Iterable[Metadata]) -> dict[str, str | bytes]:
    """The inverse of `entries_of`."""
    found: dict[str, str | bytes] = {}
    for entry in entries:
        key, value = entry.key, entry.value
        found[key] = value if key.endswith("-bin") else value.decode(errors="replace")
    return found
