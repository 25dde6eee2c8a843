"""Both groups of `im.task.v1.ConversationConsumer`."""

from __future__ import annotations

from collections.abc import Sequence

from idiom.v1.runtime_pb2 import Handled
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.streams.delivery import Delivery
from impl.task.persist import Persist
from impl.task.push import Push


class ConversationTask:
    """Implements `im.task.v1.ConversationConsumer`."""

    def __init__(self, push: Push, persist: Persist) -> None:
        self._push = push
        self._persist = persist

    async def push(self, batch: Sequence[Delivery[ConversationEvent]]) -> Sequence[Handled]:
        """Sends events to the sessions of their recipients."""
        return await self._push.handle(batch)

    async def persist(self, batch: Sequence[Delivery[ConversationEvent]]) -> Sequence[Handled]:
        """Writes events to the database."""
        return await self._persist.handle(batch)
