from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import time

import pytest
from im.client.v1.session_service_socket import SESSION
from websockets.typing import Subprotocol

from impl.connect.address import socket_url
from impl.connect.app import Tuning
from impl.settings import Settings
from impl.storage.keys import recent
from tests.impl.connect.conftest import BINARY, JSON, Town, message, running
from tests.impl.connect.neighbours import running_logic

BOTH = pytest.mark.parametrize("subprotocol", [JSON, BINARY])


def send(request_id: str, to: int, text: str = "hello", cmid: str = "") -> dict[str, object]:
    request = {"clientMessageId": cmid or f"c-{request_id}", "toUserId": str(to), "text": text}
    return {"requestId": request_id, "request": request}


@BOTH
async def test_a_hello_is_welcomed_with_the_users_heads(town: Town, subprotocol: Subprotocol) -> None:
    alice, bob = await town.person(), await town.person()
    async with town.session(alice, subprotocol) as (client, session_id):
        assert len(session_id) >= 16
        await client.say(send=send("r1", bob.id))
        sent = (await client.hear()).sent.response.message
    await town.redis.zadd(recent(bob.id), {sent.conversation_id: sent.id})
    async with town.client(subprotocol) as client:
        welcome = (await client.open(bob.token)).welcome
    assert welcome.heartbeat_seconds == 20
    assert [(head.conversation_id, head.epoch, head.seq) for head in welcome.heads] == [
        (sent.conversation_id, sent.epoch, sent.seq)
    ]


@BOTH
async def test_a_send_is_answered_under_its_request_id(town: Town, subprotocol: Subprotocol) -> None:
    alice, bob = await town.person(), await town.person()
    async with town.session(alice, subprotocol) as (client, _):
        await client.say(send=send("r1", bob.id, "häh?"))
        answer = (await client.hear()).sent
    assert answer.request_id == "r1"
    assert answer.response.message.text == "häh?"
    assert answer.response.message.sender_id == alice.id
    assert answer.response.message.seq == 1


@BOTH
async def test_a_delivered_message_arrives(town: Town, subprotocol: Subprotocol) -> None:
    async with town.session(await town.person(), subprotocol) as (client, session_id):
        responses = await town.deliver(town.batch((message(1, "grüß dich"), [session_id])))
        assert (await client.hear()).message == message(1, "grüß dich")
    assert [list(response.unknown_session_ids) for response in responses] == [[]]


async def test_pipelined_sends_keep_their_order(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    async with town.session(alice) as (client, _):
        for number in range(200):
            await client.say(send=send(str(number), bob.id))
        answers = [(await client.hear()).sent for _ in range(200)]
    assert [answer.request_id for answer in answers] == [str(number) for number in range(200)]
    assert [answer.response.message.seq for answer in answers] == list(range(1, 201))


async def test_sends_may_follow_the_hello_at_once(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    async with town.client() as client:
        await client.say(hello={"accessToken": alice.token})
        await client.say(send=send("1", bob.id))
        heard = [await client.hear() for _ in range(3)]
    assert [frame.WhichOneof("frame") for frame in heard] == ["welcome", "resumed", "sent"]
    assert heard[-1].sent.request_id == "1"


@BOTH
async def test_a_heartbeat_is_answered(town: Town, subprotocol: Subprotocol) -> None:
    async with town.session(await town.person(), subprotocol) as (client, _):
        await client.say(heartbeat={})
        assert (await client.hear()).WhichOneof("frame") == "heartbeat"


@BOTH
async def test_a_broken_send_is_refused_and_the_session_goes_on(town: Town, subprotocol: Subprotocol) -> None:
    alice = await town.person()
    async with town.session(alice, subprotocol) as (client, _):
        for frame, field in (
            (send("r1", alice.id, text=""), "text"),
            (send("r2", -1), "to_user_id"),
            (send("", alice.id), "request_id"),
            ({"requestId": "r4"}, "client_message_id"),
        ):
            await client.say(send=frame)
            error = (await client.hear()).error
            assert error.request_id == frame["requestId"]
            assert (error.code, error.reason) == ("INVALID_ARGUMENT", "VALIDATION_FAILED")
            assert field in error.message
        await client.say(send=send("good", alice.id))
        assert (await client.hear()).sent.request_id == "good"


async def test_a_send_of_an_expired_token_is_refused_and_the_session_goes_on(town: Town) -> None:
    alice = await town.person()
    async with town.client() as client:
        token, expires = alice.token_for(1)
        assert (await client.open(token)).HasField("welcome")
        await asyncio.sleep(expires - time.time() + 0.1)
        await client.say(send=send("late", alice.id))
        error = (await client.hear()).error
        assert (error.request_id, error.code, error.reason) == ("late", "UNAUTHENTICATED", "TOKEN_EXPIRED")
        await client.say(heartbeat={})
        assert (await client.hear()).WhichOneof("frame") == "heartbeat"


@BOTH
@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 10000])
async def test_a_refused_hello_is_explained_and_ends_the_session(
    town: Town, subprotocol: Subprotocol, token: str
) -> None:
    async with town.client(subprotocol) as client:
        error = (await client.open(token)).error
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")
        assert await client.closed() == (4401, "UNAUTHENTICATED")


