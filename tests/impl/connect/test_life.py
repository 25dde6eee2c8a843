from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from im.client.v1.session_service_socket import SESSION
from im.connect.v1.delivery_service_pb2 import DeliverResponse
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from impl.connect import app
from impl.connect.app import Tuning
from impl.settings import Settings
from tests.impl.connect.conftest import BINARY, JSON, Client, Person, Town, message, running
from tests.impl.connect.neighbours import running_logic, until

DELIVERED = DeliverResponse.OUTCOME_DELIVERED
FENCED = DeliverResponse.OUTCOME_FENCED
WRONG_BOOT = DeliverResponse.OUTCOME_WRONG_BOOT


def tuned(**changes: Any) -> Tuning:
    return Tuning(dataclasses.replace(SESSION, **changes), closing_seconds=0.5)


@pytest.fixture
async def hasty(settings: Settings) -> AsyncIterator[Town]:
    """A gateway whose patience is short."""
    async with running_logic(settings), running(settings, tuned(hello_timeout=0.4, heartbeat=0.4)) as made:
        yield made


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Town]:
    """A gateway whose queues are short."""
    async with running_logic(settings), running(settings, tuned(send_queue_bytes=65536)) as made:
        yield made


async def test_who_says_nothing_is_let_go_as_hello_expected(hasty: Town) -> None:
    async with hasty.client() as client:
        assert await client.closed() == (4400, "HELLO_EXPECTED")


async def test_a_plain_client_that_only_answers_pings_stays_and_hears_heartbeats(hasty: Town) -> None:
    async with hasty.session(await hasty.person()) as (client, _):
        for _ in range(6):
            assert (await client.hear()).WhichOneof("frame") == "heartbeat"


async def test_a_client_that_shows_no_life_is_let_go(hasty: Town) -> None:
    async with hasty.session(await hasty.person()) as (client, _):
        deaf(client)
        assert await client.closed() == (4408, "HEARTBEAT_TIMEOUT")


def deaf(client: Client) -> None:
    """Lets the client's side ignore pings, as a peer does whose network is gone."""
    protocol = client.connection.protocol
    send_frame = protocol.send_frame

    def without_pongs(frame: Any) -> None:
        if frame.opcode.name != "PONG":
            send_frame(frame)

    protocol.send_frame = without_pongs  # type: ignore[method-assign]


async def test_a_client_that_only_sends_heartbeats_stays(hasty: Town) -> None:
    async with hasty.session(await hasty.person()) as (client, _):
        deaf(client)
        for _ in range(8):
            await asyncio.sleep(0.2)
            await client.say(heartbeat={})
        await client.say(ack={})
        while (frame := await client.hear()).WhichOneof("frame") == "heartbeat":
            pass
        assert frame.WhichOneof("frame") == "error"


HANDSHAKE = b"""GET /v1/ws HTTP/1.1\r
Host: here\r
Connection: Upgrade\r
Upgrade: websocket\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
Sec-WebSocket-Protocol: idiom.v1.json\r
\r
"""


async def test_a_client_that_never_answers_the_close_is_cut(hasty: Town) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.settings.connect_port)
    writer.write(HANDSHAKE)
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 101")
            assert answer.endswith(b"HELLO_EXPECTED")
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
async def test_who_reads_too_slowly_is_let_go_and_others_do_not_notice(
    narrow: Town, subprotocol: Subprotocol
) -> None:
    alice, bob = await narrow.person(), await narrow.person()
    async with (
        narrow.session(alice, subprotocol) as (slow, slow_id),
        narrow.session(bob, subprotocol) as (quick, quick_id),
    ):
        slow.connection.transport.pause_reading()
        unknown: list[str] = []
        number = 0
        while not unknown:
            number += 1
            item = message(number, "x" * 10000)
            responses = await narrow.deliver(narrow.batch((item, [slow_id, quick_id])))
            unknown = list(responses[0].unknown_session_ids)
            assert (await quick.hear()).message.seq == number
        assert unknown == [slow_id]
        slow.connection.transport.resume_reading()
        assert await slow.closed() in {(4409, "SLOW_CONSUMER"), (1006, "")}


async def test_a_slow_reader_that_catches_up_in_time_learns_why_it_was_let_go(narrow: Town) -> None:
    async with narrow.session(await narrow.person()) as (client, session_id):
        items = [(message(number, "x" * 10000), [session_id]) for number in range(1, 400)]
        await narrow.deliver(narrow.batch(*items))
        assert await client.closed() == (4409, "SLOW_CONSUMER")


async def test_messages_of_one_batch_arrive_in_order(town: Town) -> None:
    async with (
        town.session(await town.person(), JSON) as (one, one_id),
        town.session(await town.person(), BINARY) as (two, two_id),
    ):
        items = [(message(number), [one_id, two_id]) for number in range(1, 301)]
        await town.deliver(town.batch(*items[:150]), town.batch(*items[150:]))
        for client in (one, two):
            assert [(await client.hear()).message.seq for _ in range(300)] == list(range(1, 301))


async def test_a_batch_for_an_earlier_life_or_of_an_older_owner_is_refused(town: Town) -> None:
    async with town.session(await town.person()) as (client, session_id):
        requests = [
            town.batch((message(1), [session_id]), batch=1, token=5),
            town.batch((message(2), [session_id]), batch=2, token=4),
            town.batch((message(3), [session_id]), batch=3, token=5, boot_id="earlier"),
            town.batch((message(4), [session_id]), batch=4, token=4, partition=4),
            town.batch((message(5), [session_id]), batch=5, token=6),
        ]
        responses = await town.deliver(*requests)
        assert [response.outcome for response in responses] == [
            DELIVERED,
            FENCED,
            WRONG_BOOT,
            DELIVERED,
            DELIVERED,
        ]
        assert [response.batch for response in responses] == [1, 2, 3, 4, 5]
        assert [(await client.hear()).message.seq for _ in range(3)] == [1, 4, 5]


