"""What a call knows of itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Wire(StrEnum):
    """How a call came in."""

    HTTP = "http"
    GRPC = "grpc"
    SOCKET = "socket"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls."""

    subject: str = ""
    """Id of the user; empty when a service calls for itself."""
    login: str = ""
    """Id of the login whose token was shown."""
    session: str = ""
    """Id of the socket session through which the call came, if any."""
    scopes: frozenset[str] = frozenset()
    service: str = ""
    """Name of the calling service, if one vouches for the call."""


@dataclass(slots=True)
class Context:
    """One call, as its implementation sees it; not to be changed.

    It is not frozen, for making a frozen one takes twice as long, and every call makes one.
    """

    wire: Wire
    identity: Identity | None = None
    deadline: float | None = None
    """`time.monotonic()` at which the caller stops waiting."""
    metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    """Lower-case request metadata; bytes for keys that end in `-bin`."""
    request_id: str = ""
    response_metadata: dict[str, str | bytes] = field(default_factory=dict)
    """What an implementation says beside its answer: printable ASCII, or bytes for keys that end in `-bin`.
    It leaves with the first answer; of a call that fails before, none does."""

    @property
    def caller(self) -> Identity:
        """The identity of a method whose policy requires one.

        Raises:
            LookupError: the method's policy does not require an identity.
        """
        if self.identity is None:
            msg = "the method's policy does not require an identity"
            raise LookupError(msg)
        return self.identity

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, never negative; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