async def test_a_hello_with_an_expired_token_says_so(town: Town) -> None:
    alice = await town.person()
    async with town.client() as client:
        assert (await client.open(alice.token_for(-10)[0])).error.reason == "TOKEN_EXPIRED"
        assert await client.closed() == (4401, "UNAUTHENTICATED")


async def test_a_hello_without_a_token_is_refused(town: Town) -> None:
    async with town.client() as client:
        assert (await client.open("")).error.code == "INVALID_ARGUMENT"
        assert await client.closed() == (4401, "UNAUTHENTICATED")


@BOTH
@pytest.mark.parametrize("kind", ["heartbeat", "ack", "send"])
async def test_a_frame_before_hello_ends_the_session(town: Town, subprotocol: Subprotocol, kind: str) -> None:
    async with town.client(subprotocol) as client:
        await client.say(**{kind: {}})
        assert (await client.hear()).error.reason == "UNEXPECTED_FRAME"
        assert await client.closed() == (4400, "HELLO_EXPECTED")


async def test_a_second_hello_is_refused_and_the_session_goes_on(town: Town) -> None:
    alice = await town.person()
    async with town.session(alice) as (client, _):
        error = (await client.open(alice.token)).error
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "UNEXPECTED_FRAME")
        await client.say(heartbeat={})
        assert (await client.hear()).WhichOneof("frame") == "heartbeat"


@pytest.mark.parametrize(
    ("subprotocol", "data", "reason"),
    [
        (JSON, "nonsense", "MALFORMED_BODY"),
        (JSON, "{}", "MALFORMED_BODY"),
        (JSON, b"{}", "MALFORMED_BODY"),
        (BINARY, b"\xff\xff", "MALFORMED_BODY"),
        (BINARY, b"", "MALFORMED_BODY"),
        (BINARY, "{}", "MALFORMED_BODY"),
    ],
)
@pytest.mark.parametrize("welcomed", [False, True])
async def test_an_unreadable_frame_is_explained_and_ends_the_session(
    town: Town, subprotocol: Subprotocol, data: str | bytes, reason: str, welcomed: bool
) -> None:
    async with town.client(subprotocol) as client:
        if welcomed:
            await client.open((await town.person()).token)
        await client.connection.send(data)
        error = (await client.hear()).error
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", reason)
        assert await client.closed() == (4402, "MALFORMED_FRAME")


@pytest.mark.parametrize(
    ("data", "request_id", "reason"),
    [
        ('{"chat":{}}', "", "UNKNOWN_FIELD"),
        ('{"heartbeat":{},"heartbeat":{}}', "", "INVALID_FIELD"),
        ('{"send":{"requestId":"r","request":{"text":5}}}', "r", "INVALID_FIELD"),
        ('{"send":{"request_id":"r","request":{"colour":"red"}}}', "r", "UNKNOWN_FIELD"),
    ],
)
async def test_a_field_that_cannot_be_read_spoils_only_its_frame(
    town: Town, data: str, request_id: str, reason: str
) -> None:
    async with town.session(await town.person()) as (client, _):
        await client.connection.send(data)
        error = (await client.hear()).error
        assert (error.request_id, error.code, error.reason) == (request_id, "INVALID_ARGUMENT", reason)
        await client.say(heartbeat={})
        assert (await client.hear()).WhichOneof("frame") == "heartbeat"
    async with town.client() as stranger:
        await stranger.connection.send(data)
        assert (await stranger.hear()).error.reason == reason
        assert await stranger.closed() == (4402, "MALFORMED_FRAME")


