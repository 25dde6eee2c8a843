"""Who says hello, and how a hello ends that is refused; without I/O."""

from __future__ import annotations

from idiom.v1 import reason_errors as runtime_reasons
from im.errors.v1 import close_closes as closes
from im.errors.v1 import reason_errors as reasons

from codegen.runtime.context import Identity
from codegen.runtime.errors import Error
from codegen.runtime.method import CloseCode

_ID_DIGITS = 19
_REFUSED_CODES = frozenset(
    reason.code
    for reason in (
        runtime_reasons.TOKEN_INVALID,
        runtime_reasons.FORBIDDEN,
        runtime_reasons.VALIDATION_FAILED,
        reasons.USER_NOT_FOUND,
    )
)
"""Codes of a failed hello after which the client needs another token."""


def user_of(identity: Identity) -> int:
    """The user that a token names.

    Raises:
        Error: TOKEN_INVALID if it names none.
    """
    subject = identity.subject
    user_id = int(subject) if subject.isascii() and subject.isdigit() and len(subject) <= _ID_DIGITS else 0
    if not 0 < user_id < 1 << 63:
        raise Error(runtime_reasons.TOKEN_INVALID, "the access token names no user")
    return user_id


def refusal(error: Error) -> CloseCode:
    """How a hello that failed ends its session."""
    if any(violation.field.startswith("cursors") for violation in error.violations):
        return closes.MALFORMED_FRAME
    return closes.UNAUTHENTICATED if error.reason.code in _REFUSED_CODES else closes.UNAVAILABLE
