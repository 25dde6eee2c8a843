"""What became of entries."""

from __future__ import annotations

from idiom.v1.runtime_pb2 import Handled

from codegen.runtime.errors import Error

DONE = Handled()


def transient(error: Error) -> bool:
    """Whether the entry is innocent: a dependency is away."""
    return error.code_name == "UNAVAILABLE"


def paused(error: Error) -> Handled:
    """A dependency is away: nothing counts."""
    return Handled(outcome=Handled.OUTCOME_PAUSE, reason=str(error))


def failed(error: Error) -> Handled:
    """The effect of this entry failed; it never succeeds if it contradicts what is stored."""
    hopeless = error.code_name == "INTERNAL"
    outcome = Handled.OUTCOME_DEAD_LETTER if hopeless else Handled.OUTCOME_RETRY
    return Handled(outcome=outcome, reason=str(error))


def waiting(conversation_id: str) -> Handled:
    """An earlier event of the conversation failed, and order counts."""
    reason = f"an earlier event of {conversation_id} failed"
    return Handled(outcome=Handled.OUTCOME_RETRY, reason=reason)
