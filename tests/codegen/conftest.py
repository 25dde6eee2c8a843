"""The generated browser client in a real browser, and its peer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.codegen.es_peer import Peer, served
from tests.codegen.web import outputs


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outputs(tmp_path_factory.mktemp("es"))


@pytest_asyncio.fixture(loop_scope="module")
async def peer(files: dict[str, str]) -> AsyncIterator[Peer]:
    peer = Peer(files)
    async with served(peer):
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, peer: Peer) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(peer.url)
    yield page
    await page.close()
