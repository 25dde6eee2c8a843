"""Two processes of each tier are one system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import System
from tests.end_to_end.people import Person, phone, register


@pytest.fixture
async def alice(system2: System) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=system2.gateway(1), timeout=20) as http:
        yield await register(http, "alice")


@pytest.fixture
async def bob(system2: System) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=system2.gateway(2), timeout=20) as http:
        yield await register(http, "bob")


async def test_people_on_different_gateways_and_connects_talk(
    system2: System, alice: Person, bob: Person
) -> None:
    async with (
        phone(alice, "json", system2.socket(1)) as alices,
        phone(bob, "proto", system2.socket(2)) as bobs,
    ):
        question = await alices.send(bob, "can you hear me?")
        assert (await bobs.expect("message"))["id"] == question["id"]
        answer = await bobs.send(alice, "yes")
        assert (await alices.expect("message"))["id"] == answer["id"]
    assert [m["id"] for m in await bob.history(question["conversationId"])] == [question["id"], answer["id"]]


async def test_devices_on_different_connects_both_get_the_message(
    system2: System, alice: Person, bob: Person
) -> None:
    async with (
        phone(bob, "json", system2.socket(1)) as first,
        phone(bob, "json", system2.socket(2)) as second,
    ):
        sent = (await alice.send(bob, "to all of you"))["message"]
        assert await first.expect("message") == await second.expect("message") == sent


async def test_concurrent_sends_through_both_gateways_are_numbered_without_gap(
    system2: System, alice: Person, bob: Person
) -> None:
    async with (
        phone(bob, "json", system2.socket(2)) as bobs,
        phone(alice, "json", system2.socket(1)) as alices,
    ):
        ours = [alice.send(bob, f"a{number}") for number in range(30)]
        theirs = [bob.send(alice, f"b{number}") for number in range(30)]
        sent = [answer["message"] for answer in await asyncio.gather(*ours, *theirs)]
        everything = sorted(sent, key=lambda message: int(message["seq"]))
        assert [message["seq"] for message in everything] == [str(number) for number in range(1, 61)]
        assert await bobs.messages(60) == everything
        assert await alices.messages(60) == everything


async def test_the_addresses_given_to_clients_are_those_of_both_connects(
    system2: System, alice: Person
) -> None:
    urls = {(await alice.get("/v1/connection"))["url"] for _ in range(20)}
    assert urls == {system2.socket(1), system2.socket(2)}


async def test_the_system_goes_on_while_one_process_of_each_tier_is_gone(
    system2: System, alice: Person, bob: Person
) -> None:
    async with phone(bob, "json", system2.socket(1)) as bobs:
        for name in ("logic-2", "task-2", "connect-2", "gateway-2"):
            killed = system2.pid(name)
            system2.kill(name)
            sent = (await alice.send(bob, f"while {name} is away"))["message"]
            assert await bobs.expect("message") == sent
            await system2.wait_restarted(name, killed)


def test_no_traceback_was_printed(system2: System) -> None:
    assert "Traceback" not in system2.log()
