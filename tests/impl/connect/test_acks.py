from __future__ import annotations

import asyncio

import pytest
from im.logic.v1.conversation_service_pb2 import GetConversationRequest, ListHeadsRequest
from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.rung_pb2 import DELIVERED, READ, Rung
from websockets.typing import Subprotocol

from impl.connect import acks as acks_module
from impl.connect.acks import Acks
from impl.connect.app import Tuning
from impl.settings import Settings
from tests.impl.connect.conftest import BINARY, JSON, Client, Person, Town, running
from tests.impl.connect.neighbours import gated_logic, running_logic, running_task, until


async def ack(client: Client, message: Message) -> None:
    position = {"conversationId": message.conversation_id, "epoch": str(message.epoch)}
    await client.say(ack={**position, "seq": str(message.seq)})


async def head(town: Town, person: Person, conversation: str) -> Head:
    listed = await town.conversations.list_heads(ListHeadsRequest(user_id=person.id))
    return next(head for head in listed.heads if head.conversation_id == conversation)


async def delivered(town: Town, sender: Person, message: Message) -> bool:
    """Whether the sender knows that the message was received."""
    return (await head(town, sender, message.conversation_id)).peer_delivered_seq == message.seq


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
async def test_the_sender_learns_what_was_acknowledged(town: Town, subprotocol: Subprotocol) -> None:
    alice, bob = await town.person(), await town.person()
    sent = await town.send(alice, bob, "one", "two", "three")
    async with town.session(bob, subprotocol) as (client, _):
        await ack(client, sent[1])
        await until(lambda: delivered(town, alice, sent[1]))


async def test_an_older_ack_takes_nothing_back(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    sent = await town.send(alice, bob, "one", "two", "three")
    async with town.session(bob) as (client, _):
        for message in (sent[2], sent[0]):
            await ack(client, message)
        await until(lambda: delivered(town, alice, sent[2]))
        await ack(client, sent[1])
    await asyncio.sleep(1.5)
    assert await delivered(town, alice, sent[2])


async def test_acks_of_rooms_are_taken_and_say_nothing(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    room = await town.room(alice, bob)
    (sent,) = await town.send(alice, room, "hello")
    async with town.session(bob) as (client, _):
        await ack(client, sent)
        await client.silent()


async def test_many_acks_are_one_call(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings, Tuning(ack_seconds=0.3)) as town:
        alice, bob = await town.person(), await town.person()
        sent = await town.send(alice, bob, *map(str, range(50)))
        async with town.session(bob) as (client, _):
            for message in sent:
                await ack(client, message)
            await until(lambda: delivered(town, alice, sent[-1]))
    assert gate.calls["record_delivered"] <= 3


async def test_acks_wait_for_a_logic_that_is_away(settings: Settings) -> None:
    async with running(settings, Tuning(ack_seconds=0.1)) as town:
        async with running_logic(settings):
            alice, bob = await town.person(), await town.person()
            (sent,) = await town.send(alice, bob, "one")
            session = town.client()
            client = await session.__aenter__()
            await client.open(bob.token)
        await ack(client, sent)
        await asyncio.sleep(0.5)
        async with running_logic(settings):
            await until(lambda: delivered(town, alice, sent))
        await session.__aexit__(None, None, None)


async def test_what_waits_is_recorded_at_the_end(settings: Settings) -> None:
    async with running_logic(settings):
        async with running(settings, Tuning(ack_seconds=60)) as town:
            alice, bob = await town.person(), await town.person()
            (sent,) = await town.send(alice, bob, "one")
            async with town.session(bob) as (client, _):
                await ack(client, sent)
                await client.silent()
        async with running(settings) as again:
            assert await delivered(again, alice, sent)


async def test_who_sends_need_not_acknowledge_what_was_before(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings, Tuning(ack_seconds=0.5)) as town:
        alice, bob = await town.person(), await town.person()
        (sent,) = await town.send(alice, bob, "hello")
        async with town.session(bob) as (client, _):
            await ack(client, sent)
            request = {"clientMessageId": "c", "toUserId": str(alice.id), "text": "hello"}
            await client.say(send={"requestId": "r", "request": request})
            answer = (await client.hear()).sent.response.message
            await asyncio.sleep(1)
        assert (await head(town, alice, sent.conversation_id)).peer_delivered_seq == answer.seq
    assert gate.calls["record_delivered"] == 0


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
async def test_a_read_frame_moves_the_mark_and_is_answered(town: Town, subprotocol: Subprotocol) -> None:
    alice, bob = await town.person(), await town.person()
    sent = await town.send(alice, bob, "one", "two", "three")
    name = sent[0].conversation_id
    async with town.session(bob, subprotocol) as (client, _):
        await client.say(read={"requestId": "r", "request": {"conversationId": name, "seq": "2"}})
        marked = (await client.hear()).marked
    assert (marked.request_id, marked.response.read_seq, marked.response.unread_count) == ("r", 2, 1)
    request = GetConversationRequest(conversation_id=name)
    assert (await town.conversations.get_conversation(request, bob.calls)).conversation.head.read_seq == 2
    assert (await head(town, alice, name)).peer_read_seq == 2


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        ("dm.1.2", "NOT_A_MEMBER"),
        ("room.12345", "CONVERSATION_NOT_FOUND"),
        ("elsewhere", "CONVERSATION_NOT_FOUND"),
        ("", "VALIDATION_FAILED"),
    ],
)
async def test_a_read_frame_for_what_is_not_the_users_is_refused(
    town: Town, conversation: str, reason: str
) -> None:
    alice = await town.person()
    async with town.session(alice) as (client, _):
        await client.say(read={"requestId": "r", "request": {"conversationId": conversation}})
        error = (await client.hear()).error
        assert (error.request_id, error.reason) == ("r", reason)
        await client.silent()