async def test_an_older_owner_is_refused_on_another_stream_too(town: Town) -> None:
    assert (await town.deliver(town.batch(token=7)))[0].outcome == DELIVERED
    assert (await town.deliver(town.batch(token=6)))[0].outcome == FENCED


async def test_sessions_that_are_not_here_are_named_once(town: Town) -> None:
    async with town.session(await town.person()) as (_, session_id):
        items = [(message(number), ["gone", session_id]) for number in (1, 2)]
        assert list((await town.deliver(town.batch(*items)))[0].unknown_session_ids) == ["gone"]
    await until(lambda: _unknown(town, session_id))


async def _unknown(town: Town, session_id: str) -> bool:
    responses = await town.deliver(town.batch((message(3), [session_id])))
    return list(responses[0].unknown_session_ids) == [session_id]


async def test_what_arrives_before_the_welcome_follows_it_in_order(settings: Settings) -> None:
    async with running(settings) as town:
        async with running_logic(settings):
            person = await town.person()
        async with town.client() as client:
            await client.say(hello={"accessToken": person.token})
            session_id = await mapped_session(town, person)
            items = [(message(number), [session_id]) for number in range(1, 51)]
            assert not (await town.deliver(town.batch(*items)))[0].unknown_session_ids
            async with running_logic(settings):
                assert (await client.hear()).WhichOneof("frame") == "welcome"
                assert [(await client.hear()).message.seq for _ in range(50)] == list(range(1, 51))


async def test_too_much_before_the_welcome_is_told_as_incomplete(settings: Settings) -> None:
    async with running(settings, tuned(send_queue_bytes=65536)) as town:
        async with running_logic(settings):
            person = await town.person()
        async with town.client() as client:
            await client.greet(person.token)
            session_id = await mapped_session(town, person)
            items = [(message(number, "x" * 10000), [session_id]) for number in range(4, 11)]
            await town.deliver(town.batch((message(1, conversation="dm.1.3"), [session_id]), *items))
            async with running_logic(settings):
                assert (await client.hear()).HasField("welcome")
                frames = {frame.WhichOneof("frame"): frame for frame in await client.caught_up()}
    incomplete = frames.pop("incomplete").incomplete
    assert (incomplete.head.conversation_id, incomplete.head.epoch, incomplete.head.seq) == ("dm.1.2", 1, 10)
    assert incomplete.after_seq == 3
    assert frames.pop("message").message.conversation_id == "dm.1.3"
    assert not frames


async def mapped_session(town: Town, person: Person) -> str:
    """The session's id as the map names it: the map is written before anything is known to the client."""
    await until(lambda: town.mapped(person.id))
    return (await town.mapped(person.id))[0].session_id


async def test_without_logic_a_hello_ends_as_unavailable(settings: Settings) -> None:
    async with running(settings) as town:
        async with running_logic(settings):
            person = await town.person()
        async with town.client() as client:
            error = (await client.open(person.token)).error
            assert (error.code, error.reason) == ("UNAVAILABLE", "NO_INSTANCE")
            assert await client.closed() == (4503, "UNAVAILABLE")
        await until(lambda: _unmapped(town, person))


async def _unmapped(town: Town, person: Person) -> bool:
    return not await town.mapped(person.id)


async def test_a_session_is_mapped_to_its_instance_and_boot_until_it_ends(town: Town) -> None:
    person = await town.person()
    async with town.session(person) as (_, session_id):
        address = (await town.mapped(person.id))[0]
        assert (address.session_id, address.instance) == (session_id, town.instance.name)
        assert address.boot_id == town.instance.boot_id
    await until(lambda: _unmapped(town, person))


async def test_several_sessions_of_one_user_are_independent(town: Town) -> None:
    person = await town.person()
    async with town.session(person, JSON) as (one, one_id), town.session(person, BINARY) as (two, two_id):
        assert one_id != two_id
        assert len(await town.mapped(person.id)) == 2
        await town.deliver(town.batch((message(1), [two_id])))
        assert (await two.hear()).message.seq == 1
        await one.say(heartbeat={})
        assert (await one.hear()).WhichOneof("frame") == "heartbeat"


async def test_the_instance_gives_the_address_of_its_socket(town: Town) -> None:
    assert town.instance.attributes["url"] == town.url
    assert town.instance.address == f"127.0.0.1:{town.settings.connect_grpc_port}"


async def test_draining_finishes_calls_then_closes_by_name_and_refuses_newcomers(
    settings: Settings,
) -> None:
    async with running(settings) as town:
        async with running_logic(settings):
            person = await town.person()
            async with town.session(person) as (client, _):
                request = {"clientMessageId": "c", "toUserId": str(person.id), "text": "last words"}
                await client.say(send={"requestId": "r", "request": request})
                await client.say(ack={})
                town.stop.set()
                kinds = [(await client.hear()).WhichOneof("frame") for _ in range(2)]
                assert sorted(map(str, kinds)) == ["error", "sent"]
                assert await client.closed() == (4000, "DRAINING")
            await town.running
        assert not town.instances.all()
        assert await _unmapped(town, person)
        with pytest.raises((OSError, InvalidStatus)):
            async with town.client():
                pass


async def test_a_gateway_can_be_stopped_while_it_waits_for_etcd(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"etcd_endpoints": ("127.0.0.1:1",)})
    stop, ready = asyncio.Event(), asyncio.Event()
    starting = asyncio.create_task(app.run(elsewhere, ready.set, stop))
    await asyncio.sleep(0.3)
    stop.set()
    async with asyncio.timeout(15):
        await starting
    assert not ready.is_set()
