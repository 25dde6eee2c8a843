"""Messages on their way: each under one id for ever, and kept until it is in the database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A message on its way."""

    client_message_id: str
    conversation_id: str
    text: str
    created_at: float
    """When it was written, unix time."""
    epoch: int = 0
    """Epoch in which it was accepted; 0 while it was not."""
    seq: int = 0
    """Its number there; 0 while it was not accepted."""
