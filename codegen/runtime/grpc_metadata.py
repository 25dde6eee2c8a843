"""Metadata as gRPC carries it (gRPC over HTTP/2, custom metadata)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_KEY = re.compile(r"[0-9a-z_.-]+")


def sendable(metadata: Mapping[str, str | bytes]) -> Metadata:
    """What gRPC accepts: printable ASCII values, bytes for keys that end in `-bin`, and no reserved keys.

    The rest is left out.
    """
    return tuple([entry for entry in metadata.items() if _fits(*entry)])


def received(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str | bytes]:
    """What came, keys once each: texts of one key are joined with commas, of bytes the last one counts."""
    told: dict[str, str | bytes] = {}
    for key, value in metadata or ():
        before = told.get(key)
        told[key] = f"{before},{value}" if isinstance(before, str) and isinstance(value, str) else value
    return told


def _fits(key: str, value: str | bytes) -> bool:
    if isinstance(value, str):
        return _type(key) is str and value.isascii() and value.isprintable()
    return _type(key) is bytes


@lru_cache(256)  # a process says the same few keys, over and over
def _type(key: str) -> type[str | bytes] | None:
    """Of the values of a key; None if it may not be said."""
    if not _KEY.fullmatch(key) or key.startswith("grpc-"):
        return None
    return bytes if key.endswith("-bin") else str
