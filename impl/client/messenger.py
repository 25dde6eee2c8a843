"""A program's connection to the service: one user, all conversations, nothing missed and nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from im.logic.v1.conversation_pb2 import Conversation
from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_pb2 import ListMessagesResponse
from im.logic.v1.rung_pb2 import ACCEPTED, Rung
from im.logic.v1.user_pb2 import User

from impl.client.events import ConnectionState, Event
from impl.client.outbox import Entry
from impl.client.rooms import Rooms
from impl.client.store import Store


@dataclass(frozen=True, slots=True)
class Options:
    """How a Messenger behaves."""

    encoding: Literal["json", "proto"] = "json"
    """Of frames on the socket."""
    device: str = ""
    """What the login is called in the list of logins."""
    backlog: bool = False
    """Whether the first login tells everything that was said before."""
    capacity: int = 1000
    """Most events that wait for a program which is slow to take them. What is beyond is read from history
    when the program comes to it."""


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
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Go on with the login in the store, if there is one; does not wait for the network."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the session. The login and what is in the outbox stay in the store."""
        raise NotImplementedError

    # Who

    @property
    def me(self) -> User | None:
        """Who is logged in."""
        raise NotImplementedError

    async def register(self, username: str, password: str) -> User:
        """Create a user, log them in and begin the session. Reasons: USERNAME_TAKEN."""
        raise NotImplementedError

    async def log_in(self, username: str, password: str) -> User:
        """Log a user in and begin the session. Reasons: WRONG_CREDENTIALS."""
        raise NotImplementedError

    async def log_out(self) -> None:
        """End the login and the session, and forget what the store has of them.

        Without the service only this client forgets; the login then ends when it expires.
        """
        raise NotImplementedError

    async def find_user(self, username: str) -> User:
        """The user of a name. Reasons: USER_NOT_FOUND."""
        raise NotImplementedError

    async def user(self, user_id: int) -> User:
        """The user of an id; asked once. Reasons: USER_NOT_FOUND."""
        raise NotImplementedError

    # What happens

    def events(self) -> AsyncIterator[Event]:
        """Everything that happens, without end; one reader at a time.

        An event counts as shown once the next one is asked for.
        """
        raise NotImplementedError

    @property
    def rooms(self) -> Rooms:
        """Rooms and their members."""
        raise NotImplementedError

    @property
    def connection(self) -> ConnectionState:
        """How far the session is."""
        raise NotImplementedError

    async def live(self) -> None:
        """Wait until the session is live. Raises why it will not be, if it is closed."""
        raise NotImplementedError

    # Messages

    def private(self, user_id: int) -> str:
        """Id of the private conversation with a user; with oneself too. It need not have begun."""
        raise NotImplementedError

    def post(self, conversation_id: str, text: str) -> str:
        """Put a message into the outbox; returns its client message id.

        Reasons: OVERLOADED while the outbox is full.
        """
        raise NotImplementedError

    async def send(self, conversation_id: str, text: str, *, until: Rung.ValueType = ACCEPTED) -> Message:
        """Put a message into the outbox and wait until it is ACCEPTED, or DURABLE, however long that takes.

        A wait that is cancelled leaves the message in the outbox.
        Reasons: NOT_A_MEMBER, ROOM_NOT_FOUND, USER_NOT_FOUND, VALIDATION_FAILED, and whatever else is final.
        """
        raise NotImplementedError

    def outbox(self, conversation_id: str = "") -> Sequence[Entry]:
        """What is on its way, oldest first; of one conversation or of all."""
        raise NotImplementedError

    async def flushed(self) -> None:
        """Wait until the outbox is empty: everything sent is DURABLE or was refused."""
        raise NotImplementedError

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
        raise NotImplementedError

    def rung(self, message: Message) -> Rung.ValueType:
        """How far an own message has come, as far as this client knows; unspecified for those of others."""
        raise NotImplementedError

    # Conversations

    def conversations(self) -> AsyncIterator[Conversation]:
        """The user's conversations, the one with the latest event first; pages are read as needed."""
        raise NotImplementedError

    async def conversation(self, conversation_id: str) -> Conversation:
        """One conversation. Reasons: CONVERSATION_NOT_FOUND, NOT_A_MEMBER."""
        raise NotImplementedError

    def unread_count(self, conversation_id: str) -> int:
        """Events above the read mark, as far as this client knows."""
        raise NotImplementedError

    async def mark_read(self, conversation_id: str, seq: int = 0) -> int:
        """Move the read mark ahead, to the end without a number; returns what is left unread.

        Reasons: CONVERSATION_NOT_FOUND, NOT_A_MEMBER.
        """
        raise NotImplementedError
