"""Where a client keeps what shall outlive it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self, TypeAlias

Json: TypeAlias = Any
"""What JSON can say."""

_WASTE: Final = 2000
"""Lines that say nothing any more before the file is written anew."""


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


class MemoryStore:
    """A store that outlives a client and not its process."""

    def __init__(self) -> None:
        self._values: dict[str, Json] = {}

    def load(self) -> Mapping[str, Json]:
        """Everything that is kept."""
        return dict(self._values)

    def put(self, key: str, value: Json) -> None:
        """Keep a value."""
        self._values[key] = value

    def remove(self, key: str) -> None:
        """Keep nothing under this key."""
        self._values.pop(key, None)


class FileStore:
    """A store in one file, for its owner alone; a context manager.

    Every change is one line of JSON at the end: `[key, value]`, or `[key]` where something was removed. Lines
    that say nothing any more go when the file is opened, and when there are many. What was cut off in
    mid-write, when the machine lost its power, is passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Json] = {}
        self._file: BinaryIO | None = None
        self._lines = 0
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Open the file; it is made if it is not there.

        Raises:
            OSError: it cannot be used; BlockingIOError if another client uses it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            lock = undo.enter_context(self._path.with_name(f"{self._path.name}.lock").open("wb"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BlockingIOError(error.errno, "another client uses it", str(self._path)) from None
            self._values = _read(self._path)
            self._rewrite()
            self._lock = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let others use the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        self._lock.close()

    def load(self) -> Mapping[str, Json]:
        """Everything that is kept."""
        return dict(self._values)

    def put(self, key: str, value: Json) -> None:
        """Keep a value."""
        self._values[key] = value
        self._append([key, value])

    def remove(self, key: str) -> None:
        """Keep nothing under this key."""
        if key in self._values:
            del self._values[key]
            self._append([key])

    def _append(self, line: list[Json]) -> None:
        if self._file is None:
            raise ValueError("a FileStore is used as a context manager")
        self._file.write(_line(line))
        self._lines += 1
        if self._lines > len(self._values) + _WASTE:
            self._rewrite()

    def _rewrite(self) -> None:
        """Write the file anew beside the old one, which stays until the new one is whole."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        file = os.fdopen(descriptor, "wb", buffering=0)
        file.write(b"".join(_line([key, value]) for key, value in self._values.items()))
        os.fsync(descriptor)
        fresh.replace(self._path)
        if self._file is not None:
            self._file.close()
        self._file, self._lines = file, len(self._values)


def _line(value: list[Json]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _read(path: Path) -> dict[str, Json]:
    values: dict[str, Json] = {}
    with contextlib.suppress(FileNotFoundError):
        for data in path.read_bytes().split(b"\n"):
            match _parsed(data):
                case [str(key), value]:
                    values[key] = value
                case [str(key)]:
                    values.pop(key, None)
    return values


def _parsed(data: bytes) -> Json:
    try:
        return json.loads(data)
    except ValueError:
        return None


class Section:
    """The part of a store whose keys begin alike.

    Args:
        store: the whole.
        prefix: goes before every key.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def load(self) -> Mapping[str, Json]:
        """Everything that is kept in it."""
        return {
            key.removeprefix(self._prefix): value
            for key, value in self._store.load().items()
            if key.startswith(self._prefix)
        }

    def put(self, key: str, value: Json) -> None:
        """Keep a value."""
        self._store.put(self._prefix + key, value)

    def remove(self, key: str) -> None:
        """Keep nothing under this key."""
        self._store.remove(self._prefix + key)

    def clear(self) -> None:
        """Keep nothing."""
        for key in self.load():
            self.remove(key)
