"""Password hashes: Argon2id on a bounded pool of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from idiom.v1.reason_errors import OVERLOADED

from codegen.runtime.errors import Error

THREADS = 2
"""Hashes under way at once; each takes 64 MiB."""
WAITING = 32
"""Hashes that may wait; more are refused. As many as are done well before a call's deadline."""

T = TypeVar("T")


class Passwords:
    """Hashes and verifies; an async context manager that owns its threads.

    Every method raises Error OVERLOADED when too many wait already.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = ""
        self._waiting = 0
        self._free = asyncio.Semaphore(THREADS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")

    async def __aenter__(self) -> Self:
        """Prepares what unknown users are compared with."""
        self._nobody = await self.hash("nobody")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """A new hash, with its parameters and salt."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the one of the hash. Without a hash: False, after as much work."""
        matching = await self._run(lambda: self._verify(password, password_hash or self._nobody))
        return matching and password_hash is not None

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Error(OVERLOADED, "too many people log in at once", retry_after=2.0)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1  # who has gone meanwhile waits no longer, and nothing is hashed for them
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[T]) -> None:
        """There is a thread again when the work has ended, not when its caller has gone."""
        self._free.release()
        if not future.cancelled():
            future.exception()
