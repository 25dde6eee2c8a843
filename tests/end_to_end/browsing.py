"""People who use the page, each device a browser of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from playwright.async_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect

PASSWORD: Final = "correct horse battery"
PATIENCE_MS: Final = 20_000
RESTART_PATIENCE_MS: Final = 60_000
SIZE: Final = ViewportSize(width=1240, height=720)

_names: set[str] = set()


@dataclass
class Device:
    """The page as one person sees it on one device."""

    page: Page
    name: str
    password: str = PASSWORD
    defects: list[str] = field(default_factory=list)
    """Errors of scripts that nobody caught."""

    @classmethod
    async def open(cls, context: BrowserContext, url: str, name: str) -> Device:
        """Opens the page, which is not logged in, or is as the context's other pages are."""
        page = await context.new_page()
        device = cls(page, name)
        page.on("pageerror", lambda error: device.defects.append(error.stack or str(error)))
        await page.goto(url)
        return device

    async def enter(self, button: str, password: str = "") -> None:
        await self.page.get_by_label("User name", exact=True).fill(self.name)
        await self.page.get_by_label("Password").fill(password or self.password)
        await self.page.get_by_role("button", name=button).click()

    async def connected(self) -> None:
        await expect(self.page.locator("#connection")).to_have_text("Connected", timeout=RESTART_PATIENCE_MS)

    async def start(self, name: str) -> None:
        """Starts a conversation by user name."""
        await self.find(name)
        await expect(self.title).to_have_text(name)

    async def find(self, wanted: str) -> None:
        """Asks for a user name or the link of a room."""
        await self.page.get_by_label("Find: user name, or link of a room").fill(wanted)
        await self.page.get_by_label("Find: user name, or link of a room").press("Enter")

    async def choose(self, name: str) -> None:
        """Opens a conversation from the list."""
        await self.listed(name).click()
        await expect(self.title).to_have_text(name)

    async def create_room(self, name: str, *members: str, join: str = "", history: str = "") -> str:
        """Creates a room, with other settings than rooms have unless told; returns its link."""
        await self.page.get_by_role("button", name="New room").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("Name").fill(name)
        await dialog.get_by_label("First members").fill(", ".join(members))
        if join:
            await dialog.get_by_label("Who may join").select_option(label=join)
        if history:
            await dialog.get_by_label("What members may read").select_option(label=history)
        await dialog.get_by_role("button", name="Create room").click()
        await expect(self.title).to_have_text(name)
        return self.page.url

    async def show_details(self) -> Locator:
        """The panel with details of the conversation."""
        if not await self.details.is_visible():
            await self.page.get_by_role("button", name="Details", exact=True).click()
        return self.details

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.page.get_by_label("Message", exact=True).fill(text)
            await self.page.get_by_label("Message", exact=True).press("Enter")

    @property
    def title(self) -> Locator:
        """Name of the conversation that is open."""
        return self.page.locator("#pane-title")

    @property
    def details(self) -> Locator:
        return self.page.locator("#details")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("list", name="Messages").locator(".message .text")

    def numbered(self, seq: int) -> Locator:
        """The message of a number, if it is among those that are held."""
        return self.page.locator(f".message[data-seq='{seq}']")

    @property
    def lines(self) -> Locator:
        """What happened in the room."""
        return self.page.get_by_role("list", name="Messages").locator(".line")

    @property
    def unconfirmed(self) -> Locator:
        return self.page.locator(".message:is([data-rung=pending], [data-rung=failed])")

    def listed(self, name: str) -> Locator:
        """A conversation in the list."""
        conversations = self.page.get_by_role("navigation", name="Conversations").get_by_role("button")
        return conversations.filter(has=self.page.locator(".name", has_text=name))

    def rung(self, text: str) -> Locator:
        """The sign of how far an own message has come."""
        return self.page.locator(".message.mine", has_text=text).locator(".mark")

    async def reaches(self, text: str, rung: str) -> None:
        """An own message comes to a rung; its sign says so in words."""
        await expect(self.rung(text)).to_have_text(rung, timeout=PATIENCE_MS)

    async def has_unread(self, name: str, count: int) -> None:
        """The list says that there are so many unread messages."""
        expected = f"{count} unread" if count else ""
        await expect(self.listed(name).locator(".count")).to_have_text(expected, timeout=PATIENCE_MS)

    async def sees(self, *texts: str, within_ms: float = PATIENCE_MS) -> None:
        """Exactly these messages are shown, in this order, and every own one was accepted."""
        await expect(self.messages).to_have_text(list(texts), timeout=within_ms)
        await expect(self.unconfirmed).to_have_count(0, timeout=within_ms)

    async def close(self) -> None:
        await self.page.context.close()
        assert self.defects == []


def fresh_name(name: str) -> str:
    """The name itself for the first of that name, `ada-2` for the next …"""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    found = next(candidate for candidate in names if candidate not in _names)
    _names.add(found)
    return found


async def context_of(browser: Browser) -> BrowserContext:
    """A browser of somebody's own."""
    context = await browser.new_context(viewport=SIZE, device_scale_factor=2, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    return context


@asynccontextmanager
async def newcomer(browser: Browser, url: str, name: str) -> AsyncIterator[Device]:
    """Somebody who registers through the page."""
    device = await Device.open(await context_of(browser), url, fresh_name(name))
    try:
        await device.enter("Create account")
        await device.connected()
        yield device
    finally:
        await device.close()


@asynccontextmanager
async def another_device(browser: Browser, url: str, of: Device) -> AsyncIterator[Device]:
    """Another browser in which the same person logs in."""
    device = await Device.open(await context_of(browser), url, of.name)
    try:
        await device.enter("Log in")
        await device.connected()
        yield device
    finally:
        await device.close()
