"""A blank page in a real browser that can import the page's modules, and answers to what they ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Browser, Page, Route

ROOT: Final = Path(__file__).resolve().parents[3]
ORIGIN: Final = "http://page.test"
WEB: Final = ROOT / "impl" / "gateway" / "web"
FOLDERS: Final = {"web": WEB, "client": WEB / "client", "gen": ROOT / "gen" / "web"}


class Service:
    """Serves files, and answers calls as the test wants."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[dict[str, str]] = []

    async def answer(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        folder, _, name = address.path.strip("/").partition("/")
        if folder in FOLDERS:
            await route.fulfill(path=FOLDERS[folder] / name, content_type="text/javascript")
        elif folder == "v1":
            self.asked.append({key: values[0] for key, values in parse_qs(address.query).items()})
            status, body = self.answers.pop(0)
            await route.fulfill(status=status, json=body)
        else:
            await route.fulfill(body="<!doctype html><title>t</title>", content_type="text/html")


@asynccontextmanager
async def blank(browser: Browser, service: Service) -> AsyncIterator[Page]:
    """The page."""
    page = await browser.new_page()
    await page.route("**/*", service.answer)
    await page.goto(ORIGIN)
    try:
        yield page
    finally:
        await page.close()


async def run(page: Page, *script: str) -> Any:
    """What a script returns."""
    return await page.evaluate(f"async () => {{ {' '.join(script)} }}")
