"""A program's connection to the service: one user, all conversations, nothing missed and nothing twice."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

from idiom.v1 import reason_errors as reasons
from im.descriptors import registry
from im.logic.v1.conversation_pb2 import Conversation
from im.logic.v1.conversation_service_http import ConversationServiceHttp
from im.logic.v1.conversation_service_pb2 import (
    GetConversationRequest,
    ListConversationsRequest,
    MarkReadRequest,
)
from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_http import MessageServiceHttp
from im.logic.v1.message_service_pb2 import ListMessagesRequest, ListMessagesResponse
from im.logic.v1.rung_pb2 import ACCEPTED, RUNG_UNSPECIFIED, Rung
from im.logic.v1.user_pb2 import User
from im.logic.v1.user_service_http import UserServiceHttp
from im.logic.v1.user_service_pb2 import GetUserRequest, LookupUserRequest

from codegen.runtime.client.http import HttpClient
from codegen.runtime.errors import Error
from impl.client.addresses import private_conversation
from impl.client.credentials import Authorized, Credentials
from impl.client.events import ConnectionState, Event, MessageReceived, RoomChanged
from impl.client.inbox import begin_from_nothing
from impl.client.options import Options
from impl.client.outbox import Entry
from impl.client.outlet import Outlet
from impl.client.presence import Presence
from impl.client.rooms import Rooms
from impl.client.store import MemoryStore, Section, Store

U = TypeVar("U")

_MAX_KNOWN: Final = 10_000
"""Most users whose names are remembered."""


class Messenger:
    """One user's messages, live and without holes, over a connection that comes back by itself.

        async with Messenger("http://127.0.0.1:8080") as messenger:
            await messenger.log_in("ada", "correct horse")
            bob = await messenger.find_user("bob")
            await messenger.send(messenger.private(bob.id), "hello")
            async for event in messenger.events():
                ...

    Every conversation is delivered as the sequence that the service has of it: each event once, in order,
    none left out, whatever happens to connections. At the first login conversations begin at present, and
    what was said before is in `history`; one that begins later is told from its beginning.

    Messages that are sent go to an outbox first and stay there until they are in the database; they are sent
    again under the same id as often as needed, which is harmless. With a store both go on where a killed
    client was; the event that was being handled then is told once more.

    All failures are raised as `codegen.runtime.errors.Error`, whose reasons are those of the schema.

    Args:
        url: of the gateway, `http://` or `https://`.
        store: what outlives this client; nothing does without one.
        options: how it behaves.
    """

    def __init__(self, url: str, *, store: Store | None = None, options: Options | None = None) -> None:
        self._options = options or Options()
        self._store = store or MemoryStore()
        self._outlet = Outlet(self._options.capacity)
        self._http = HttpClient(url, registry(), self._token)
        self._credentials = Credentials(self._http, self._store, self._options.device)
        self._channel = Authorized(self._http, self._credentials)
        self._conversations = ConversationServiceHttp(self._channel)
        self._messages = MessageServiceHttp(self._channel)
        self._users = UserServiceHttp(self._channel)
        self._rooms = Rooms(self._channel, self._credentials)
        self._known: dict[int, User] = {}
        self._taken: Message | None = None
        self._presence: Presence | None = None

    async def __aenter__(self) -> Self:
        """Go on with the login in the store, if there is one; does not wait for the network."""
        if self._credentials.login is not None:
            await self._entered(self.me)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the session. The login and what is in the outbox stay in the store."""
        self._taken = None  # whether it was handled nobody knows
        await self._end()
        await self._http.__aexit__(kind, error, traceback)

    # Who

    @property
    def me(self) -> User | None:
        """Who is logged in."""
        login = self._credentials.login
        return User(id=login.user_id, username=login.username) if login else None

    async def register(self, username: str, password: str) -> User:
        """Create a user, log them in and begin the session. Reasons: USERNAME_TAKEN."""
        user = await self._credentials.register(username, password)
        begin_from_nothing(Section(self._store, f"{user.id}/"))
        return await self._entered(user)

    async def log_in(self, username: str, password: str) -> User:
        """Log a user in and begin the session. Reasons: WRONG_CREDENTIALS."""
        return await self._entered(await self._credentials.log_in(username, password))

    async def log_out(self) -> None:
        """End the login and the session, and forget what the store has of them.

        Without the service only this client forgets; the login then ends when it expires.
        """
        presence = self._presence
        await self._end()
        if presence is not None:
            presence.section.clear()
        with contextlib.suppress(Error):
            await self._credentials.log_out(self._channel)

    async def reconnect(self) -> None:
        """Begin the session anew where it is CLOSED, though the service has said that it wants no other."""
        if self._presence is None or self.connection is ConnectionState.CLOSED:
            await self._entered(self.me)

    async def find_user(self, username: str) -> User:
        """The user of a name. Reasons: USER_NOT_FOUND."""
        user = (await self._users.lookup_user(LookupUserRequest(username=username))).user
        return self._remember(user)

    async def user(self, user_id: int) -> User:
        """The user of an id; asked once. Reasons: USER_NOT_FOUND."""
        if (known := self._known.get(user_id)) is not None:
            return known
        return self._remember((await self._users.get_user(GetUserRequest(user_id=user_id))).user)

    # What happens

    async def events(self) -> AsyncIterator[Event]:
        """Everything that happens, without end; one reader at a time.

        An event counts as shown once the next one is asked for.
        """
        while True:
            self._show()
            event = await self._outlet.take()
            self._taken = event.message if isinstance(event, (MessageReceived, RoomChanged)) else None
            yield event

    @property
    def rooms(self) -> Rooms:
        """Rooms and their members."""
        return self._rooms

    @property
    def connection(self) -> ConnectionState:
        """How far the session is."""
        return self._presence.session.state if self._presence else ConnectionState.CLOSED

    async def live(self) -> None:
        """Wait until the session is live. Raises why it will not be, if it is closed."""
        await self._present().live()

    # Messages

    def private(self, user_id: int) -> str:
        """Id of the private conversation with a user; with oneself too. It need not have begun."""
        return private_conversation(self._credentials.user_id, user_id)

    def post(self, conversation_id: str, text: str, *, client_message_id: str = "") -> str:
        """Put a message into the outbox; returns its client message id.

        A program that chooses the id itself may post a message again when it does not know whether it did:
        one id in a conversation is one message for ever. Reasons: OVERLOADED while the outbox is full.
        """
        entry = self._present().sender.post(conversation_id, text, client_message_id)
        return entry.client_message_id

    async def send(
        self,
        conversation_id: str,
        text: str,
        *,
        client_message_id: str = "",
        until: Rung.ValueType = ACCEPTED,
    ) -> Message:
        """As `post`, and wait until the message is ACCEPTED, or DURABLE, however long that takes.

        A wait that is cancelled leaves the message in the outbox.
        Reasons: NOT_A_MEMBER, ROOM_NOT_FOUND, USER_NOT_FOUND, VALIDATION_FAILED, and whatever else is final.
        """
        sender = self._present().sender
        return await sender.wait(sender.post(conversation_id, text, client_message_id), until)

    def outbox(self, conversation_id: str = "") -> Sequence[Entry]:
        """What is on its way, oldest first; of one conversation or of all."""
        return self._present().sender.outbox.of(conversation_id)

    async def flushed(self) -> None:
        """Wait until the outbox is empty: everything sent is DURABLE or was refused."""
        await self._present().sender.flushed()

    async def history(
        self,
        conversation_id: str,
        *,
        before_seq: int | None = None,
        after_seq: int | None = None,
        limit: int = 50,
    ) -> ListMessagesResponse:
        """A contiguous part of a conversation, oldest first, without late repetitions.

        Without bounds the newest part. Reasons: NOT_A_MEMBER, CONVERSATION_NOT_FOUND, HISTORY_INCOMPLETE.
        """
        request = ListMessagesRequest(
            conversation_id=conversation_id, before_seq=before_seq, after_seq=after_seq, page_size=limit
        )
        while True:
            page = await self._messages.list_messages(request)
            told = [message for message in page.messages if not message.HasField("tombstone")]
            if told or not page.more:
                return ListMessagesResponse(messages=told, head=page.head, more=page.more)
            _turn_page(request, page)

    def rung(self, message: Message) -> Rung.ValueType:
        """How far an own message has come, as far as this client knows; unspecified for those of others."""
        marks = self._present().inbox.marks.get(message.conversation_id)
        if message.sender_id != self._credentials.user_id:
            return RUNG_UNSPECIFIED
        return marks.rung(message.seq) if marks else ACCEPTED

    # Conversations

    async def conversations(self) -> AsyncIterator[Conversation]:
        """The user's conversations, the one with the latest event first; pages are read as needed."""
        token = ""
        while True:
            page = await self._conversations.list_conversations(ListConversationsRequest(page_token=token))
            for conversation in page.conversations:
                yield conversation
            if not (token := page.next_page_token):
                return

    async def conversation(self, conversation_id: str) -> Conversation:
        """One conversation. Reasons: CONVERSATION_NOT_FOUND, NOT_A_MEMBER."""
        request = GetConversationRequest(conversation_id=conversation_id)
        return (await self._conversations.get_conversation(request)).conversation

    def unread_count(self, conversation_id: str) -> int:
        """Events above the read mark, as far as this client knows."""
        marks = self._present().inbox.marks.get(conversation_id)
        return marks.unread_count if marks else 0

    async def mark_read(self, conversation_id: str, seq: int = 0) -> int:
        """Move the read mark ahead, to the end without a number; returns what is left unread.

        Reasons: CONVERSATION_NOT_FOUND, NOT_A_MEMBER.
        """
        request = MarkReadRequest(conversation_id=conversation_id, seq=seq)
        answer = await self._conversations.mark_read(request)
        self._present().inbox.read(conversation_id, answer.read_seq)
        return answer.unread_count

    def discard(self, client_message_id: str) -> None:
        """Take a message out of the outbox. If it was accepted already it stays so."""
        self._present().sender.discard(client_message_id)

    # Parts

    async def _token(self) -> str:
        return await self._credentials.token()

    async def _entered(self, user: U) -> U:
        await self._end()
        self._presence = Presence(self._credentials, self._channel, self._store, self._outlet, self._options)
        await self._presence.__aenter__()
        return user

    async def _end(self) -> None:
        """End the session of who was logged in; what the program has taken by then is shown."""
        if self._presence is not None:
            self._show()
            await self._presence.__aexit__(None, None, None)
            self._presence = None
            self._outlet.clear()

    def _show(self) -> None:
        message, self._taken = self._taken, None
        if message is not None and self._presence is not None:
            self._presence.shown(message)

    def _present(self) -> Presence:
        if self._presence is None:
            raise Error(reasons.TOKEN_MISSING, "nobody is logged in")
        return self._presence

    def _remember(self, user: User) -> User:
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[user.id] = user
        return user


def _turn_page(request: ListMessagesRequest, page: ListMessagesResponse) -> None:
    """Ask for what lies beyond a page, in the direction in which it was asked for."""
    if request.HasField("after_seq"):
        request.after_seq = page.messages[-1].seq
    else:
        request.before_seq = page.messages[0].seq
