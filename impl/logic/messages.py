"""Sending and reading messages."""

from __future__ import annotations

from im.errors.v1.reason_errors import (
    CLIENT_MESSAGE_ID_REUSED,
    CONVERSATION_NOT_FOUND,
    NOT_A_MEMBER,
    USER_NOT_FOUND,
)
from im.logic.v1.message_pb2 import Head
from im.logic.v1.message_service_pb2 import (
    ListMessagesRequest,
    ListMessagesResponse,
    SendMessageRequest,
    SendMessageResponse,
)
from im.logic.v1.rung_pb2 import ACCEPTED, DURABLE
from im.stream.v1.conversation_event_pb2 import ConversationEvent, MessageAccepted

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from impl.logic.accounts import Accounts, caller_id
from impl.logic.history import NOWHERE, History, Window
from impl.logic.ids import created_ms_of
from impl.logic.workers import Ids
from impl.storage.conversations import Conversations, Send
from impl.storage.envelope import message_of, payload_hash, private_id, private_members
from impl.storage.messages import Messages

PAGE_SIZE = 50
_LARGEST_SEQ = (1 << 63) - 2


class MessageDesk:
    """Implements im.logic.v1.MessageService."""

    def __init__(
        self, accounts: Accounts, ids: Ids, conversations: Conversations, messages: Messages
    ) -> None:
        self._accounts = accounts
        self._ids = ids
        self._conversations = conversations
        self._messages = messages
        self._history = History(conversations, messages)

    async def send_message(self, request: SendMessageRequest, context: Context) -> SendMessageResponse:
        """Accepts the message, or gives the result of the first send under its client message id."""
        sender = caller_id(context)
        await self._accounts.require((sender, request.to_user_id))
        conversation_id = private_id(sender, request.to_user_id)
        if request.resend:
            first = await self._messages.find(conversation_id, sender, request.client_message_id)
            if first is not None:
                return _repeated(first, request)
        event = self._event(request, conversation_id, sender, context.caller.session)
        accepted = await self._conversations.accept(_send(event))
        event.id, event.epoch, event.seq = accepted.message_id, accepted.epoch, accepted.seq
        event.created_at.FromMilliseconds(accepted.created_ms)
        return SendMessageResponse(message=message_of(event), state=ACCEPTED)

    async def list_messages(self, request: ListMessagesRequest, context: Context) -> ListMessagesResponse:
        """A part of a conversation of the caller's."""
        members = private_members(request.conversation_id)
        if members is None:
            raise Error(CONVERSATION_NOT_FOUND, "there is no such conversation")
        if caller_id(context) not in members:
            raise Error(NOT_A_MEMBER, "the caller is not a member of the conversation")
        page = await self._history.page(request.conversation_id, _window(request))
        if page.head == NOWHERE:
            await self._require_users(members)
        response = ListMessagesResponse(messages=map(message_of, page.events), more=page.more)
        if page.head is not None:
            epoch, seq = page.head
            response.head.CopyFrom(Head(conversation_id=request.conversation_id, epoch=epoch, seq=seq))
        return response

    async def _require_users(self, members: tuple[int, ...]) -> None:
        """An empty conversation is one that could begin."""
        try:
            await self._accounts.require(members)
        except Error as error:
            if error.reason is not USER_NOT_FOUND:
                raise
            raise Error(CONVERSATION_NOT_FOUND, "there is no such conversation") from None

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


def _repeated(first: ConversationEvent, request: SendMessageRequest) -> SendMessageResponse:
    """The first result of a send that is in the database already."""
    hashes = (payload_hash(first.conversation_id, text) for text in (first.message.text, request.text))
    if next(hashes) != next(hashes):
        raise Error(CLIENT_MESSAGE_ID_REUSED, "the client_message_id was used for another message")
    return SendMessageResponse(message=message_of(first), state=DURABLE)


def _window(request: ListMessagesRequest) -> Window:
    after = min(request.after_seq, _LARGEST_SEQ) if request.HasField("after_seq") else None
    before = request.before_seq if request.HasField("before_seq") else None
    return Window(after, before, request.page_size or PAGE_SIZE)