async def test_a_client_that_echoes_heartbeats_does_not_start_a_storm(town: Town) -> None:
    async with town.session(await town.person()) as (client, _):
        await client.say(heartbeat={})
        assert (await client.hear()).WhichOneof("frame") == "heartbeat"
        await client.say(heartbeat={})
        await client.say(ack={})
        assert (await client.hear()).WhichOneof("frame") == "error"


async def test_text_that_is_no_utf8_ends_the_session(town: Town) -> None:
    async with town.client() as client:
        await client.connection.send(b"\xff\xfe", text=True)
        assert (await client.hear()).error.reason == "MALFORMED_BODY"
        assert await client.closed() == (4402, "MALFORMED_FRAME")


@BOTH
async def test_a_frame_that_is_too_large_ends_the_session(town: Town, subprotocol: Subprotocol) -> None:
    data = "x" * 131073
    async with town.client(subprotocol) as client:
        await client.connection.send(data if subprotocol == JSON else data.encode())
        error = (await client.hear()).error
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "TOO_LARGE")
        assert await client.closed() == (4413, "FRAME_TOO_LARGE")


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [("dm.1.2", "NOT_A_MEMBER"), ("elsewhere", "NOT_A_MEMBER"), ("", "VALIDATION_FAILED")],
)
async def test_an_ack_for_what_is_not_the_users_is_refused(
    town: Town, conversation: str, reason: str
) -> None:
    alice = await town.person()
    async with town.session(alice) as (client, _):
        await client.say(ack={"conversationId": conversation, "epoch": "1", "seq": "1"})
        assert (await client.hear()).error.reason == reason
        await client.say(heartbeat={})
        assert (await client.hear()).WhichOneof("frame") == "heartbeat"


async def test_an_error_of_logic_reaches_the_sender_as_it_is(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    async with town.session(alice) as (client, _):
        await client.say(send=send("r1", 12345))
        error = (await client.hear()).error
        assert (error.request_id, error.code, error.reason) == ("r1", "NOT_FOUND", "USER_NOT_FOUND")
        await client.say(send=send("r2", bob.id, "one", cmid="same"))
        await client.say(send=send("r3", bob.id, "two", cmid="same"))
        assert (await client.hear()).sent.request_id == "r2"
        assert (await client.hear()).error.reason == "CLIENT_MESSAGE_ID_REUSED"


async def test_more_calls_than_one_socket_may_have_wait_their_turn(settings: Settings) -> None:
    tuning = Tuning(dataclasses.replace(SESSION, max_calls=2))
    async with running_logic(settings), running(settings, tuning) as town:
        alice, bob = await town.person(), await town.person()
        async with town.session(alice) as (client, _):
            for number in range(50):
                await client.say(send=send(str(number), (alice, bob)[number % 2].id))
            answers = [(await client.hear()).sent for _ in range(50)]
    assert {answer.request_id for answer in answers} == {str(number) for number in range(50)}
    seqs = [answer.response.message.seq for answer in answers if int(answer.request_id) % 2]
    assert seqs == list(range(1, 26))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:9/v1/ws"),
        ("chat.example", "ws://chat.example:9/v1/ws"),
        ("::1", "ws://[::1]:9/v1/ws"),
    ],
)
def test_the_url_names_the_host(host: str, url: str) -> None:
    assert socket_url(host, 9, "/v1/ws") == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])  # noqa: S104 - given, not bound
def test_the_url_of_every_address_names_one_that_can_be_reached(host: str) -> None:
    name = socket_url(host, 9, "/").removeprefix("ws://").removesuffix(":9/")
    assert not ipaddress.ip_address(name).is_unspecified
