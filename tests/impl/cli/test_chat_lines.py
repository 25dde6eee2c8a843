"""What the chat in a terminal says."""

from __future__ import annotations

import pytest
from im.errors.v1 import reason_errors as reasons
from im.logic.v1.message_pb2 import Message
from im.logic.v1.room_pb2 import (
    ROLE_ADMIN,
    ROLE_MEMBER,
    MemberJoined,
    MemberLeft,
    MemberRoleChanged,
    OwnershipTransferred,
    RoomCreated,
    RoomEvent,
    RoomSettings,
)

from codegen.runtime.errors import Error, FieldViolation
from impl.cli.chat_lines import change_of, people_of, sentence, shown

ADA, BOB = 1, 2


def name(user_id: int) -> str:
    return {ADA: "ada", BOB: "bob"}[user_id]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (RoomEvent(created=RoomCreated()), "ada created the room."),
        (RoomEvent(changed=RoomSettings(name="den")), "ada called the room “den”."),
        (RoomEvent(changed=RoomSettings(description="")), "ada changed what the room is about."),
        (RoomEvent(joined=MemberJoined(user_id=ADA)), "ada joined."),
        (RoomEvent(joined=MemberJoined(user_id=BOB)), "ada added bob."),
        (RoomEvent(left=MemberLeft(user_id=ADA)), "ada left."),
        (RoomEvent(left=MemberLeft(user_id=BOB)), "ada removed bob."),
        (RoomEvent(role=MemberRoleChanged(user_id=BOB, role=ROLE_ADMIN)), "ada made bob an admin."),
        (RoomEvent(role=MemberRoleChanged(user_id=BOB, role=ROLE_MEMBER)), "ada made bob a member."),
        (RoomEvent(owner=OwnershipTransferred(user_id=BOB)), "ada handed the room over to bob."),
        (RoomEvent(), "ada changed the room."),
    ],
)
def test_every_change_of_a_room_is_a_sentence(event: RoomEvent, said: str) -> None:
    assert change_of(Message(sender_id=ADA, room=event), name) == said


def test_names_are_asked_for_of_all_who_are_named() -> None:
    assert people_of(Message(sender_id=ADA)) == {ADA}
    assert people_of(Message(sender_id=ADA, room=RoomEvent(left=MemberLeft(user_id=BOB)))) == {ADA, BOB}
    assert people_of(Message(sender_id=ADA, room=RoomEvent(created=RoomCreated()))) == {ADA}


def test_a_terminal_obeys_nobody_who_writes() -> None:
    assert shown("a\x1b[31mb\nc\td\u202e") == "a\ufffd[31mb\nc\ufffdd\ufffd"


def test_errors_are_sentences() -> None:
    assert sentence(Error(reasons.INVITE_ONLY, "members are added here")) == "Members are added here."
    assert sentence(Error(reasons.INVITE_ONLY, "Why?")) == "Why?"
    assert sentence(Error(reasons.INVITE_ONLY, "")) == "INVITE_ONLY."
    violations = [FieldViolation("username", "pattern"), FieldViolation("password", "min_len")]
    both = sentence(Error(reasons.INVITE_ONLY, "x", violations))
    assert both.startswith("A name has two to 64")
    assert both.endswith("A password has eight to 256 characters.")
