"""The browser's client behind a hostile network, with tokens that live for seconds: exact all the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.hostile import Faults, Hostile, hostile
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_MS: Final = 90_000
MESSAGES: Final = 40
PASSWORD: Final = "correct horse battery"

ENTER: Final = """async ([username, action, password]) => {
    const { Account } = await import("/client/index.js");
    window.account = new Account();
    if (action) await account[action]({ username, password });
    return account.userId;
}"""
START: Final = """async () => {
    const { Messenger } = await import("/client/index.js");
    window.heard ??= {};
    window.failed ??= [];
    window.begin = (cursors) => {
      window.messenger = new Messenger({ account, cursors });
      const hear = ({ message }) => (heard[message.conversationId] ??= []).push([message.seq, message.text]);
      messenger.addEventListener("message", hear);
      messenger.addEventListener("room", hear);
      messenger.addEventListener("failed", ({ error }) => failed.push([error.reason, error.message]));
      messenger.start();
    };
    begin(null);
}"""
LIVE: Final = "() => messenger.state === 'live'"
WRITE: Final = """async ([conversations, name, count]) => {
    for (let number = 0; number < count; number += 1) {
      for (const id of conversations) messenger.send(id, `${name} ${number}`);
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
}"""
ALL: Final = """async (conversationId) => {
    const all = [];
    for (let more = true; more; ) {
      const afterSeq = all.at(-1)?.[0] ?? "0";
      const page = await messenger.history(conversationId, { afterSeq, pageSize: 200 });
      all.push(...page.messages.map(({ seq, text }) => [seq, text]));
      more = page.more;
    }
    return all;
}"""
QUIET: Final = "(ids) => messenger.state === 'live' && ids.every((id) => messenger.unsent(id).length === 0)"


@dataclass(frozen=True)
class Device:
    """A browser with the client in a page that has nothing else."""

    page: Page
    name: str
    user_id: str

    async def start(self) -> None:
        await self.page.evaluate(START)
        await self.page.wait_for_function(LIVE, timeout=PATIENCE_MS)

    async def write(self, conversations: list[str], count: int = MESSAGES) -> None:
        await self.page.evaluate(WRITE, [conversations, self.name, count])

    async def begin_again(self) -> None:
        """A new messenger goes on where the old one was."""
        await self.page.evaluate("() => { const { cursors } = messenger; messenger.stop(); begin(cursors); }")

    async def quiet(self, conversations: list[str]) -> None:
        """Everything sent is in the database."""
        await self.page.wait_for_function(QUIET, arg=conversations, timeout=PATIENCE_MS)

    async def heard(self, conversation: str, count: int) -> Any:
        """What was told of a conversation, once it is as much as expected."""
        ready = "([id, count]) => (heard[id] ?? []).length >= count"
        await self.page.wait_for_function(ready, arg=[conversation, count], timeout=PATIENCE_MS)
        return await self.page.evaluate("(id) => heard[id]", conversation)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose access tokens live for a few seconds."""
    system = System(tmp_path_factory.mktemp("hasty") / "data", access_token_seconds="6")
    try:
        system.start()
        yield system
    finally:
        system.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


class Room:
    """Browsers that are opened at one address, and closed together."""

    def __init__(self, stack: AsyncExitStack, browser: Browser, url: str) -> None:
        self._stack = stack
        self._browser = browser
        self._url = url

    async def device(self, label: str, name: str, action: str, password: str = PASSWORD) -> Device:
        context = await self._browser.new_context()
        self._stack.push_async_callback(context.close)
        page = await context.new_page()
        await page.goto(f"{self._url}/healthz")
        return Device(page, label, await page.evaluate(ENTER, [name, action, password]))


async def three(room: Room, prefix: str) -> tuple[Device, Device, Device]:
    """Two devices of Ada, one of Grace."""
    desk = await room.device("desk", f"{prefix}-ada", "register")
    phone = await room.device("phone", f"{prefix}-ada", "logIn")
    return desk, phone, await room.device("grace", f"{prefix}-grace", "register")


async def conversations(desk: Device, grace: Device) -> list[str]:
    """A private conversation and a room of both."""
    script = """async ([peerId]) => {
        const { privateId } = await import("/client/index.js");
        const clientRequestId = String(Math.random());
        const request = { clientRequestId, name: "storm", memberIds: [peerId] };
        for (let room = null; !room; ) {
          room = (await account.client.roomService.createRoom(request).catch(() => ({}))).room;
          if (room) return [privateId(account.userId, peerId), room.conversationId];
        }
    }"""
    ids: list[str] = await desk.page.evaluate(script, [grace.user_id])
    return ids


async def calm(proxy: Hostile) -> None:
    """The network is good again, and every session begins anew."""
    proxy.calm = True
    proxy.close_all(4000)


async def agree(devices: tuple[Device, ...], ids: list[str]) -> None:
    """Everybody was told what the service has: each message once, in order, without a hole."""
    for device in devices:
        await device.quiet(ids)
        assert await device.page.evaluate("failed") == []
    for conversation in ids:
        history = await devices[0].page.evaluate(ALL, conversation)
        assert [seq for seq, _ in history] == [str(number) for number in range(1, len(history) + 1)]
        for device in devices:
            assert await device.heard(conversation, len(history)) == history, device.name
            own = [text for _, text in history if text.startswith(f"{device.name} ")]
            assert own == [f"{device.name} {number}" for number in range(MESSAGES)]


@pytest.mark.parametrize("share", [0.02, 0.1])
async def test_each_message_arrives_once_in_order_and_without_a_hole_on_every_device(
    browser: Browser, hasty: System, share: float
) -> None:
    async with hostile(hasty.url, Faults.all(share, seed=7)) as proxy, AsyncExitStack() as stack:
        devices = await three(Room(stack, browser, proxy.url), f"storm{share}".replace(".", "-"))
        proxy.calm = True
        for device in devices:
            await device.start()
        proxy.calm = False
        ids = await conversations(devices[0], devices[2])
        await asyncio.gather(*(device.write(ids) for device in devices))
        for device in devices:
            await device.heard(ids[1], MESSAGES)
        await calm(proxy)
        await agree(devices, ids)
        assert sum(proxy.counts.values()) > 0


async def test_a_messenger_goes_on_where_an_earlier_one_was(browser: Browser, hasty: System) -> None:
    async with hostile(hasty.url, Faults.all(0.02, seed=3)) as proxy, AsyncExitStack() as stack:
        devices = await three(Room(stack, browser, proxy.url), "again")
        proxy.calm = True
        for device in devices:
            await device.start()
        ids = await conversations(devices[0], devices[2])
        for device in devices:
            for conversation in ids[1:]:
                await device.heard(conversation, 1)
        proxy.calm = False
        writing = asyncio.gather(*(device.write(ids) for device in devices))
        for _ in range(3):
            await devices[1].heard(ids[1], 1)
            await devices[2].begin_again()
            await devices[2].page.wait_for_function(LIVE, timeout=PATIENCE_MS)
        await writing
        await calm(proxy)
        await agree(devices, ids)


async def test_the_example_of_the_documentation_works_as_it_stands(browser: Browser, hasty: System) -> None:
    example = re.search(r"```js\n(.*?)```", (ROOT / "docs" / "clients.md").read_text("utf-8"), re.DOTALL)
    assert example
    async with AsyncExitStack() as stack:
        room = Room(stack, browser, hasty.url)
        grace = await room.device("grace", "grace", "register", "correct horse")
        await grace.start()
        ada = await room.device("ada", "ada", "register", "correct horse")
        await ada.page.evaluate("account.logOut()")
        await ada.page.add_script_tag(content=example[1], type="module")
        async with ada.page.expect_console_message(lambda said: said.text.endswith(" hello")) as said:
            pass
        conversation = (await said.value).text.split()[0]
        assert await grace.heard(conversation, 1) == [["1", "hello"]]


async def test_tabs_of_one_browser_renew_their_login_at_once_and_stay_logged_in(
    browser: Browser, hasty: System
) -> None:
    async with AsyncExitStack() as stack:
        first = await Room(stack, browser, hasty.url).device("first", "tabs-ada", "register")
        second = Device(await first.page.context.new_page(), "second", first.user_id)
        await second.page.goto(f"{hasty.url}/healthz")
        await second.page.evaluate(ENTER, ["", "", ""])
        stored = "JSON.parse(localStorage.getItem('idiom.login')).accessToken"
        for _ in range(5):
            renewed = await asyncio.gather(
                *(tab.page.evaluate(f"account.renew({stored})") for tab in (first, second, first))
            )
            assert renewed == [True, True, True]
        for tab in (first, second):
            me = await tab.page.evaluate("account.client.userService.getMe()")
            assert me["user"]["id"] == first.user_id
            logins = await tab.page.evaluate("account.client.authService.listLogins()")
            assert len(logins["logins"]) == 1
