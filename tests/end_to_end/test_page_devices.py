"""Two people with three devices on the page: what one does is seen on all, whatever is killed meanwhile."""

from __future__ import annotations

import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser import chromium
from tests.end_to_end.browsing import RESTART_PATIENCE_MS, Device, another_device, newcomer
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@dataclass
class Three:
    """Ada on two devices, and Grace."""

    desk: Device
    phone: Device
    grace: Device

    @property
    def all(self) -> tuple[Device, Device, Device]:
        return self.desk, self.phone, self.grace

    async def open_private(self) -> None:
        """Ada and Grace open their private conversation, everywhere."""
        for device in (self.desk, self.phone):
            await device.start(self.grace.name)
        await self.grace.start(self.desk.name)

    async def open_room(self, name: str) -> None:
        """A room of both is opened, everywhere."""
        await self.desk.create_room(name, self.grace.name)
        for device in (self.phone, self.grace):
            await device.choose(name)

    async def see(self, *texts: str) -> None:
        """Exactly these messages are shown everywhere, also after a reload."""
        for device in self.all:
            await device.sees(*texts, within_ms=RESTART_PATIENCE_MS)
        for device in self.all:
            await device.page.reload()
        for device in self.all:
            await device.sees(*texts, within_ms=RESTART_PATIENCE_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def three(browser: Browser, system: System) -> AsyncIterator[Three]:
    async with (
        newcomer(browser, system.url, "ada") as desk,
        newcomer(browser, system.url, "grace") as grace,
        another_device(browser, system.url, desk) as phone,
    ):
        yield Three(desk, phone, grace)


async def test_ticks_tell_on_every_device_how_far_a_message_has_come(three: Three) -> None:
    await three.desk.start(three.grace.name)
    await three.phone.start(three.grace.name)
    await three.desk.say("are you there?")
    for device in (three.desk, three.phone):
        await device.reaches("are you there?", "delivered")
    await three.grace.choose(three.desk.name)
    for device in (three.desk, three.phone):
        await device.reaches("are you there?", "read")
        await device.page.reload()
        await device.reaches("are you there?", "read")


async def test_a_message_to_who_is_away_is_stored_and_not_delivered(three: Three) -> None:
    await three.grace.page.goto("about:blank")
    await three.desk.start(three.grace.name)
    await three.desk.say("sleep well")
    await three.desk.reaches("sleep well", "stored")
    await three.grace.page.go_back()
    await three.desk.reaches("sleep well", "delivered")


async def test_what_was_read_on_one_device_is_read_on_all(three: Three) -> None:
    await three.grace.start(three.desk.name)
    await three.grace.say("one", "two", "three")
    for device in (three.desk, three.phone):
        await device.has_unread(three.grace.name, 3)
    await expect(three.phone.page).to_have_title("(3) Idiom")
    await three.desk.choose(three.grace.name)
    await expect(three.desk.page.locator(".unread-from")).to_be_visible()
    for device in (three.desk, three.phone):
        await device.has_unread(three.grace.name, 0)
    await expect(three.phone.page).to_have_title("Idiom")


async def test_a_window_in_the_background_has_read_nothing(three: Three) -> None:
    await three.desk.page.evaluate("document.hasFocus = () => false")
    await three.desk.start(three.grace.name)
    await three.grace.start(three.desk.name)
    await three.grace.say("look at me")
    await three.desk.sees("look at me")
    await three.grace.reaches("look at me", "delivered")
    await three.phone.has_unread(three.grace.name, 1)
    await three.desk.page.evaluate("document.hasFocus = () => true; dispatchEvent(new Event('focus'))")
    await three.grace.reaches("look at me", "read")
    await three.phone.has_unread(three.grace.name, 0)


@pytest.mark.parametrize("kind", ["private", "room"])
async def test_nothing_is_lost_or_doubled_when_servers_are_killed_while_people_write(
    three: Three, system: System, kind: str
) -> None:
    await (three.open_private() if kind == "private" else three.open_room("Storm"))
    said: list[str] = []
    for name in ("connect-1", "gateway-1", "logic-1", "redis"):
        killed = system.pid(name)
        before, after = ([f"{name} {when} {number}" for number in range(4)] for when in ("before", "after"))
        await three.desk.say(*before)
        system.kill(name)
        await three.desk.say(*after)
        await system.wait_restarted(name, killed)
        said += before + after
    for device in three.all:
        await device.connected()
        await device.sees(*said, within_ms=RESTART_PATIENCE_MS)
    await three.grace.say("All there.")
    await three.see(*said, "All there.")


async def test_who_writes_everywhere_at_once_is_seen_in_one_order(three: Three, system: System) -> None:
    await three.open_private()
    killed = system.pid("connect-1")
    for number in range(6):
        if number == 3:
            system.kill("connect-1", signal.SIGTERM)
        for device in three.all:
            await device.say(f"{device.name} {number} {'phone' if device is three.phone else ''}".strip())
    await system.wait_restarted("connect-1", killed)
    await expect(three.desk.messages).to_have_count(18, timeout=RESTART_PATIENCE_MS)
    await expect(three.desk.unconfirmed).to_have_count(0, timeout=RESTART_PATIENCE_MS)
    await three.see(*await three.desk.messages.all_text_contents())


async def test_what_redis_has_lost_is_sent_again_by_whoever_sent_it(three: Three, system: System) -> None:
    await three.open_private()
    await three.desk.say("stored before")
    await three.desk.reaches("stored before", "read")
    killed = {name: system.pid(name) for name in ("task-1", "redis")}
    system.kill("task-1", signal.SIGSTOP)
    texts = [f"accepted and lost {number}" for number in range(3)]
    await three.desk.say(*texts)
    await three.desk.sees("stored before", *texts)
    shutil.rmtree(system.data_dir / "redis" / "appendonlydir")
    for name in killed:
        system.kill(name)
    for name, pid in killed.items():
        await system.wait_restarted(name, pid)
    await three.desk.reaches(texts[-1], "read")
    await three.see("stored before", *texts)


async def test_a_message_on_its_way_survives_a_reload_and_arrives_once(three: Three, system: System) -> None:
    await three.open_private()
    await three.desk.say("first")
    await three.desk.sees("first")
    system.kill("connect-1", signal.SIGSTOP)
    try:
        await three.desk.say("on its way")
        await expect(three.desk.unconfirmed).to_have_count(1)
        await three.desk.reaches("on its way", "waiting to be sent")
        await three.desk.page.reload()
        await expect(three.desk.messages).to_have_text(["first", "on its way"])
        await expect(three.desk.unconfirmed).to_have_count(1)
    finally:
        system.kill("connect-1", signal.SIGCONT)
    await three.see("first", "on its way")


async def test_what_is_written_without_a_network_is_sent_when_there_is_one_again(three: Three) -> None:
    await three.open_private()
    await three.desk.say("before")
    await three.desk.sees("before")
    await three.desk.page.context.set_offline(True)
    await three.desk.say("meanwhile")
    await three.grace.say("missed")
    await three.grace.sees("before", "missed")
    await three.desk.page.context.set_offline(False)
    await three.desk.connected()
    await expect(three.desk.messages).to_have_count(3)
    await three.see(*await three.desk.messages.all_text_contents())
