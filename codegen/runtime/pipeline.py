"""What happens to every call on every wire: identity, policy, limits, validation, deadline, errors."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from idiom.v1 import reason_errors as reasons

from codegen.runtime.context import Context, Identity, Wire
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.identity import Authenticator
from codegen.runtime.method import Auth, Method
from codegen.runtime.validation import validate

T = TypeVar("T")

DEFAULT_DEADLINE = 30.0
MAX_REQUEST_BYTES = 4 << 20
REQUEST_ID = "x-request-id"
"""Metadata that names a request; a well-formed one of the caller is kept."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

_PROCESS = secrets.token_hex(6)
_requests = itertools.count(1)
_log = logging.getLogger(__name__)


class Pipeline:
    """Run once per call; never per stream.

    Args:
        authenticator: reads identities from metadata; None where nobody has one.
        without_policy: who may call methods of which the schema does not say it: nobody by default. For
            schemas of others, which have no policies.
        default_deadline: seconds for methods whose policy has no deadline.
        max_request_bytes: limit for methods whose policy has none.
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        *,
        without_policy: Auth = Auth.UNSPECIFIED,
        default_deadline: float = DEFAULT_DEADLINE,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self._authenticator = authenticator
        self._without_policy = without_policy
        self._default_deadline = default_deadline
        self.max_request_bytes = max_request_bytes

    def admit(  # noqa: PLR0913 - what wires know of a call, by keyword
        self,
        method: Method,
        metadata: Mapping[str, str],
        *,
        wire: Wire,
        timeout: float | None = None,
        size: int = 0,
        identity: Identity | None = None,
        name: str = "",
    ) -> Context:
        """Lets a call in, or refuses it.

        Args:
            method: what is called.
            metadata: lower-case metadata; `x-request-id` names the request, which otherwise gets a new name.
            wire: how the call came in.
            timeout: seconds the caller gives; at most the policy's deadline counts. A stream may last: only
                its caller's own timeout ends it.
            size: bytes of the request in its binary form, as far as known.
            identity: who calls, where the wire knows already; otherwise read from the metadata.
            name: of the request, where the wire has asked `request_id` already.

        Raises:
            Error: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, FORBIDDEN, TOO_LARGE, DEADLINE_EXCEEDED.
        """
        auth = method.policy.auth
        if auth is Auth.UNSPECIFIED:
            auth = self._without_policy
        caller = _allowed(method, auth, identity or self._identity(auth, metadata))
        if size:
            self.check_size(method, size)
        return Context(
            wire=wire,
            identity=caller,
            deadline=self._deadline(method, timeout),
            metadata=metadata,
            request_id=name or request_id(metadata),
        )

    async def call(
        self, method: Method, request: Any, context: Context, invoke: Callable[[Any, Context], Awaitable[T]]
    ) -> T:
        """Validates the request and runs `invoke` within the deadline.

        Raises:
            Error: VALIDATION_FAILED, DEADLINE_EXCEEDED, whatever Error `invoke` raises, and INTERNAL for
                anything else (logged with traceback and request id; the caller sees no detail).
        """
        try:
            validate(request)
            with Deadline(context.remaining):
                return await invoke(request, context)
        except Error:
            raise
        except TimeoutError:
            raise late(method) from None
        except Exception:  # noqa: BLE001 - the outermost frame of a call: no defect crosses a border as it is
            raise internal(method.full_name, context.request_id) from None

    def limit(self, method: Method) -> int:
        """Most bytes of a request of this method in its binary form."""
        return method.policy.max_request_bytes or self.max_request_bytes

    def check_size(self, method: Method, size: int) -> None:
        """Refuses a request of more bytes than the limit.

        Raises:
            Error: TOO_LARGE.
        """
        if size > (limit := self.limit(method)):
            raise Error(reasons.TOO_LARGE, f"the request is larger than {limit} bytes")

    def _identity(self, auth: Auth, metadata: Mapping[str, str]) -> Identity | None:
        if self._authenticator is None:
            return None
        if auth is not Auth.NONE:
            return self._authenticator.identify(metadata)
        try:
            return self._authenticator.identify(metadata)
        except Error:
            return (
                None  # whoever is open to anybody is open to the bearer of an old token too, to log in again
            )

    def _deadline(self, method: Method, timeout: float | None) -> float | None:
        if timeout is not None and timeout <= 0:
            raise late(method)
        if method.client_streaming or method.server_streaming:
            return None if timeout is None else time.monotonic() + timeout
        longest = method.policy.deadline or self._default_deadline
        return time.monotonic() + (longest if timeout is None else min(timeout, longest))


def request_id(metadata: Mapping[str, str]) -> str:
    """The caller's name for the request if it is well-formed, or a new one."""
    given = metadata.get(REQUEST_ID)
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return f"{_PROCESS}{next(_requests):x}"


def internal(what: str, request: str) -> Error:
    """Logs the exception being handled and hides it.

    Args:
        what: full name of the method, or a path.
        request: the request's id, which the caller is told.
    """
    _log.exception("%s failed, request %s", what, request)
    return Error(reasons.INTERNAL, f"internal error, request {request}")


def _allowed(method: Method, auth: Auth, identity: Identity | None) -> Identity | None:
    if auth is Auth.NONE:
        return identity
    if auth is Auth.USER and identity is not None and identity.subject and not method.policy.scopes:
        return identity  # as most calls are
    if auth is Auth.UNSPECIFIED:
        raise Error(reasons.FORBIDDEN, f"{method.full_name} has no policy")
    if identity is None:
        raise Error(reasons.TOKEN_MISSING, "an access token is needed")
    if not (identity.subject if auth is Auth.USER else identity.service):
        raise Error(reasons.FORBIDDEN, f"{method.full_name} is for {auth.name.lower()}s only")
    if not identity.scopes.issuperset(method.policy.scopes):
        raise Error(reasons.FORBIDDEN, f"{method.full_name} needs scopes that the access token does not have")
    return identity


def late(method: Method) -> Error:
    """The refusal of a call whose deadline has passed."""
    return Error(reasons.DEADLINE_EXCEEDED, f"{method.full_name} took too long")
