"""Conversations of a user."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from im.errors.v1.reason_errors import NOT_A_MEMBER
from im.logic.v1.conversation_pb2 import Conversation
from im.logic.v1.conversation_service_pb2 import (
    GetConversationRequest,
    GetConversationResponse,
    ListConversationsRequest,
    ListConversationsResponse,
    ListHeadsRequest,
    ListHeadsResponse,
    MarkReadRequest,
    MarkReadResponse,
    RecordDeliveredRequest,
    RecordDeliveredResponse,
)
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from impl.logic import page_tokens
from impl.logic.access import Access
from impl.logic.accounts import Accounts, caller_id
from impl.logic.profiles import Profiles
from impl.logic.ranking import Ranking
from impl.logic.views import head_of, room_message, unread_of
from impl.storage.conversations import Conversations
from impl.storage.envelope import message_of, private_members, room_of
from impl.storage.membership import Mark, Overview
from impl.storage.messages import Messages

MOST_HEADS: Final = 1000
PAGE_SIZE: Final = 50


class ConversationList:
    """Implements im.logic.v1.ConversationService."""

    def __init__(
        self, accounts: Accounts, profiles: Profiles, conversations: Conversations, messages: Messages
    ) -> None:
        self._accounts = accounts
        self._profiles = profiles
        self._conversations = conversations
        self._messages = messages
        self._access = Access(accounts, conversations)
        self._ranking = Ranking(conversations, messages)

    async def list_conversations(
        self, request: ListConversationsRequest, context: Context
    ) -> ListConversationsResponse:
        """A page of the list; what moves up meanwhile is not shown again."""
        user_id, size = caller_id(context), request.page_size or PAGE_SIZE
        last = page_tokens.decode(user_id, request.page_token) if request.page_token else None
        places, more = await self._ranking.page(user_id, last, size)
        names = [place.conversation_id for place in places]
        views = await self._ranking.present(user_id, names, last_event=True)
        return ListConversationsResponse(
            conversations=await self._shown(user_id, views),
            next_page_token=page_tokens.encode(user_id, places[-1]) if more else "",
        )

    async def get_conversation(
        self, request: GetConversationRequest, context: Context
    ) -> GetConversationResponse:
        """The conversation; a private one that has not begun is empty."""
        user_id = caller_id(context)
        view = await self._access.of_member(user_id, request.conversation_id, last_event=True)
        (conversation,) = await self._shown(user_id, [view])
        return GetConversationResponse(conversation=conversation)

    async def mark_read(self, request: MarkReadRequest, context: Context) -> MarkReadResponse:
        """Moves the caller's read mark ahead, at most to the last event there was at the time of the call."""
        user_id = caller_id(context)
        view = await self._access.of_member(user_id, request.conversation_id)
        seq = min(request.seq or view.seq, view.seq)
        if view.membership is not None and seq > view.membership.read_seq:
            mark = Mark(view.conversation_id, user_id, read_seq=seq, created_ms=_now_ms())
            (membership,) = await self._conversations.mark([mark])
            view = replace(view, membership=membership)
        if view.membership is None:
            raise Error(NOT_A_MEMBER, "the caller is not a member of the conversation")
        return MarkReadResponse(read_seq=view.membership.read_seq, unread_count=unread_of(view))

    async def list_heads(self, request: ListHeadsRequest, _context: Context) -> ListHeadsResponse:
        """Last positions and rooms."""
        await self._accounts.require([request.user_id])
        ranked = await self._ranking.newest(request.user_id)
        response = ListHeadsResponse(heads=map(head_of, list(ranked.views.values())[:MOST_HEADS]))
        for view in ranked.rooms:
            joined_seq = view.membership.joined_seq if view.membership else 0
            response.rooms.add(conversation_id=view.conversation_id, joined_seq=joined_seq)
        return response

    async def record_delivered(
        self, request: RecordDeliveredRequest, _context: Context
    ) -> RecordDeliveredResponse:
        """Notes the marks of those private conversations that have another user to tell."""
        highest: dict[tuple[str, int], int] = {}
        for mark in request.marks:
            pair = private_members(mark.conversation_id) or ()
            if mark.user_id in pair and len(pair) > 1 and mark.seq > 0:
                key = mark.conversation_id, mark.user_id
                highest[key] = max(mark.seq, highest.get(key, 0))
        now, begun = _now_ms(), await self._begun({name for name, _ in highest})
        marks = [
            Mark(name, user_id, delivered_seq=seq, created_ms=now)
            for (name, user_id), seq in highest.items()
            if name in begun
        ]
        if marks:
            await self._conversations.mark(marks)
        return RecordDeliveredResponse()

    async def _begun(self, conversation_ids: Collection[str]) -> set[str]:
        """Those that anybody knows. Users may name what does not exist: it is asked for all at once."""
        names = list(conversation_ids)
        warm = set(await self._conversations.heads(names))
        cold = [name for name in names if name not in warm]
        return warm.union(await self._messages.heads(cold)) if cold else warm

    async def _shown(self, user_id: int, views: Sequence[Overview]) -> list[Conversation]:
        others = {view.conversation_id: _other(user_id, view) for view in views if view.room is None}
        users = await self._profiles.of(others.values())
        shown = []
        for view in views:
            conversation = Conversation(
                id=view.conversation_id, head=head_of(view), unread_count=unread_of(view)
            )
            if view.room is not None:
                room = room_message(room_of(view.conversation_id) or 0, view.room, view.membership)
                conversation.room.CopyFrom(room)
            else:
                conversation.user.CopyFrom(users[others[view.conversation_id]])
            if (envelope := await self._last_event(view)) is not None:
                conversation.last_message.CopyFrom(message_of(ConversationEvent.FromString(envelope)))
            shown.append(conversation)
        return shown

    async def _last_event(self, view: Overview) -> bytes | None:
        """Of Redis if it knows the conversation, else of the database."""
        if view.last_event is not None or view.seq == 0:
            return view.last_event
        stored = await self._messages.page(view.conversation_id, None, None, 1)
        return stored[0] if stored else None


def _other(user_id: int, view: Overview) -> int:
    """The other user of a private conversation; with oneself, oneself."""
    pair = private_members(view.conversation_id) or (user_id,)
    return pair[0] if pair[-1] == user_id else pair[-1]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
