"""The messaging client for Python programs; docs/clients.md says what it promises."""

from impl.client.events import (
    ConnectionChanged,
    ConnectionState,
    Event,
    MessageReceived,
    ReadMarkMoved,
    RoomChanged,
    RungReached,
    SendFailed,
)
from impl.client.messenger import Messenger
from impl.client.options import Options
from impl.client.outbox import Entry
from impl.client.rooms import Rooms
from impl.client.store import FileStore, MemoryStore, Store

__all__ = [
    "ConnectionChanged",
    "ConnectionState",
    "Entry",
    "Event",
    "FileStore",
    "MemoryStore",
    "MessageReceived",
    "Messenger",
    "Options",
    "ReadMarkMoved",
    "RoomChanged",
    "Rooms",
    "RungReached",
    "SendFailed",
    "Store",
]
