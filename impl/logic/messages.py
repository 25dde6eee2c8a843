"""Sending and reading messages."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

from im.errors.v1.reason_errors import CLIENT_MESSAGE_ID_REUSED
from im.logic.v1.message_service_pb2 import (
    ListMessagesRequest,
    ListMessagesResponse,
    SendMessageRequest,
    SendMessageResponse,
)
from im.logic.v1.rung_pb2 import ACCEPTED, DURABLE, Rung
from im.stream.v1.conversation_event_pb2 import ConversationEvent, MessageAccepted

from codegen.runtime.context import Context
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from impl.logic.access import Access
from impl.logic.accounts import Accounts, caller_id
from impl.logic.durability import Durability
from impl.logic.history import History, Page, Window
from impl.logic.ids import created_ms_of
from impl.logic.views import end_of, first_of, head_of, rung_of
from impl.logic.workers import Ids
from impl.storage.conversations import Conversations, Send
from impl.storage.envelope import message_of, payload_hash, private_id, private_members, room_conversation
from impl.storage.membership import FIRST_SEQ, Overview, may_read
from impl.storage.messages import Messages

PAGE_SIZE: Final = 50
PATIENCE: Final = 5.0
"""Seconds that a send waits for its rung at most if its call has no deadline."""
ANSWER_SECONDS: Final = 0.5
"""How long before the deadline of a call the answer is given, whatever its rung."""
_LARGEST_SEQ = (1 << 63) - 2


class MessageDesk:
    """Implements im.logic.v1.MessageService."""

    def __init__(
        self,
        accounts: Accounts,
        ids: Ids,
        conversations: Conversations,
        messages: Messages,
        durability: Durability,
    ) -> None:
        self._accounts = accounts
        self._ids = ids
        self._conversations = conversations
        self._messages = messages
        self._durability = durability
        self._access = Access(accounts, conversations)
        self._history = History(conversations, messages)

    async def send_message(self, request: SendMessageRequest, context: Context) -> SendMessageResponse:
        """Accepts the message, or gives the result of the first send under its client message id."""
        sender = caller_id(context)
        conversation_id = await self._target(sender, request)
        if request.resend:
            first = await self._messages.find(conversation_id, sender, request.client_message_id)
            if first is not None:
                return await self._repeated(first, request, context)
        event = self._event(request, conversation_id, sender, context.caller.session)
        accepted = await self._conversations.accept(_send(event))
        event.id, event.epoch, event.seq = accepted.message_id, accepted.epoch, accepted.seq
        event.created_at.FromMilliseconds(accepted.created_ms)
        if accepted.seq == FIRST_SEQ:
            await self._begin(event)
        state = ACCEPTED
        if accepted.duplicate or request.wait_for == DURABLE:
            state = await self._rung(event, request.wait_for, context)
        return SendMessageResponse(message=message_of(event), state=state)

    async def list_messages(self, request: ListMessagesRequest, context: Context) -> ListMessagesResponse:
        """A part of what the caller may read of a conversation."""
        user_id, name = caller_id(context), request.conversation_id
        view = await self._access.of_reader(user_id, name)
        window = _window(request)
        if view is not None:
            window = window.within(first_of(view), end_of(view))
        page = await self._history.page(name, window)
        if view is not None and view.room is not None and page.newest > view.seq:
            # Among what was accepted since the first look may be that the caller was removed.
            view = await self._access.of_reader(user_id, name)
            page = _readable(page, view)
        response = ListMessagesResponse(messages=map(message_of, page.events), more=page.more)
        if view is not None and page.head is not None:
            epoch, seq = page.head
            response.head.CopyFrom(head_of(replace(view, epoch=epoch, seq=seq)))
        return response

    async def _target(self, sender: int, request: SendMessageRequest) -> str:
        if request.HasField("room_id"):
            await self._accounts.require((sender,))
            return room_conversation(request.room_id)
        await self._accounts.require((sender, request.to_user_id))
        return private_id(sender, request.to_user_id)

    def _event(
        self, request: SendMessageRequest, conversation_id: str, sender: int, session: str
    ) -> ConversationEvent:
        event = ConversationEvent(
            conversation_id=conversation_id,
            id=self._ids.next(),
            sender_id=sender,
            origin_session=session,
            message=MessageAccepted(client_message_id=request.client_message_id, text=request.text),
        )
        event.created_at.FromMilliseconds(created_ms_of(event.id))
        return event

    async def _begin(self, event: ConversationEvent) -> None:
        """Puts a new conversation into the lists of both, if it can, before push and persist hear of it."""
        members = private_members(event.conversation_id) or ()
        with suppress(Error):
            await self._conversations.touch([(user, event.conversation_id, event.id) for user in members])

    async def _repeated(
        self, first: ConversationEvent, request: SendMessageRequest, context: Context
    ) -> SendMessageResponse:
        """The first result of a send that is in the database already."""
        hashes = (payload_hash(first.conversation_id, text) for text in (first.message.text, request.text))
        if next(hashes) != next(hashes):
            raise Error(CLIENT_MESSAGE_ID_REUSED, "the client_message_id was used for another message")
        state = max(DURABLE, await self._rung(first, ACCEPTED, context))
        return SendMessageResponse(message=message_of(first), state=state)

    async def _rung(
        self, event: ConversationEvent, wanted: Rung.ValueType, context: Context
    ) -> Rung.ValueType:
        """How far an accepted message has come, when it is as far as wanted or the deadline is near.

        Whatever fails here, the message is accepted, and that is said.
        """
        remaining = PATIENCE if context.remaining is None else context.remaining
        try:
            with Deadline(max(0.0, remaining - ANSWER_SECONDS)):
                if wanted == DURABLE:
                    await self._durability.reached(event.conversation_id, event.seq)
                return await self._known_rung(event)
        except (Error, TimeoutError):
            return ACCEPTED

    async def _known_rung(self, event: ConversationEvent) -> Rung.ValueType:
        name = event.conversation_id
        view = (await self._conversations.overview(event.sender_id, [name])).get(name)
        # Positions are numbers alone: those of an epoch that has ended may count what was lost with it.
        if view is None or (view.epoch != event.epoch and not await self._is_stored(event)):
            return ACCEPTED
        return rung_of(view, event.seq)

    async def _is_stored(self, event: ConversationEvent) -> bool:
        found = await self._messages.page(event.conversation_id, event.seq - 1, event.seq + 1, 2)
        return any(ConversationEvent.FromString(envelope).id == event.id for envelope in found)


def _send(event: ConversationEvent) -> Send:
    return Send(
        conversation_id=event.conversation_id,
        sender_id=event.sender_id,
        members=private_members(event.conversation_id) or (),
        client_message_id=event.message.client_message_id,
        payload_hash=payload_hash(event.conversation_id, event.message.text),
        message_id=event.id,
        created_ms=created_ms_of(event.id),
        event=event.SerializeToString(),
    )


def _readable(page: Page, view: Overview | None) -> Page:
    """What is left of a page for somebody who is or was a member now."""
    if view is None or view.membership is None:
        return replace(page, events=())
    stay, room = view.membership, view.room
    return replace(page, events=tuple(event for event in page.events if may_read(stay, room, event.seq)))


def _window(request: ListMessagesRequest) -> Window:
    after = min(request.after_seq, _LARGEST_SEQ) if request.HasField("after_seq") else None
    before = request.before_seq if request.HasField("before_seq") else None
    return Window(after, before, request.page_size or PAGE_SIZE)
