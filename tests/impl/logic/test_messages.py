from __future__ import annotations

import asyncio
import time

from im.errors.v1.reason_errors import (
    CLIENT_MESSAGE_ID_REUSED,
    CONVERSATION_NOT_FOUND,
    NOT_A_MEMBER,
    USER_NOT_FOUND,
)
from im.logic.v1.message_pb2 import Head
from im.logic.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest, SendMessageResponse
from im.logic.v1.rung_pb2 import ACCEPTED, DURABLE
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.context import Context
from codegen.runtime.streams.partitions import partition_of
from impl.storage.envelope import private_id
from tests.impl.logic.conftest import PARTITIONS, Tier, as_user, refused


async def send(  # noqa: PLR0913 - reads as a sentence
    tier: Tier, sender: int, to: int, name: str, text: str = "hi", *, resend: bool = False
) -> SendMessageResponse:
    request = SendMessageRequest(client_message_id=name, to_user_id=to, text=text, resend=resend)
    return await tier.desk.send_message(request, as_user(sender))


async def stream(tier: Tier, conversation_id: str) -> list[ConversationEvent]:
    return [
        ConversationEvent.FromString(e)
        for e in await tier.conversations.tail(conversation_id, None, None, 999)
    ]


async def forget(tier: Tier) -> None:
    """Redis loses its window of first results, as it does after an hour."""
    redis = tier.conversations._redis
    for key in await redis.keys("*dedupe*"):
        await redis.delete(key)


async def test_a_message_gets_its_number_and_is_on_the_stream_as_answered(
    tier: Tier, ada: int, bo: int
) -> None:
    request = SendMessageRequest(client_message_id="a", to_user_id=bo, text="hi")
    response = await tier.desk.send_message(request, as_user(ada, session="s-1"))
    message = response.message
    assert response.state == ACCEPTED
    assert (message.conversation_id, message.seq, message.sender_id) == (private_id(ada, bo), 1, ada)
    assert (message.client_message_id, message.text) == ("a", "hi")
    assert message.epoch > 0
    assert abs(message.created_at.ToMilliseconds() - time.time() * 1000) < 5000
    (event,) = await stream(tier, message.conversation_id)
    assert (event.id, event.epoch, event.seq) == (message.id, message.epoch, message.seq)
    assert (event.origin_session, event.message.text) == ("s-1", "hi")
    assert event.created_at == message.created_at


async def test_both_directions_share_one_conversation_and_ids_grow(tier: Tier, ada: int, bo: int) -> None:
    sent = [await send(tier, ada, bo, "1"), await send(tier, bo, ada, "1"), await send(tier, ada, bo, "2")]
    assert [response.message.seq for response in sent] == [1, 2, 3]
    ids = [response.message.id for response in sent]
    assert ids == sorted(set(ids))


async def test_the_same_send_again_gives_the_first_result(tier: Tier, ada: int, bo: int) -> None:
    first = await send(tier, ada, bo, "x")
    assert await send(tier, ada, bo, "x") == first
    assert await send(tier, ada, bo, "x", resend=True) == first
    again = await asyncio.gather(*(send(tier, ada, bo, "y") for _ in range(8)))
    assert len({response.message.id for response in again}) == 1
    await refused(CLIENT_MESSAGE_ID_REUSED, send(tier, ada, bo, "x", "other"))


async def test_a_late_repetition_marked_as_such_gets_the_first_result_from_the_database(
    tier: Tier, ada: int, bo: int
) -> None:
    first = await send(tier, ada, bo, "x")
    await tier.messages.persist(0, 1, await stream(tier, first.message.conversation_id))
    await forget(tier)
    again = await send(tier, ada, bo, "x", resend=True)
    assert again.message == first.message
    assert again.state == DURABLE
    await refused(CLIENT_MESSAGE_ID_REUSED, send(tier, ada, bo, "x", "other", resend=True))


async def test_a_late_repetition_without_a_mark_ends_as_a_tombstone_in_the_history(
    tier: Tier, ada: int, bo: int
) -> None:
    first = await send(tier, ada, bo, "x")
    await forget(tier)
    late = await send(tier, ada, bo, "x")
    assert late.message.seq == 2
    await tier.messages.persist(0, 2, await stream(tier, first.message.conversation_id))
    request = ListMessagesRequest(conversation_id=first.message.conversation_id)
    listed = (await tier.desk.list_messages(request, as_user(bo))).messages
    assert [m.id for m in listed] == [first.message.id, late.message.id]
    assert listed[1].tombstone.duplicate_of == first.message.id
    assert listed[1].text == ""


