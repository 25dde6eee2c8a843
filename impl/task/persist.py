"""Group *persist*: writes events to the database."""

from __future__ import annotations

from collections.abc import Sequence

from idiom.v1.runtime_pb2 import Handled
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.delivery import Delivery
from impl.storage.conversations import Conversations
from impl.storage.messages import Messages
from impl.task.audience import Place
from impl.task.notices import Notices
from impl.task.outcome import DONE, failed, paused, transient, waiting
from impl.task.routing import Source

GROUP = "persist"

Batch = Sequence[Delivery[ConversationEvent]]


class Persist:
    """Writes whole batches; singly only to find the entry that spoils one.

    Args:
        messages: the database.
        conversations: learns what the database holds.
        notices: tell it to the senders.
    """

    def __init__(self, messages: Messages, conversations: Conversations, notices: Notices) -> None:
        self._messages = messages
        self._conversations = conversations
        self._notices = notices

    async def handle(self, batch: Batch) -> Sequence[Handled]:
        """Handle entries of one partition, ascending."""
        try:
            await self._store(batch)
        except Error as error:
            if transient(error):
                return [paused(error)] * len(batch)
            return await self._singly(batch) if len(batch) > 1 else [failed(error)]
        return [DONE] * len(batch)

    async def _store(self, batch: Batch) -> None:
        if not batch:
            return
        last = batch[-1]
        events = [delivery.event for delivery in batch]
        await self._messages.persist(last.partition, last.ordinal, events)
        await self._conversations.persisted(last.partition, _numbers(events))
        self._notices.put(Source(GROUP, last.partition, last.token), _sent(events))

    async def _singly(self, batch: Batch) -> Sequence[Handled]:
        outcomes: list[Handled] = []
        stuck: set[str] = set()
        for position, delivery in enumerate(batch):
            conversation = delivery.event.conversation_id
            try:
                if conversation not in stuck:
                    await self._store([delivery])
            except Error as error:
                if transient(error):
                    return [*outcomes, *[paused(error)] * (len(batch) - position)]
                stuck.add(conversation)
                outcomes.append(failed(error))
            else:
                outcomes.append(waiting(conversation) if conversation in stuck else DONE)
        return outcomes


def _numbers(events: Sequence[ConversationEvent]) -> dict[str, int]:
    """The last number of each conversation; marks have none."""
    return {event.conversation_id: event.seq for event in events if event.seq}


def _sent(events: Sequence[ConversationEvent]) -> dict[Place, int]:
    """The number of each sender's last message in each conversation."""
    return {
        (event.sender_id, event.conversation_id): event.seq for event in events if event.HasField("message")
    }
