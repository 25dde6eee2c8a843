"""Commands of the chat in a terminal: a line that begins with a slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from im.logic.v1.room_pb2 import JOIN_POLICY_INVITE_ONLY, JOIN_POLICY_OPEN, JoinPolicy, Room, RoomSettings

from impl.cli.chat_lines import HELP, ROLE_NAMES, ROLES, shown
from impl.cli.chat_talks import Talk, Talks
from impl.client import Messenger


class Misuse(Exception):  # noqa: N818 - a misuse is an answer, not a defect
    """What was typed cannot be done; one sentence."""


class Stage(Protocol):
    """Where commands show what they did."""

    @property
    def talk(self) -> Talk | None:
        """The conversation that is shown."""
        ...

    async def show(self, conversation_id: str) -> None:
        """Show a conversation."""
        ...

    def say(self, text: str) -> None:
        """Tell the user something."""
        ...

    async def leave(self, *, log_out: bool) -> None:
        """End the program, or only the login."""
        ...


class Commands:
    """What can be typed behind a slash."""

    def __init__(self, messenger: Messenger, talks: Talks, stage: Stage) -> None:
        self._messenger = messenger
        self._talks = talks
        self._stage = stage

    async def run(self, line: str) -> None:
        """Do what a line asks for.

        Raises:
            Misuse: it asks for nothing that can be done.
            Error: the service has refused it.
        """
        word, _, rest = line.removeprefix("/").partition(" ")
        command = COMMANDS.get(word.lower())
        if command is None:
            raise Misuse(f"There is no command /{shown(word)}; /help shows what there is.")
        await command(self, rest.strip())

    async def help(self, _: str) -> None:
        """Say what there is."""
        self._stage.say(HELP)

    async def to(self, name: str) -> None:
        """Talk to somebody."""
        talk = await self._talks.open_private(_given(name, "/to NAME"))
        await self._stage.show(talk.id)

    async def create(self, name: str) -> None:
        """Create a room."""
        await self._create(_given(name, "/create NAME"), JOIN_POLICY_INVITE_ONLY)

    async def create_open(self, name: str) -> None:
        """Create a room that everybody may join."""
        await self._create(_given(name, "/create! NAME"), JOIN_POLICY_OPEN)

    async def join(self, room_id: str) -> None:
        """Join a room."""
        if not room_id.isdecimal():
            raise Misuse("Say which room: /join ID. Members see the id with /info.")
        await self._messenger.rooms.join(int(room_id))
        await self._stage.show(self._messenger.rooms.conversation(int(room_id)))

    async def leave(self, _: str) -> None:
        """Leave the room that is shown."""
        await self._messenger.rooms.leave(self._room().id)
        self._stage.say("You have left the room.")

    async def add(self, name: str) -> None:
        """Add somebody to the room."""
        room = self._room()
        user = await self._messenger.find_user(_given(name, "/add NAME"))
        await self._messenger.rooms.add(room.id, user.id)

    async def remove(self, name: str) -> None:
        """Remove somebody from the room."""
        room = self._room()
        user = await self._messenger.find_user(_given(name, "/remove NAME"))
        await self._messenger.rooms.remove(room.id, user.id)

    async def role(self, rest: str) -> None:
        """Give a member another role."""
        name, _, role = rest.partition(" ")
        if role.strip() not in ROLES:
            raise Misuse("Say who and what: /role NAME member, /role NAME admin or /role NAME owner.")
        user = await self._messenger.find_user(name)
        await self._messenger.rooms.set_role(self._room().id, user.id, ROLES[role.strip()])

    async def name(self, name: str) -> None:
        """Call the room something else."""
        settings = RoomSettings(name=_given(name, "/name TEXT"))
        await self._messenger.rooms.update(self._room().id, settings)

    async def about(self, text: str) -> None:
        """Say what the room is about."""
        await self._messenger.rooms.update(self._room().id, RoomSettings(description=text))

    async def info(self, _: str) -> None:
        """Say what is known of the room."""
        room = await self._messenger.rooms.get(self._room().id)
        who = "everybody may join" if room.join == JOIN_POLICY_OPEN else "members are added"
        self._stage.say(
            f"#{shown(room.name)}, id {room.id}: {shown(room.description) or 'about nothing in particular'}. "
            f"{room.member_count} members; {who}."
        )

    async def members(self, _: str) -> None:
        """List the members of the room."""
        said = []
        async for member in self._messenger.rooms.members(self._room().id):
            role = ROLE_NAMES.get(member.role, "member")
            said.append(member.username if role == "member" else f"{member.username} ({role})")
        self._stage.say(f"{len(said)} members: {', '.join(said)}.")

    async def older(self, _: str) -> None:
        """Show what was said before."""
        if (talk := self._stage.talk) is None or not talk.older:
            raise Misuse("Nothing was said before.")
        await self._talks.read_older(talk)
        await self._stage.show(talk.id)

    async def log_out(self, _: str) -> None:
        """End the login."""
        await self._stage.leave(log_out=True)

    async def quit(self, _: str) -> None:
        """End the program."""
        await self._stage.leave(log_out=False)

    async def _create(self, name: str, join: JoinPolicy.ValueType) -> None:
        room = await self._messenger.rooms.create(RoomSettings(name=name, join=join))
        await self._stage.show(room.conversation_id)
        self._stage.say(f"The room has the id {room.id}.")

    def _room(self) -> Room:
        talk = self._stage.talk
        if talk is None or talk.room is None:
            raise Misuse("This is no room.")
        return talk.room


def _given(text: str, usage: str) -> str:
    if not text:
        raise Misuse(f"Something is missing: {usage}.")
    return text


COMMANDS: Final[Mapping[str, Callable[[Commands, str], Awaitable[None]]]] = {
    "help": Commands.help,
    "to": Commands.to,
    "create": Commands.create,
    "create!": Commands.create_open,
    "join": Commands.join,
    "leave": Commands.leave,
    "add": Commands.add,
    "remove": Commands.remove,
    "role": Commands.role,
    "name": Commands.name,
    "about": Commands.about,
    "info": Commands.info,
    "members": Commands.members,
    "older": Commands.older,
    "logout": Commands.log_out,
    "quit": Commands.quit,
}
