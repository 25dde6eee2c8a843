"""What happens to every call on every wire: identity, policy, limits, validation, deadline, error translation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from codegen.runtime.context import Context, Identity, Wire
from codegen.runtime.identity import Authenticator
from codegen.runtime.method import Method

T = TypeVar("T")

DEFAULT_DEADLINE = 30.0
MAX_REQUEST_BYTES = 4 << 20


class Pipeline:
    """Run once per call; never per stream.

    Args:
        authenticator: reads identities from metadata.
        default_deadline: seconds for methods whose policy has no deadline.
        max_request_bytes: limit for methods whose policy has none.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        default_deadline: float = DEFAULT_DEADLINE,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self._authenticator = authenticator
        self._default_deadline = default_deadline
        self._max_request_bytes = max_request_bytes

    def admit(
        self,
        method: Method,
        metadata: Mapping[str, str],
        *,
        wire: Wire,
        timeout: float | None = None,
        size: int = 0,
        identity: Identity | None = None,
    ) -> Context:
        """Lets a call in, or refuses it.

        Args:
            method: what is called.
            metadata: lower-case metadata; `x-request-id` names the request, which otherwise gets a new name.
            wire: how the call came in.
            timeout: seconds the caller gives; at most the policy's deadline counts.
            size: bytes of the request as known so far.
            identity: who calls, where the wire knows already; otherwise read from the metadata.

        Raises:
            Error: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, FORBIDDEN, TOO_LARGE, DEADLINE_EXCEEDED.
        """
        raise NotImplementedError

    async def call(
        self, method: Method, request: Any, context: Context, invoke: Callable[[Any, Context], Awaitable[T]]
    ) -> T:
        """Validates the request and runs `invoke` within the deadline.

        Raises:
            Error: VALIDATION_FAILED, DEADLINE_EXCEEDED, whatever Error `invoke` raises, and INTERNAL for anything else
                (logged with traceback and request id; the caller sees no detail).
        """
        raise NotImplementedError

    def limit(self, method: Method) -> int:
        """Most bytes of a request of this method."""
        return method.policy.max_request_bytes or self._max_request_bytes
