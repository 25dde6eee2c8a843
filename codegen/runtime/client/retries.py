"""Whether and when a failed call is made again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from threading import Lock

from google.rpc import code_pb2

from codegen.runtime.errors import Error
from codegen.runtime.method import Method, Retry

REPEATS = 3
"""Times that one call is made again."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds, of the first and of the longest pause before a repetition; each is a random part of its limit."""
LONGEST_WAIT = 60.0
"""Seconds, of the longest pause that a server may ask for; one that asks for more has refused."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed."""

    error: Error
    unsent: bool = False
    """Whether the request surely did not reach the service."""


class RetryBudget:
    """Bounds repetitions to a part of all calls, so that clients do not bury a service that is in trouble.

    Threads may share it.

    Args:
        most: repetitions that may be made in a row, when nothing was repeated for a while.
        share: repetitions that each call earns.
    """

    def __init__(self, most: float = 10.0, share: float = 0.2) -> None:
        self._most = most
        self._share = share
        self._left = most
        self._lock = Lock()

    def earn(self) -> None:
        """A call begins."""
        with self._lock:
            self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Whether there may be a repetition now."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


class Attempts:
    """The attempts of one call.

    A call is repeated if its failure may pass and a second call does no harm: it did not leave; or it was
    refused with a time after which to come back; or the service or the way to it failed, and the method's
    policy says SAFE or the method is idempotent. Never if the policy says NEVER.
    """

    def __init__(self, method: Method, budget: RetryBudget) -> None:
        self._method = method
        self._budget = budget
        self._limit = FIRST_PAUSE
        self._repeats = 0
        budget.earn()

    def pause(self, failure: Failure, left: float | None) -> float | None:
        """Seconds after which to try again; None if the failure is final.

        Args:
            failure: of the last attempt.
            left: seconds until the call's deadline; None if it may last.
        """
        if self._repeats >= REPEATS or not self._repeatable(failure):
            return None
        pause = max(random.uniform(0, self._limit), failure.error.retry_after or 0.0)  # noqa: S311 - spreads load
        if pause > LONGEST_WAIT or (left is not None and pause >= left) or not self._budget.spend():
            return None
        self._repeats += 1
        self._limit = min(2 * self._limit, LONGEST_PAUSE)
        return pause

    def _repeatable(self, failure: Failure) -> bool:
        if self._method.policy.retry is Retry.NEVER:
            return False
        code = failure.error.reason.code
        if failure.unsent or (code == code_pb2.RESOURCE_EXHAUSTED and failure.error.retry_after is not None):
            return True
        harmless = self._method.policy.retry is Retry.SAFE or self._method.idempotent
        return harmless and code == code_pb2.UNAVAILABLE