async def test_marks_reach_the_other_user_and_the_other_devices(settings: Settings) -> None:
    async with running_logic(settings), running_task(settings), running(settings) as town:
        alice, bob = await town.person(), await town.person()
        async with (
            town.session(alice) as (sender, _),
            town.session(bob) as (one, _),
            town.session(bob) as (two, _),
        ):
            (sent,) = await town.send(alice, bob, "hello")
            for client in (sender, one, two):
                while not (await client.hear()).HasField("message"):
                    pass
            await ack(one, sent)
            heard = [await progress(sender, DELIVERED)]
            await one.say(
                read={"requestId": "r", "request": {"conversationId": sent.conversation_id, "seq": "1"}}
            )
            heard.append(await progress(sender, READ))
            heard.append(await progress(two, READ))
    assert heard == [(sent.conversation_id, 1, bob.id)] * 3


async def progress(client: Client, state: Rung.ValueType) -> tuple[str, int, int]:
    """The next frame about a rung: conversation, number and user."""
    while (frame := (await client.hear()).progress).state != state:
        pass
    return frame.conversation_id, frame.seq, frame.user_id


async def test_of_too_many_marks_the_oldest_are_dropped(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acks_module, "_MOST", 10)
    acks = Acks(town.conversations)
    for number in range(100):
        acks.note(number, "dm.1.2", 1)
    assert acks.waiting == 10


async def test_marks_that_logic_refuses_do_not_keep_the_others_waiting(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await town.person(), await town.person()
    (sent,) = await town.send(alice, bob, "one")
    acks = Acks(town.conversations, pace_seconds=0.05)
    monkeypatch.setattr(acks_module, "_BATCH", 1500)  # more than a request may have
    async with acks.running():
        for number in range(1500):
            acks.note(number, "dm.1.2", 1)
        await until(lambda: not acks.waiting)
        acks.note(bob.id, sent.conversation_id, sent.seq)
        await until(lambda: delivered(town, alice, sent))
