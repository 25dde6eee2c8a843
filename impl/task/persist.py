"""Group *persist*: writes events to the database."""

from __future__ import annotations

from collections.abc import Sequence

from idiom.v1.runtime_pb2 import Handled
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.delivery import Delivery
from impl.storage.conversations import Conversations
from impl.storage.messages import Messages
from impl.task.outcome import DONE, failed, paused, transient, waiting

Batch = Sequence[Delivery[ConversationEvent]]


class Persist:
    """Writes whole batches; singly only to find the entry that spoils one.

    Args:
        messages: the database.
        conversations: learns what the database holds.
    """

    def __init__(self, messages: Messages, conversations: Conversations) -> None:
        self._messages = messages
        self._conversations = conversations

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
        await self._messages.persist(last.partition, last.ordinal, [delivery.event for delivery in batch])
        seqs = {delivery.event.conversation_id: delivery.event.seq for delivery in batch}
        await self._conversations.persisted(last.partition, seqs)

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
