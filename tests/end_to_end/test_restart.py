"""Users and messages survive: an orderly stop, and the sudden death of everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import System, new_database
from tests.end_to_end.people import PASSWORD, answered, phone, register


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of one system: another one with an etcd of its own would have to wait for the ids of the first."""
    with new_database(request, request.param) as url:
        yield url


@pytest.mark.parametrize("ending", [System.stop, System.crash])
async def test_users_and_messages_are_there_after_a_new_start(
    tmp_path: Path, ending: object, database: str
) -> None:
    system = System(tmp_path / "data", database_url=database)
    system.start()
    try:
        async with httpx.AsyncClient(base_url=system.url, timeout=20) as http:
            alice, bob = await register(http, "alice"), await register(http, "bob")
            sent = [(await alice.send(bob, f"message {number}"))["message"] for number in range(5)]
        assert callable(ending)
        ending(system)
        system.start()
        async with httpx.AsyncClient(base_url=system.url, timeout=20) as http:
            account = {"username": bob.name, "password": PASSWORD}
            assert answered(await http.post("/v1/auth/login", json=account))["user"]["id"] == bob.id
            later = [person.__class__(http, person.name, person.id, person.token) for person in (alice, bob)]
            assert await later[1].history(sent[0]["conversationId"]) == sent
            async with phone(later[1]) as bobs:
                another = (await later[0].send(later[1], "after"))["message"]
                assert await bobs.expect_message(another["id"]) == another
                assert another["seq"] == "6"
    finally:
        system.close()
    assert "Traceback" not in system.log()
