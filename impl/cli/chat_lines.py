"""What the chat in a terminal says: lines of messages, ticks, changes of rooms, sentences of errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from im.logic.v1.message_pb2 import Message
from im.logic.v1.room_pb2 import ROLE_ADMIN, ROLE_MEMBER, ROLE_OWNER, RoomEvent, RoomSettings
from im.logic.v1.rung_pb2 import ACCEPTED, DELIVERED, DURABLE, READ, Rung

from codegen.runtime.errors import Error

Name = Callable[[int], str]
"""What a user is called."""

TICKS: Final[Mapping[Rung.ValueType, str]] = {ACCEPTED: "·", DURABLE: "✓", DELIVERED: "✓✓", READ: "✓✓✓"}
ON_ITS_WAY: Final = "…"
ROLES: Final = {"member": ROLE_MEMBER, "admin": ROLE_ADMIN, "owner": ROLE_OWNER}
ROLE_NAMES: Final = {role: name for name, role in ROLES.items()}
_RULES: Final = {
    "username": "A name has two to 64 letters, digits, dots, dashes or underscores.",
    "password": "A password has eight to 256 characters.",
}
"""What the schema asks of what people type, in their words."""
_HIDDEN: Final = "\N{REPLACEMENT CHARACTER}"

HELP: Final = f"""\
/to NAME               talk to somebody
/create NAME           create a room that others are added to
/create! NAME          create a room that everybody may join
/join ID               join a room
/leave                 leave this room
/add NAME   /remove NAME
/role NAME member|admin|owner
/name TEXT  /about TEXT   change what this room is called, and what it is about
/info       /members
/older                 show what was said before
/logout     /quit      (or Ctrl-Q)
Ctrl-P and Ctrl-N go to the conversation above and below.
Behind your messages: {ON_ITS_WAY} on its way, {TICKS[ACCEPTED]} accepted, {TICKS[DURABLE]} stored, \
{TICKS[DELIVERED]} delivered, {TICKS[READ]} read"""


def shown(text: str) -> str:
    """Somebody's text without what a terminal would obey."""
    return "".join(sign if sign.isprintable() or sign == "\n" else _HIDDEN for sign in text)


def sentence(error: Error) -> str:
    """What went wrong, for people."""
    rules = [_RULES[violation.field] for violation in error.violations if violation.field in _RULES]
    if rules:
        return " ".join(rules)
    text = error.message or error.reason.name
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def time_of(message: Message) -> str:
    """When it was said, on the clock of this machine."""
    return message.created_at.ToDatetime().astimezone().strftime("%H:%M")


def change_of(message: Message, name: Name) -> str:
    """What has changed in a room, as a sentence."""
    actor, change = name(message.sender_id), message.room
    match change.WhichOneof("change"):
        case "created":
            said = f"{actor} created the room."
        case "changed":
            said = f"{actor} {_changed(change.changed)}."
        case "joined":
            said = _moved(actor, name(change.joined.user_id), "joined", "added")
        case "left":
            said = _moved(actor, name(change.left.user_id), "left", "removed")
        case "role":
            said = f"{actor} made {name(change.role.user_id)} {_article(change)}."
        case "owner":
            said = f"{actor} handed the room over to {name(change.owner.user_id)}."
        case _:
            said = f"{actor} changed the room."
    return said


def people_of(message: Message) -> set[int]:
    """Users that a line about an event names."""
    change = message.room
    kind = change.WhichOneof("change") if message.HasField("room") else None
    member = getattr(getattr(change, kind), "user_id", 0) if kind else 0
    return {message.sender_id, member} - {0}


def _moved(actor: str, member: str, alone: str, by_another: str) -> str:
    return f"{member} {alone}." if actor == member else f"{actor} {by_another} {member}."


def _article(change: RoomEvent) -> str:
    role = ROLE_NAMES.get(change.role.role, "member")
    return f"an {role}" if role == "admin" else f"a {role}"


def _changed(settings: RoomSettings) -> str:
    said = []
    if settings.HasField("name"):
        said.append(f"called the room “{shown(settings.name)}”")
    if settings.HasField("description"):
        said.append("changed what the room is about")
    if settings.HasField("join") or settings.HasField("history"):
        said.append("changed who may join or what members may read")
    return " and ".join(said) or "changed the room"
