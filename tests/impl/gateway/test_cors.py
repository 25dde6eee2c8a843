"""Pages of other origins: whom the configuration names may call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from pydantic import ValidationError

from impl.gateway import app as gateway
from impl.settings import Settings
from tests.browser import chromium
from tests.impl.gateway.conftest import client_of, lonely, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRIEND = "https://friend.example"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
CALL = """async (url) => {
    const answer = await fetch(url, {
        method: "POST", headers: {authorization: "Bearer x", "content-type": "application/json"}, body: "{}",
    });
    return [answer.status, answer.headers.get("www-authenticate"), (await answer.json()).code];
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """A gateway as it comes."""
    settings = lonely(tmp_path_factory.mktemp("plain"))
    async with running(gateway, settings):
        yield settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def friendly(tmp_path_factory: pytest.TempPathFactory, plain: Settings) -> AsyncIterator[Settings]:
    """A gateway that pages of a friend and of the other gateway may call."""
    origins = (FRIEND, f"http://127.0.0.1:{plain.gateway_port}")
    settings = lonely(tmp_path_factory.mktemp("friendly")).model_copy(update={"cors_origins": origins})
    async with running(gateway, settings):
        yield settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def test_without_configuration_nobody_elsewhere_may_call(plain: Settings) -> None:
    async with client_of(plain) as client:
        for answer in (
            await client.options("/v1/messages", headers={"origin": FRIEND, **PREFLIGHT}),
            await client.get("/v1/users/me", headers={"origin": FRIEND}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_named_origins_may_call_and_read_answers_and_refusals(friendly: Settings) -> None:
    async with client_of(friendly) as client:
        asked = await client.options("/v1/messages", headers={"origin": FRIEND, **PREFLIGHT})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == FRIEND
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert asked.headers["access-control-allow-headers"] == "authorization"
        assert "access-control-allow-credentials" not in asked.headers
        refused = await client.get("/v1/users/me", headers={"origin": FRIEND})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == FRIEND
        assert refused.headers["access-control-expose-headers"] == "*"


async def test_others_may_not(friendly: Settings) -> None:
    async with client_of(friendly) as client:
        other = {"origin": "https://friend.example.evil.example"}
        assert (await client.options("/v1/messages", headers={**other, **PREFLIGHT})).status_code == 400
        answer = await client.get("/v1/users/me", headers=other)
        assert "access-control-allow-origin" not in answer.headers


async def test_a_browser_calls_from_a_page_of_another_origin(
    plain: Settings, friendly: Settings, browser: Browser
) -> None:
    # Without the page's content security policy, which allows calls to its own origin alone.
    context = await browser.new_context(bypass_csp=True)
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{plain.gateway_port}/")
    url = f"http://127.0.0.1:{friendly.gateway_port}/v1/auth/logout"
    assert await page.evaluate(CALL, url) == [401, 'Bearer error="invalid_token"', 16]
    await page.goto(f"http://127.0.0.1:{friendly.gateway_port}/")
    refused = f"http://127.0.0.1:{plain.gateway_port}/v1/auth/logout"
    assert await page.evaluate(f"({CALL})('{refused}').then(() => 'read', () => 'refused')") == "refused"
    await context.close()


@pytest.mark.parametrize(
    "origin",
    [
        "example.org",
        "https://example.org/",
        "ftp://example.org",
        "https://EXAMPLE.org",
        "https://a:443",
        "null",
    ],
)
async def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError, match="nor an origin"):
        Settings(cors_origins=(origin,))


async def test_origins_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOM_CORS_ORIGINS", "https://a.example, http://[::1]:8000")
    assert Settings().cors_origins == ("https://a.example", "http://[::1]:8000")
