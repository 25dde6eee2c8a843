"""Conversations of a user."""

from __future__ import annotations

from im.logic.v1.conversation_service_pb2 import ListHeadsRequest, ListHeadsResponse
from im.logic.v1.message_pb2 import Head

from codegen.runtime.context import Context
from impl.logic.accounts import Accounts
from impl.storage.conversations import Conversations
from impl.storage.messages import Messages

MOST_HEADS = 1000


class ConversationList:
    """Implements im.logic.v1.ConversationService."""

    def __init__(self, accounts: Accounts, conversations: Conversations, messages: Messages) -> None:
        self._accounts = accounts
        self._conversations = conversations
        self._messages = messages

    async def list_heads(self, request: ListHeadsRequest, _context: Context) -> ListHeadsResponse:
        """Last positions, newest first: of Redis where it knows them, else of the database."""
        await self._accounts.require([request.user_id])
        names = await self._recent(request.user_id)
        warm = await self._conversations.heads(names)
        cold = await self._messages.heads([name for name in names if name not in warm])
        positions = (warm.get(name) or cold.get(name) for name in names)
        heads = [
            Head(conversation_id=position.conversation_id, epoch=position.epoch, seq=position.seq)
            for position in positions
            if position is not None and position.seq > 0
        ]
        return ListHeadsResponse(heads=heads)

    async def _recent(self, user_id: int) -> list[str]:
        """What Redis saw last goes first: all that it does not know is older."""
        recent = await self._conversations.recent(user_id, MOST_HEADS)
        stored = await self._messages.conversations_of(user_id, MOST_HEADS)
        return list(dict.fromkeys([*recent, *stored]))[:MOST_HEADS]
