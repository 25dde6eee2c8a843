"""The conversations of a chat in a terminal: what is known of each, without how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from im.logic.v1.conversation_pb2 import Conversation
from im.logic.v1.message_pb2 import Message
from im.logic.v1.room_pb2 import Room

from codegen.runtime.errors import Error
from impl.cli.chat_lines import ON_ITS_WAY, TICKS, change_of, people_of, shown, time_of
from impl.client import Messenger

KEPT: Final = 500
"""Most messages of a conversation that are kept to be shown."""
_LISTED: Final = 200
"""Most conversations that are listed at the start."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a conversation."""

    time: str
    author: str
    """Empty for a change of the room."""
    text: str
    tick: str = ""


@dataclass
class Talk:
    """One conversation."""

    id: str
    title: str = ""
    room: Room | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    """By number; contiguous once it was opened."""
    opened: bool = False
    older: bool = False
    """Whether history has more before the first message."""

    def add(self, messages: Iterable[Message]) -> None:
        """Take messages, in any order."""
        self.messages |= {message.seq: message for message in messages}
        for seq in sorted(self.messages)[:-KEPT]:
            del self.messages[seq]
            self.older = True


class Talks:
    """All of them, the one with the latest event first."""

    def __init__(self, messenger: Messenger) -> None:
        self._messenger = messenger
        self._talks: dict[str, Talk] = {}
        self._names: dict[int, str] = {}

    @property
    def me(self) -> int:
        """The user's id."""
        return self._messenger.me.id if self._messenger.me else 0

    def __iter__(self) -> Iterator[Talk]:
        """The one with the latest event first."""
        return reversed(self._talks.values())

    def unread(self, talk: Talk) -> int:
        """Events above the read mark."""
        return self._messenger.unread_count(talk.id)

    def name(self, user_id: int) -> str:
        """What a user is called, as far as that is known."""
        return self._names.get(user_id, f"user {user_id}")

    async def load(self) -> None:
        """Read the list of conversations."""
        found: list[Conversation] = []
        async for conversation in self._messenger.conversations():
            found.append(conversation)
            if len(found) >= _LISTED:
                break
        for conversation in reversed(found):
            self._describe(conversation)

    async def open(self, conversation_id: str) -> Talk:
        """A conversation with its last messages."""
        talk = await self.find(conversation_id)
        if not talk.opened:
            page = await self._messenger.history(conversation_id)
            talk.opened, talk.older = True, page.more
            await self.take(page.messages)
        return talk

    async def open_private(self, username: str) -> Talk:
        """The conversation with a user of a name, perhaps not begun yet."""
        user = await self._messenger.find_user(username)
        self._names[user.id] = user.username
        talk = self._talk(self._messenger.private(user.id))
        talk.title = self._title(user.id)
        try:
            return await self.open(talk.id)
        except Error as error:
            if error.code_name != "NOT_FOUND":
                raise
            talk.opened = True
            return talk

    async def find(self, conversation_id: str) -> Talk:
        """A conversation by its id, whoever it is with."""
        talk = self._talks.get(conversation_id)
        if talk is None or not talk.title:
            self._describe(await self._messenger.conversation(conversation_id))
        return self._talks[conversation_id]

    async def refresh(self, conversation_id: str) -> Talk:
        """Ask what a conversation is called now."""
        self._describe(await self._messenger.conversation(conversation_id), top=False)
        return self._talks[conversation_id]

    async def take(self, messages: Iterable[Message], *, new: bool = False) -> None:
        """Messages of one conversation, old ones or one that has just come."""
        for message in messages:
            talk = self._talk(message.conversation_id, top=new)
            if talk.opened:
                talk.add([message])
            await self.learn(people_of(message))

    async def read_older(self, talk: Talk) -> None:
        """Read a page before the first message."""
        first = min(talk.messages, default=0)
        page = await self._messenger.history(talk.id, before_seq=first) if first else None
        if page is not None:
            talk.older = page.more
            await self.take(page.messages)

    async def learn(self, user_ids: Iterable[int]) -> None:
        """Ask what users are called; a name that cannot be had now is asked for another time."""
        for user_id in user_ids:
            if user_id not in self._names:
                try:
                    self._names[user_id] = (await self._messenger.user(user_id)).username
                except Error:
                    return

    def forget(self, conversation_id: str) -> None:
        """The user has left it."""
        self._talks.pop(conversation_id, None)

    def lines(self, talk: Talk) -> Iterator[Line]:
        """What was said and done, and what is on its way."""
        for _, message in sorted(talk.messages.items()):
            if message.HasField("room"):
                yield Line(time_of(message), "", change_of(message, self.name))
            else:
                tick = TICKS.get(self._messenger.rung(message), "")
                yield Line(time_of(message), self.name(message.sender_id), shown(message.text), tick)
        for entry in self._messenger.outbox(talk.id):
            if not entry.accepted:
                yield Line("     ", self.name(self.me), shown(entry.text), ON_ITS_WAY)

    def _describe(self, conversation: Conversation, *, top: bool = True) -> None:
        talk = self._talk(conversation.id, top=top)
        if conversation.HasField("room"):
            talk.room, talk.title = conversation.room, f"#{shown(conversation.room.name)}"
        else:
            self._names[conversation.user.id] = conversation.user.username
            talk.title = self._title(conversation.user.id)

    def _title(self, user_id: int) -> str:
        return "notes to yourself" if user_id == self.me else self.name(user_id)

    def _talk(self, conversation_id: str, *, top: bool = True) -> Talk:
        if top or conversation_id not in self._talks:
            talk = self._talks.pop(conversation_id, None) or Talk(conversation_id)
            self._talks[conversation_id] = talk
        return self._talks[conversation_id]
