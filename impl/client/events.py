"""What a Messenger tells the program that uses it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from im.logic.v1.message_pb2 import Message
from im.logic.v1.rung_pb2 import Rung

from codegen.runtime.errors import Error
from impl.client.outbox import Entry


class ConnectionState(Enum):
    """How far the session is."""

    CLOSED = "closed"
    """None will come by itself: nobody is logged in, or the service said not to come back."""
    CONNECTING = "connecting"
    CATCHING_UP = "catching up"
    """The socket is open; what was missed is on its way."""
    LIVE = "live"
    WAITING = "waiting"
    """For the next attempt."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The next message of a conversation, own ones included: each once, in the order of the conversation."""

    message: Message


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """The next event of a room that is no message. It stands in the same order as messages do."""

    message: Message
    """Its field `room` says what changed, its `sender_id` who changed it."""


@dataclass(frozen=True, slots=True)
class RungReached:
    """Everything that this user sent to a conversation up to a number has come to a rung."""

    conversation_id: str
    seq: int
    rung: Rung.ValueType
    """DURABLE; in private conversations also DELIVERED and READ."""


@dataclass(frozen=True, slots=True)
class ReadMarkMoved:
    """This user has read, here or on another device."""

    conversation_id: str
    seq: int
    unread_count: int


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The session is another way than before."""

    state: ConnectionState
    error: Error | None = None
    """Why, where something failed. With CLOSED: why the session will not come back by itself."""
    retry_in: float = 0.0
    """Seconds until the next attempt, with WAITING."""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """A message was refused for good, and has left the outbox."""

    entry: Entry
    error: Error


Event: TypeAlias = (
    MessageReceived | RoomChanged | RungReached | ReadMarkMoved | ConnectionChanged | SendFailed
)
