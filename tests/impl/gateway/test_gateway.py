"""The gateway as clients see it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from codegen.runtime.identity import UserTokens
from gateway_routes import ROUTES
from impl.gateway import app as gateway
from impl.logic import app as logic
from impl.settings import Settings
from impl.storage.migration import migrate
from tests.impl.gateway.conftest import KEY, client_of, running


async def _until(client: httpx.AsyncClient, status: int) -> Any:
    """What `/readyz` says once it has that status."""
    deadline = time.monotonic() + 15
    while (response := await client.get("/readyz")).status_code != status:
        assert time.monotonic() < deadline, response.text
        await asyncio.sleep(0.05)
    return response.json()


def test_every_route_is_of_a_known_service() -> None:
    known = {service.name for service in gateway.SERVICES}
    assert {route.method.service for route in ROUTES} == known


async def test_a_gateway_alone_serves_and_says_what_is_missing(alone: Settings) -> None:
    async with running(gateway, alone), client_of(alone) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        response = await client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "reasons": ["no instance of logic is known"]}
        assert (await client.get("/")).status_code == 200
        token, _ = UserTokens(KEY.encode(), 60).issue("1", "2")
        headers = {"authorization": f"Bearer {token}", "x-request-timeout": "0.5"}
        refused = await client.get("/v1/users/me", headers=headers)
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == (503, "NO_INSTANCE")


async def test_readiness_follows_logic(settings: Settings) -> None:
    await asyncio.to_thread(migrate, settings.effective_database_url)
    async with running(gateway, settings), client_of(settings) as client:
        async with running(logic, settings):
            assert await _until(client, 200) == {"ready": True, "reasons": []}
        gone = await _until(client, 503)
        assert gone["reasons"]


async def test_a_stranger_cannot_make_it_read_much_and_the_longest_text_fits(alone: Settings) -> None:
    token, _ = UserTokens(KEY.encode(), 60).issue("1", "2")
    headers = {"authorization": f"Bearer {token}", "x-request-timeout": "1"}
    longest = {"clientMessageId": "c" * 128, "toUserId": "1", "text": "\x01" * 16384}
    async with running(gateway, alone), client_of(alone) as client:
        refused = await client.post("/v1/auth/login", content=b'{"username":[' + b"{}," * 50_000 + b"{}]}")
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == (413, "TOO_LARGE")
        taken = await client.post("/v1/messages", json=longest, headers=headers)
        assert taken.json()["details"][0]["reason"] == "NO_INSTANCE"


async def test_a_busy_port_is_one_sentence(alone: Settings) -> None:
    async with running(gateway, alone):
        with pytest.raises(OSError, match=f"cannot listen for HTTP on 127.0.0.1:{alone.gateway_port}: "):
            await gateway.run(alone, lambda: None, asyncio.Event())


async def test_a_stop_waits_for_requests_under_way(alone: Settings) -> None:
    token, _ = UserTokens(KEY.encode(), 60).issue("1", "2")
    headers = {"authorization": f"Bearer {token}", "x-request-timeout": "1.5"}
    async with client_of(alone) as client:
        async with running(gateway, alone):
            request = asyncio.create_task(client.get("/v1/users/me", headers=headers))
            await asyncio.sleep(0.5)
        assert (await request).status_code == 503
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")


async def test_people_register_and_write(client: httpx.AsyncClient) -> None:
    users = []
    for name in ("alice", "bob"):
        response = await client.post(
            "/v1/auth/register", json={"username": name, "password": "correct horse"}
        )
        assert response.status_code == 200, response.text
        users.append(response.json())
    alice, bob = users
    as_alice = {"authorization": f"Bearer {alice['accessToken']}"}
    as_bob = {"authorization": f"Bearer {bob['accessToken']}"}
    found = await client.get("/v1/users:lookup", params={"username": "BOB"}, headers=as_alice)
    assert found.json() == {"user": bob["user"]}
    body = {"clientMessageId": "1", "toUserId": bob["user"]["id"], "text": "hello"}
    sent = [
        (await client.post(path, json=body, headers=as_alice)).json() for path in ("/v1/messages", "/message")
    ]
    assert sent[0] == sent[1]
    message = sent[0]["message"]
    assert (message["seq"], message["text"], sent[0]["state"]) == ("1", "hello", "ACCEPTED")
    conversation = message["conversationId"].replace(".", "%2E")
    page = await client.get(f"/v1/conversations/{conversation}/messages?page_size=5", headers=as_bob)
    assert page.json()["messages"] == [message]
    stranger = await client.get("/v1/conversations/dm.1.2/messages", headers=as_bob)
    assert stranger.status_code in {403, 404}
