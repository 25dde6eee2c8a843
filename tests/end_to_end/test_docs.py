"""The page of the API, as somebody uses it who tries the API out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.browser import chromium
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERBS = ("get", "put", "post", "delete", "patch")


@pytest_asyncio.fixture(loop_scope="module")
async def page(system: System) -> AsyncIterator[Page]:
    """The page, loaded; whatever it complains about fails the test."""
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 2000})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{system.url}/docs")
        await expect(page.locator(".opblock").first).to_be_visible()
        yield page
        assert not [text for text in complaints if "status of 401" not in text]


async def test_every_operation_is_shown(system: System, page: Page) -> None:
    async with httpx.AsyncClient(base_url=system.url) as client:
        document = (await client.get("/openapi.json")).json()
    wanted = {
        (verb.upper(), path) for path, item in document["paths"].items() for verb in item if verb in VERBS
    }
    assert {path for _, path in wanted} >= {
        "/v1/messages",
        "/v1/conversations/{conversation_id}:read",
        "/healthz",
    }
    shown = await page.locator(".opblock-summary").evaluate_all(
        """blocks => blocks.map(block => [
            block.querySelector(".opblock-summary-method").textContent,
            block.querySelector(".opblock-summary-path").dataset.path,
        ])"""
    )
    assert {(verb, path) for verb, path in shown} == wanted
    assert "ProtoJSON" in await page.locator(".info").inner_text()
    # Nothing in the document is beyond the viewer.
    assert await page.locator(".errors-wrapper").count() == 0


async def test_a_call_can_be_tried_with_a_token(system: System, page: Page) -> None:
    async with httpx.AsyncClient(base_url=system.url) as client:
        account = {"username": "reader", "password": "password of a reader"}
        token = (await client.post("/v1/auth/register", json=account)).json()["accessToken"]
    block = page.locator(".opblock", has=page.locator('[data-path="/v1/users/me"]')).filter(has_text="GET")
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    await _execute(block, 401)
    await page.get_by_role("button", name="Authorize", exact=True).first.click()
    await page.locator(".auth-container input").fill(token)
    await page.locator(".auth-container").get_by_role("button", name="Apply credentials").click()
    await page.get_by_role("button", name="Close", exact=True).click()
    answer = await _execute(block, 200)
    assert json.loads(answer)["user"]["username"] == "reader"


async def test_a_body_can_be_tried_as_it_is_proposed(page: Page) -> None:
    block = page.locator(".opblock", has=page.locator('[data-path="/v1/auth/register"]'))
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    proposed = json.loads(await block.locator("textarea.body-param__text").input_value())
    assert set(proposed) == {"username", "password", "device"}
    answer = await _execute(block, 200)
    assert json.loads(answer)["user"]["username"] == proposed["username"]


async def _execute(block: Locator, status: int) -> str:
    """Presses the button; the body of the answer, which must have that status."""
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response").first
    await expect(answer.locator(".response-col_status")).to_contain_text(str(status))
    return await answer.locator(".highlight-code code").first.inner_text()
