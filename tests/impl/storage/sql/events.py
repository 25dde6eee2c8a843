"""Events as logic makes them, stamped as the accept script stamps them."""

from __future__ import annotations

from im.stream.v1.conversation_event_pb2 import ConversationEvent, MessageAccepted


def event(  # noqa: PLR0913 - by keyword
    conversation_id: str,
    seq: int,
    *,
    number: int,
    epoch: int = 1,
    sender_id: int = 1,
    name: str | None = None,
    text: str = "hello",
) -> ConversationEvent:
    made = ConversationEvent(
        conversation_id=conversation_id,
        epoch=epoch,
        seq=seq,
        id=number,
        sender_id=sender_id,
        message=MessageAccepted(client_message_id=name or f"c{number}", text=text),
    )
    made.created_at.FromMilliseconds(1_800_000_000_123)
    return made