async def test_one_may_write_to_oneself(tier: Tier, ada: int) -> None:
    message = (await send(tier, ada, ada, "note")).message
    assert message.conversation_id == f"dm.{ada}.{ada}"
    listed = await tier.desk.list_messages(
        ListMessagesRequest(conversation_id=message.conversation_id), as_user(ada)
    )
    assert list(listed.messages) == [message]


async def test_nobody_writes_to_or_as_a_user_who_does_not_exist(tier: Tier, ada: int) -> None:
    await refused(USER_NOT_FOUND, send(tier, ada, 12345, "x"))
    await refused(USER_NOT_FOUND, send(tier, 12345, ada, "x"))
    assert await tier.conversations.heads([private_id(ada, 12345)]) == {}


async def test_a_history_is_for_its_members_only(tier: Tier, ada: int, bo: int) -> None:
    conversation = (await send(tier, ada, bo, "x")).message.conversation_id

    async def listed(name: str, context: Context) -> object:
        return await tier.desk.list_messages(ListMessagesRequest(conversation_id=name), context)

    await refused(NOT_A_MEMBER, listed(conversation, as_user(77)))
    await refused(NOT_A_MEMBER, listed(f"dm.{bo}.{bo}", as_user(ada)))
    for wrong in ("nonsense", f"dm.{bo}.{ada}", f"dm.{ada}", f"dm.0{ada}.{bo}", "dm.1.99999999999999999999"):
        await refused(CONVERSATION_NOT_FOUND, listed(wrong, as_user(ada)))


async def test_an_empty_history_is_that_of_users_who_exist(tier: Tier, ada: int, bo: int) -> None:
    name = private_id(ada, bo)
    response = await tier.desk.list_messages(ListMessagesRequest(conversation_id=name), as_user(ada))
    assert not response.messages
    assert response.head == Head(conversation_id=name, first_seq=1)
    nobody = ListMessagesRequest(conversation_id=private_id(ada, 12345))
    await refused(CONVERSATION_NOT_FOUND, tier.desk.list_messages(nobody, as_user(ada)))


async def test_a_history_says_its_head_and_whether_there_is_more(tier: Tier, ada: int, bo: int) -> None:
    sent = [(await send(tier, ada, bo, f"c{n}")).message for n in range(60)]
    name = sent[0].conversation_id
    newest = await tier.desk.list_messages(ListMessagesRequest(conversation_id=name), as_user(bo))
    assert list(newest.messages) == sent[10:]
    assert newest.more
    assert newest.head == Head(
        conversation_id=name,
        epoch=sent[-1].epoch,
        seq=60,
        first_seq=1,
        peer_delivered_seq=60,  # who sends has read what was before
        peer_read_seq=60,
    )
    request = ListMessagesRequest(conversation_id=name, after_seq=57, page_size=200)
    rest = await tier.desk.list_messages(request, as_user(bo))
    assert list(rest.messages) == sent[57:]
    assert not rest.more


async def test_the_largest_bounds_are_no_defect(tier: Tier, ada: int, bo: int) -> None:
    message = (await send(tier, ada, bo, "x")).message
    largest = (1 << 63) - 1
    for bounds, wanted in (({"after_seq": largest}, []), ({"before_seq": largest}, [message])):
        request = ListMessagesRequest(conversation_id=message.conversation_id, **bounds)
        listed = await tier.desk.list_messages(request, as_user(ada))
        assert list(listed.messages) == wanted


async def test_a_conversation_that_redis_lost_goes_on_in_a_new_epoch_without_reusing_a_number(
    tier: Tier, ada: int, bo: int
) -> None:
    before = [(await send(tier, ada, bo, name)).message for name in "abc"]
    name = before[0].conversation_id
    partition = partition_of(name, PARTITIONS)
    await tier.messages.persist(partition, 1, (await stream(tier, name))[:2])
    await tier.conversations._redis.flushall()
    await tier.conversations._redis.connection_pool.disconnect()
    after = (await send(tier, ada, bo, "d")).message
    assert after.epoch > before[0].epoch
    assert after.seq > 3
    listed = await tier.desk.list_messages(ListMessagesRequest(conversation_id=name), as_user(bo))
    assert list(listed.messages) == [*before[:2], after]
