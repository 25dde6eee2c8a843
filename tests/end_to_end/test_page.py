"""The page in real browsers, one for each person, on the whole system."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser import chromium
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

PASSWORD: Final = "correct horse battery"
PATIENCE_MS: Final = 20_000
RESTART_PATIENCE_MS: Final = 60_000
SHOT: Final = ViewportSize(width=1120, height=680)

_names: set[str] = set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.defects: list[str] = []
        """Errors of scripts that nobody caught."""

    @classmethod
    async def arrive(cls, browser: Browser, url: str, name: str) -> Person:
        """Registers through the page."""
        context = await browser.new_context(viewport=SHOT, device_scale_factor=2, locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        person = cls(page, _new_name(name))
        page.on("pageerror", lambda error: person.defects.append(str(error)))
        await page.goto(url)
        await person.enter("Create account")
        await person.connected()
        return person

    async def enter(self, button: str, password: str = PASSWORD) -> None:
        await self.page.get_by_label("User name", exact=True).fill(self.name)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name=button).click()

    async def connected(self) -> None:
        await expect(self.page.get_by_role("status")).to_have_text("Connected", timeout=RESTART_PATIENCE_MS)

    async def start(self, other: Person) -> None:
        """Starts a conversation by name."""
        await self.page.get_by_label("Start a conversation: user name").fill(other.name)
        await self.page.get_by_role("button", name="Start").click()
        await expect(self.page.get_by_role("heading", level=2)).to_have_text(other.name)

    async def say(self, text: str) -> None:
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.get_by_label("Message", exact=True).press("Enter")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("log").locator(".message .text")

    @property
    def unconfirmed(self) -> Locator:
        return self.page.locator(".message:not([data-state=accepted])")

    async def sees(self, *texts: str, within_ms: float = PATIENCE_MS) -> None:
        """Exactly these messages are shown, in this order, and every own one was accepted."""
        await expect(self.messages).to_have_text(list(texts), timeout=within_ms)
        await expect(self.unconfirmed).to_have_count(0, timeout=within_ms)

    async def reopen(self, other: Person) -> None:
        """Loads the page again and chooses the conversation from the list."""
        await self.page.reload()
        await self.page.get_by_role("button", name=other.name).click()

    async def leave(self) -> None:
        await self.page.context.close()
        assert self.defects == []


def _new_name(name: str) -> str:
    """The name itself for the first of that name, `ada-2` for the next …"""
    names = (name, *(f"{name}-{number}" for number in range(2, 1000)))
    found = next(candidate for candidate in names if candidate not in _names)
    _names.add(found)
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def ada(browser: Browser, system: System) -> AsyncIterator[Person]:
    person = await Person.arrive(browser, system.url, "ada")
    yield person
    await person.leave()


@pytest_asyncio.fixture(loop_scope="module")
async def grace(browser: Browser, system: System) -> AsyncIterator[Person]:
    person = await Person.arrive(browser, system.url, "grace")
    yield person
    await person.leave()


async def test_who_writes_first_is_shown_by_name(ada: Person, grace: Person) -> None:
    await ada.start(grace)
    await ada.say("We have not met")
    await grace.page.get_by_role("button", name=ada.name).click()
    await grace.sees("We have not met")
    await expect(grace.page.get_by_role("heading", level=2)).to_have_text(ada.name)


async def test_two_people_write_to_each_other_and_find_it_all_after_a_reload(
    ada: Person, grace: Person, request: pytest.FixtureRequest
) -> None:
    await ada.start(grace)
    await ada.say("Have you seen the moth in the relay?")
    await grace.page.get_by_role("list").get_by_role("button").click()  # arrives by itself, not by name yet
    await grace.sees("Have you seen the moth in the relay?")
    await grace.start(ada)
    await grace.say("It is in the logbook now.\nFirst actual case of a bug being found.")
    await ada.say("Then the machine runs again?")
    conversation = [
        "Have you seen the moth in the relay?",
        "It is in the logbook now. First actual case of a bug being found.",
        "Then the machine runs again?",
    ]
    await ada.sees(*conversation)
    await grace.sees(*conversation)
    await ada.reopen(grace)
    await grace.reopen(ada)
    await ada.sees(*conversation)
    await grace.sees(*conversation)
    if path := request.config.getoption("--screenshot", None):
        await photograph(ada, grace, path)


async def photograph(ada: Person, grace: Person, path: str) -> None:
    """The picture in the README."""
    browser, url = ada.page.context.browser, ada.page.url
    assert browser is not None
    crowd = {
        "margaret": "The lander accepts the new program.",
        "linus": "Just a hobby, won't be big and professional.",
        "barbara": "Substitute it and see whether anything breaks.",
    }
    for name, text in crowd.items():
        person = await Person.arrive(browser, url, name)
        await ada.start(person)
        await person.start(ada)
        await ada.start(grace)
        await person.say(text)
        await expect(ada.page.get_by_role("list").get_by_text(text)).to_be_visible()
        await person.leave()
    await ada.page.get_by_role("button", name="margaret").click()
    await ada.start(grace)
    await grace.say("It does. I keep the moth, though.")
    await ada.say("Tape it to the page. Nobody will believe us otherwise.")
    await expect(grace.messages).to_have_count(5)
    await expect(ada.messages).to_have_count(5)
    await expect(ada.unconfirmed).to_have_count(0)
    await ada.page.mouse.move(SHOT["width"] / 2, 120)
    await ada.page.screenshot(path=path)


async def test_nothing_is_lost_or_doubled_when_servers_are_killed_while_people_write(
    ada: Person, grace: Person, system: System
) -> None:
    await ada.start(grace)
    await grace.start(ada)
    said: list[str] = []

    async def write(person: Person, texts: list[str]) -> None:
        for text in texts:
            await person.say(text)

    for name in ("connect-1", "gateway-1"):
        before, after = ([f"{name} {when} {number}" for number in range(10)] for when in ("before", "after"))
        killed = system.pid(name)
        await write(ada, before)
        system.kill(name)
        await write(ada, after)
        await system.wait_restarted(name, killed)
        said += before + after
        await ada.connected()
    await ada.sees(*said, within_ms=RESTART_PATIENCE_MS)
    await grace.sees(*said, within_ms=RESTART_PATIENCE_MS)
    await grace.say("All there.")
    await ada.sees(*said, "All there.")
    await ada.reopen(grace)
    await grace.reopen(ada)
    await ada.sees(*said, "All there.")
    await grace.sees(*said, "All there.")


async def test_a_message_on_its_way_survives_a_reload_and_arrives_once(
    ada: Person, grace: Person, system: System
) -> None:
    await ada.start(grace)
    await grace.start(ada)
    await ada.say("first")
    await ada.sees("first")
    system.kill("connect-1", signal.SIGSTOP)
    try:
        await ada.say("on its way")
        await expect(ada.unconfirmed).to_have_count(1)
        await ada.reopen(grace)
        await expect(ada.messages).to_have_text(["first", "on its way"])
        await expect(ada.unconfirmed).to_have_count(1)
    finally:
        system.kill("connect-1", signal.SIGCONT)
    await ada.sees("first", "on its way", within_ms=RESTART_PATIENCE_MS)
    await grace.sees("first", "on its way", within_ms=RESTART_PATIENCE_MS)


async def test_markup_stays_text(ada: Person, grace: Person) -> None:
    text = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script> & <b>bold</b>"
    await ada.start(grace)
    await grace.start(ada)
    await ada.say(text)
    for person in (ada, grace):
        await person.sees(text)
        assert await person.page.locator(".message img, .message script, .message b").count() == 0
        assert await person.page.evaluate("window.hacked") is None


async def test_long_words_wrap_and_long_messages_are_refused_in_one_sentence(
    ada: Person, grace: Person
) -> None:
    await ada.start(grace)
    await ada.say("x" * 2000)
    await ada.sees("x" * 2000)
    await ada.page.set_viewport_size({"width": 360, "height": 640})
    assert await ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await ada.page.evaluate(
        "document.querySelector('.bubble').getBoundingClientRect().right <= innerWidth"
    )
    await ada.say("ü" * 9000)
    await expect(ada.page.locator(".failure")).to_contain_text("A message has at most 16,384 bytes.")
    await ada.page.get_by_role("button", name="Discard").click()
    await ada.sees("x" * 2000)


async def test_older_messages_are_loaded_on_demand(ada: Person, grace: Person) -> None:
    texts = [f"number {number}" for number in range(105)]
    await ada.start(grace)
    for text in texts:
        await ada.say(text)
    await ada.sees(*texts, within_ms=RESTART_PATIENCE_MS)
    await grace.start(ada)
    await grace.sees(*texts)
    await grace.reopen(ada)
    await grace.sees(*texts[5:])
    await grace.page.get_by_role("button", name="Load older messages").click()
    await grace.sees(*texts)
    await expect(grace.page.get_by_role("button", name="Load older messages")).to_be_hidden()


async def test_a_wrong_password_is_refused_in_one_sentence(ada: Person) -> None:
    await ada.page.get_by_role("button", name="Log out").click()
    await ada.enter("Log in", "wrong horse battery")
    await expect(ada.page.get_by_role("alert")).to_have_text("User name and password do not match.")
    await ada.enter("Log in")
    await ada.connected()


async def test_a_refused_account_says_why(ada: Person, grace: Person) -> None:
    await ada.page.get_by_role("button", name="Log out").click()
    refusals = {
        (grace.name, PASSWORD): "This user name is taken.",
        ("a b", PASSWORD): "A user name has 2 to 64 letters, digits or any of _ . -",
        ("ada-again", "short"): "A password has 8 to 256 characters.",
    }
    for (name, password), sentence in refusals.items():
        await Person(ada.page, name).enter("Create account", password)
        await expect(ada.page.get_by_role("alert")).to_have_text(sentence)


async def test_an_unknown_name_is_said_to_be_unknown(ada: Person) -> None:
    await ada.page.get_by_label("Start a conversation: user name").fill("nobody-at-all")
    await ada.page.get_by_role("button", name="Start").click()
    await expect(ada.page.locator("#start-error")).to_have_text("There is no user of that name.")


async def test_a_login_that_is_over_leads_back_to_the_entry(ada: Person) -> None:
    spoil = "localStorage.setItem('idiom.login', localStorage.getItem('idiom.login').replace(/eyJ/, 'xyz'))"
    await ada.page.evaluate(spoil)
    await ada.page.reload()
    await expect(ada.page.get_by_role("alert")).to_have_text("Your login has expired. Please log in again.")


async def test_another_window_of_the_same_person_hears_everything(ada: Person, grace: Person) -> None:
    second = Person(await ada.page.context.new_page(), ada.name)
    await second.page.goto(ada.page.url)
    await second.connected()
    for person, other in ((ada, grace), (second, grace), (grace, ada)):
        await person.start(other)
    await asyncio.gather(ada.say("from the first"), grace.say("from the other"))
    await second.say("from the second")
    await expect(second.messages).to_have_count(3)
    seen = await second.messages.all_text_contents()
    assert sorted(seen) == ["from the first", "from the other", "from the second"]
    await ada.sees(*seen)
    await grace.sees(*seen)
