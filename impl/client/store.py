"""Where a client keeps what shall outlive it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any
"""What JSON can say."""


class Store(Protocol):
    """A table of JSON values: the login, the outbox, and how far each conversation was shown.

    It belongs to one client at a time. What `put` and `remove` did is there for the next `load` even if the
    process is killed right after they returned.
    """

    def load(self) -> Mapping[str, Json]:
        """Everything that is kept."""
        ...

    def put(self, key: str, value: Json) -> None:
        """Keep a value, instead of the one that was under this key."""
        ...

    def remove(self, key: str) -> None:
        """Keep nothing under this key."""
        ...


class FileStore:
    """A store in one file of JSON lines, for its owner alone; a context manager.

    Raises:
        OSError: when it is entered: the file cannot be used, or another client uses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
