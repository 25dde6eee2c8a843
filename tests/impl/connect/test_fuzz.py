"""Whatever a client sends, it gets a named answer, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from im.client.v1.frames_pb2 import Ack, ClientFrame, Heartbeat, SendFrame
from im.errors.v1 import close_closes
from im.logic.v1.message_service_pb2 import SendMessageRequest
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from codegen.runtime.method import CloseCode
from tests.impl.connect.conftest import BINARY, JSON, Client, Person, Town

NAMED = {
    (close.code, close.name) for close in vars(close_closes).values() if isinstance(close, CloseCode)
} - {(1011, "UNSPECIFIED")}
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

names = st.sampled_from(
    ["hello", "send", "ack", "heartbeat", "requestId", "request", "toUserId", "text", "accessToken", "@type"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
texts = st.text(max_size=300) | st.dictionaries(names, values, max_size=2).map(json.dumps)
frames = st.builds(
    lambda frame, cut, tail: frame.SerializeToString()[:cut] + tail,
    st.sampled_from(
        [
            ClientFrame(heartbeat=Heartbeat()),
            ClientFrame(ack=Ack(conversation_id="dm.1.2", epoch=1, seq=-1)),
            ClientFrame(send=SendFrame(request_id="r", request=SendMessageRequest(to_user_id=1, text="t"))),
        ]
    ),
    st.integers(0, 40),
    st.binary(max_size=40),
)
blobs = st.binary(max_size=300) | frames


async def speak(client: Client, data: list[str | bytes]) -> None:
    """Send everything, then a heartbeat; the answers are errors, heartbeats and a named close."""
    try:
        for one in data:
            await client.connection.send(one)
        await client.say(heartbeat={})
        while (frame := await client.hear()).WhichOneof("frame") != "heartbeat":
            assert frame.WhichOneof("frame") in {"error", "sent"}
            assert frame.error.code != "INTERNAL"
    except ConnectionClosed:
        assert await client.closed() in NAMED


class Witness:
    """Another session, that must not notice anything."""

    def __init__(self, town: Town, person: Person) -> None:
        self.town, self.person = town, person

    async def undisturbed(self, subprotocol: Subprotocol, data: list[Any], welcomed: bool) -> None:
        async with self.town.session(self.person) as (witness, _):
            async with self.town.client(subprotocol) as client:
                if welcomed:
                    await client.open(self.person.token)
                await speak(client, data)
            await witness.say(heartbeat={})
            assert (await witness.hear()).WhichOneof("frame") == "heartbeat"


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
@pytest.mark.parametrize("welcomed", [False, True])
async def test_any_frames_get_a_named_answer(
    town: Town, subprotocol: Subprotocol, welcomed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    witness = Witness(town, await town.person())
    loop = asyncio.get_running_loop()

    @EXAMPLES
    @given(st.lists(texts if subprotocol == JSON else blobs, min_size=1, max_size=4))
    def fuzz(data: list[str | bytes]) -> None:
        asyncio.run_coroutine_threadsafe(witness.undisturbed(subprotocol, data, welcomed), loop).result(60)

    await asyncio.to_thread(fuzz)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
async def test_any_bytes_below_the_frames_harm_nobody(
    town: Town, subprotocol: Subprotocol, caplog: pytest.LogCaptureFixture
) -> None:
    person = await town.person()
    loop = asyncio.get_running_loop()

    async def break_the_protocol(data: bytes) -> None:
        async with town.session(person) as (witness, _):
            async with town.client(subprotocol) as client:
                await client.open(person.token)
                client.connection.transport.write(data)
                client.connection.transport.write_eof()
                await client.closed()
            await witness.say(heartbeat={})
            assert (await witness.hear()).WhichOneof("frame") == "heartbeat"

    @EXAMPLES
    @given(st.binary(min_size=1, max_size=200))
    def fuzz(data: bytes) -> None:
        asyncio.run_coroutine_threadsafe(break_the_protocol(data), loop).result(60)

    await asyncio.to_thread(fuzz)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
