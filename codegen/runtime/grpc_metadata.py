"""Metadata as gRPC carries it (gRPC over HTTP/2, custom metadata)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_KEY = re.compile(r"[0-9a-z_.-]+")


def sendable(metadata: Mapping[str, str | bytes]) -> Metadata:
    """What gRPC accepts: printable ASCII values, bytes for keys that end in `-bin`, and no reserved keys.

    The rest is left out.
    """
    return tuple(
        (key, value)
        for key, value in metadata.items()
        if _fits(value, binary=key.endswith("-bin")) and _KEY.fullmatch(key) and not key.startswith("grpc-")
    )


def received(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str | bytes]:
    """What came, keys once each: texts of one key are joined with commas, of bytes the last one counts."""
    told: dict[str, str | bytes] = {}
    for key, value in metadata or ():
        before = told.get(key)
        told[key] = f"{before},{value}" if isinstance(before, str) and isinstance(value, str) else value
    return told


def _fits(value: str | bytes, *, binary: bool) -> bool:
    if isinstance(value, bytes):
        return binary
    return not binary and value.isascii() and value.isprintable()
