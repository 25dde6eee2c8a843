"""Programs that use a client, as tests watch them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_pb2 import ListMessagesResponse

from impl.client import Event, MessageReceived, Messenger, RoomChanged


@dataclass
class Reader:
    """Takes all events of a client."""

    messenger: Messenger
    shown: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    events: list[Event] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Reads until cancelled."""
        async for event in self.messenger.events():
            self.events.append(event)
            if isinstance(event, (MessageReceived, RoomChanged)):
                self.shown[event.message.conversation_id].append(event.message)
            self.arrived.set()

    async def until(self, conversation: str, seq: int, seconds: float = 60) -> None:
        """Waits until a number of a conversation has been shown."""
        async with asyncio.timeout(seconds):
            while not self.shown[conversation] or self.shown[conversation][-1].seq < seq:
                self.arrived.clear()
                await self.arrived.wait()

    async def until_event(self, event: Event, seconds: float = 20) -> None:
        """Waits for an event that is equal."""
        async with asyncio.timeout(seconds):
            while event not in self.events:
                self.arrived.clear()
                await self.arrived.wait()

    def texts(self, conversation: str) -> list[str]:
        """What was said there, as shown."""
        return [message.text for message in self.shown[conversation] if not message.HasField("room")]


async def history(messenger: Messenger, conversation: str) -> list[Message]:
    """Everything that a user may read of a conversation, from the oldest on."""
    found: list[Message] = []
    page: ListMessagesResponse | None = None
    while page is None or page.more:
        after = found[-1].seq if found else 0
        page = await messenger.history(conversation, after_seq=after, limit=200)
        found += page.messages
    return found
