"""What a user's program sees: accounts, sends, deliveries and history of the running system."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import BOTH_DATABASES, System
from tests.end_to_end.people import (
    MESSAGE_FIELDS,
    PASSWORD,
    Codec,
    Person,
    answered,
    fresh,
    phone,
    register,
)

pytestmark = BOTH_DATABASES


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.url, timeout=20) as client:
        yield client


@pytest.fixture
async def alice(http: httpx.AsyncClient) -> Person:
    return await register(http, "alice")


@pytest.fixture
async def bob(http: httpx.AsyncClient) -> Person:
    return await register(http, "bob")


async def test_somebody_registers_logs_in_and_is_known(http: httpx.AsyncClient) -> None:
    account = {"username": fresh("carol"), "password": PASSWORD}
    registered = answered(await http.post("/v1/auth/register", json=account))
    assert set(registered) == {"user", "accessToken", "refreshToken", "expiresAt"}
    logged_in = answered(await http.post("/v1/auth/login", json=account))
    assert logged_in["user"] == registered["user"]
    carol = Person(http, account["username"], logged_in["user"]["id"], logged_in["accessToken"])
    assert (await carol.get("/v1/users/me"))["user"] == registered["user"]
    assert isinstance(registered["user"]["id"], str)


async def test_a_name_can_be_taken_once(http: httpx.AsyncClient, alice: Person) -> None:
    again = await http.post("/v1/auth/register", json={"username": alice.name, "password": PASSWORD})
    assert again.status_code == 409
    assert again.json()["code"] == 6


async def test_a_wrong_password_is_refused(http: httpx.AsyncClient, alice: Person) -> None:
    refused = await http.post("/v1/auth/login", json={"username": alice.name, "password": "wrong password"})
    assert refused.status_code == 401
    assert refused.json()["code"] == 16


async def test_somebody_is_found_by_name(alice: Person, bob: Person) -> None:
    assert (await alice.get("/v1/users:lookup", username=bob.name))["user"] == {
        "id": bob.id,
        "username": bob.name,
        "displayName": "",
        "about": "",
    }


@pytest.mark.parametrize("path", ["/v1/messages", "/message"])
async def test_a_send_is_accepted_with_its_number(alice: Person, bob: Person, path: str) -> None:
    answer = await alice.send(bob, "hello", path=path, cmid="first")
    message = answer["message"]
    assert answer["state"] == "ACCEPTED"
    assert set(message) == MESSAGE_FIELDS
    low, high = sorted((alice.id, bob.id), key=int)
    assert message["conversationId"] == f"dm.{low}.{high}"
    assert (message["seq"], message["senderId"], message["text"]) == ("1", alice.id, "hello")
    assert message["clientMessageId"] == "first"


async def test_the_same_send_twice_is_one_message(alice: Person, bob: Person) -> None:
    first = await alice.send(bob, "once", cmid="same")
    again = await alice.send(bob, "once", cmid="same")
    assert again["message"] == first["message"]
    assert again["state"] in {first["state"], "DURABLE"}  # it may have got there in the meantime
    other = await alice.http.post(
        "/v1/messages",
        json={"clientMessageId": "same", "toUserId": bob.id, "text": "other"},
        headers=alice.headers,
    )
    assert other.status_code == 409


@pytest.mark.parametrize("codec", ["json", "proto"])
async def test_a_message_sent_over_http_arrives_on_a_socket(alice: Person, bob: Person, codec: Codec) -> None:
    async with phone(bob, codec) as bobs:
        sent = (await alice.send(bob, "hello bob"))["message"]
        arrived = await bobs.expect("message")
        assert {name: arrived[name] for name in arrived} == {name: sent[name] for name in arrived}
        assert set(arrived) | {"epoch"} == MESSAGE_FIELDS


@pytest.mark.parametrize(("ours", "theirs"), [("json", "proto"), ("proto", "json")])
async def test_two_sockets_talk_in_both_directions(
    alice: Person, bob: Person, ours: Codec, theirs: Codec
) -> None:
    async with phone(alice, ours) as alices, phone(bob, theirs) as bobs:
        question = await alices.send(bob, "lunch?")
        assert (await bobs.expect("message"))["id"] == question["id"]
        answer = await bobs.send(alice, "yes")
        assert (await alices.expect("message"))["id"] == answer["id"]
        assert int(answer["seq"]) == int(question["seq"]) + 1


async def test_json_frames_carry_exactly_the_fields_of_http(alice: Person, bob: Person) -> None:
    async with phone(alice) as alices, phone(bob) as bobs:
        sent = await alices.send(bob, "same fields")
        arrived = await bobs.expect("message")
        conversation = sent["conversationId"]
        assert sent == arrived == (await bob.history(conversation))[0]
        assert set(arrived) == MESSAGE_FIELDS


async def test_other_devices_of_the_sender_get_the_message_and_the_origin_does_not(
    alice: Person, bob: Person
) -> None:
    async with phone(alice) as origin, phone(alice, "proto") as other, phone(bob) as bobs:
        sent = await origin.send(bob, "from my phone")
        assert (await other.expect("message"))["id"] == sent["id"]
        assert (await bobs.expect("message"))["id"] == sent["id"]
        assert await origin.quiet("message")


async def test_a_note_to_oneself_reaches_the_other_device(alice: Person) -> None:
    async with phone(alice) as origin, phone(alice) as other:
        sent = await origin.send(alice, "remember the milk")
        assert (await other.expect("message"))["id"] == sent["id"]
        assert await origin.quiet("message")


async def test_messages_arrive_in_the_order_of_their_numbers(alice: Person, bob: Person) -> None:
    async with phone(alice) as alices, phone(bob) as bobs:
        sent = [await alices.send(bob, f"message {number}") for number in range(50)]
        arrived = await bobs.messages(50)
    assert [message["seq"] for message in arrived] == [str(number) for number in range(1, 51)]
    assert arrived == sent


async def test_history_is_paged_by_number(alice: Person, bob: Person) -> None:
    sent = [(await alice.send(bob, f"message {number}"))["message"] for number in range(7)]
    conversation = sent[0]["conversationId"]
    assert await bob.history(conversation) == sent
    assert await bob.history(conversation, after_seq=5) == sent[5:]
    assert await bob.history(conversation, before_seq=4, page_size=2) == sent[1:3]
    assert await alice.history(conversation, page_size=3) == sent[-3:]


async def test_history_is_for_members_only(alice: Person, bob: Person, http: httpx.AsyncClient) -> None:
    conversation = (await alice.send(bob, "private"))["message"]["conversationId"]
    stranger = await register(http, "mallory")
    refused = await http.get(f"/v1/conversations/{conversation}/messages", headers=stranger.headers)
    assert refused.status_code in {403, 404}


async def test_welcome_names_the_heads_of_what_happened_before(alice: Person, bob: Person) -> None:
    last = [(await alice.send(bob, f"message {number}"))["message"] for number in range(3)][-1]
    async with phone(bob) as bobs:
        assert bobs.welcome["sessionId"]
        assert bobs.welcome["heartbeatSeconds"] > 0
        heads = {head["conversationId"]: head["seq"] for head in bobs.welcome["heads"]}
        assert heads == {last["conversationId"]: "3"}


async def test_an_acknowledgement_and_a_heartbeat_are_taken(alice: Person, bob: Person) -> None:
    async with phone(bob) as bobs:
        await alice.send(bob, "read me")
        message = await bobs.expect("message")
        position = {name: message[name] for name in ("conversationId", "epoch", "seq") if name in message}
        await bobs.say({"ack": position})
        assert await bobs.quiet("error")


async def test_a_refused_send_over_a_socket_is_a_typed_error(alice: Person) -> None:
    async with phone(alice) as alices:
        request = {"clientMessageId": "x", "toUserId": "1", "text": "nobody there"}
        await alices.say({"send": {"requestId": "r1", "request": request}})
        error = await alices.expect("error")
        assert (error["requestId"], error["code"]) == ("r1", "NOT_FOUND")
        assert error["reason"]
        assert error["message"]


async def test_what_watches_and_describes_the_system_answers(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/"):
        assert (await http.get(path)).status_code == 200, path
    document = answered(await http.get("/openapi.json"))
    assert {"/v1/messages", "/message", "/v1/users:lookup", "/v1/connection"} <= set(document["paths"])


async def test_nothing_without_a_token(http: httpx.AsyncClient) -> None:
    refused = await http.get("/v1/users/me")
    assert refused.status_code == 401
    assert "www-authenticate" in refused.headers


def test_no_traceback_was_printed(system: System) -> None:
    assert "Traceback" not in system.log()
