"""The page in real browsers, one for each person, on the whole system: talking, and the account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser import chromium
from tests.end_to_end.browsing import (
    PASSWORD,
    RESTART_PATIENCE_MS,
    SIZE,
    Device,
    another_device,
    fresh_name,
    newcomer,
)
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SEND: Final = """async (count) => {
    const { Account } = await import("/client/index.js");
    const account = new Account();
    const toUserId = location.hash.split(".").slice(1).find((id) => id !== account.userId);
    const request = (number) => ({ clientMessageId: `seed-${number}`, toUserId, text: `number ${number}` });
    const send = (number) => account.client.messageService.sendMessage(request(number));
    for (let sent = 0; sent < count; sent += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, at) => send(sent + at)));
    }
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def ada(browser: Browser, system: System) -> AsyncIterator[Device]:
    async with newcomer(browser, system.url, "ada") as device:
        yield device


@pytest_asyncio.fixture(loop_scope="module")
async def grace(browser: Browser, system: System) -> AsyncIterator[Device]:
    async with newcomer(browser, system.url, "grace") as device:
        yield device


async def test_who_writes_first_is_shown_by_name(ada: Device, grace: Device) -> None:
    await ada.start(grace.name)
    await ada.say("We have not met")
    await grace.choose(ada.name)
    await grace.sees("We have not met")


async def test_two_people_write_to_each_other_and_find_it_all_after_a_reload(
    ada: Device, grace: Device
) -> None:
    await ada.start(grace.name)
    await ada.say("Have you seen the moth in the relay?")
    await grace.choose(ada.name)
    await grace.sees("Have you seen the moth in the relay?")
    await grace.say("It is in the logbook now.\nFirst actual case of a bug being found.")
    await expect(ada.messages).to_have_count(2)
    await ada.say("Then the machine runs again?")
    conversation = [
        "Have you seen the moth in the relay?",
        "It is in the logbook now. First actual case of a bug being found.",
        "Then the machine runs again?",
    ]
    for device in (ada, grace):
        await device.sees(*conversation)
        await device.page.reload()
        await device.sees(*conversation)


async def test_markup_stays_text(ada: Device, grace: Device) -> None:
    text = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script> & <b>bold</b>"
    await ada.start(grace.name)
    await grace.start(ada.name)
    await ada.say(text)
    for device in (ada, grace):
        await device.sees(text)
        assert await device.page.locator(".message :is(img, script, b)").count() == 0
        assert await device.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("what", ["list", "conversation", "details", "account"])
async def test_everything_fits_a_narrow_screen(ada: Device, grace: Device, what: str) -> None:
    await ada.start(grace.name)
    await ada.say("x" * 2000)
    await ada.sees("x" * 2000)
    await ada.page.set_viewport_size({"width": 360, "height": 640})
    if what == "list":
        await ada.page.get_by_role("button", name="Back to the conversations").click()
        await expect(ada.listed(grace.name)).to_be_visible()
    elif what == "details":
        await ada.show_details()
    elif what == "account":
        await ada.page.set_viewport_size(SIZE)
        await ada.page.get_by_role("button", name="Your account").click()
        await ada.page.set_viewport_size({"width": 360, "height": 640})
    assert await ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await ada.page.evaluate(
        "[...document.querySelectorAll('.bubble, button, input')].filter((part) => part.offsetParent)"
        ".every((part) => part.getBoundingClientRect().right <= innerWidth)"
    )


async def test_what_is_too_long_is_refused_in_one_sentence_and_stays_where_it_was_written(
    ada: Device, grace: Device
) -> None:
    await ada.start(grace.name)
    await ada.say("ü" * 9000)
    await expect(ada.page.locator("#pane-error")).to_have_text("A message has at most 16,384 bytes.")
    await expect(ada.page.get_by_label("Message", exact=True)).to_have_value("ü" * 9000)
    await ada.say("short")
    await ada.sees("short")
    await expect(ada.page.locator("#pane-error")).to_have_text("")


async def test_a_long_conversation_is_read_page_by_page_and_never_held_whole(
    ada: Device, grace: Device
) -> None:
    await ada.start(grace.name)
    await ada.page.evaluate(SEND, 460)
    await grace.start(ada.name)
    await grace.page.reload()
    await expect(grace.numbered(460)).to_be_attached()
    scroll = grace.page.get_by_role("region", name="Conversation")
    while await grace.page.get_by_role("button", name="Load older messages").is_visible():
        before = await grace.messages.first.text_content()
        await scroll.evaluate("(scroll) => { scroll.scrollTop = 0; }")
        await expect(grace.messages.first).not_to_have_text(before or "")
    await expect(grace.numbered(1)).to_be_attached()
    await expect(grace.messages).to_have_count(400)
    await ada.say("the newest")
    await grace.page.get_by_role("button", name="New messages").click()
    await expect(grace.messages.last).to_have_text("the newest")
    await expect(grace.messages.last).to_be_in_viewport()


async def test_who_reads_above_stays_there_when_something_new_comes(ada: Device, grace: Device) -> None:
    await ada.start(grace.name)
    await ada.page.evaluate(SEND, 60)
    await grace.start(ada.name)
    await expect(grace.numbered(60)).to_be_attached()
    scroll = grace.page.get_by_role("region", name="Conversation")
    await scroll.evaluate("(scroll) => { scroll.scrollTop = scroll.scrollHeight / 2; }")
    before = await scroll.evaluate("(scroll) => scroll.scrollTop")
    await ada.say("below")
    await expect(grace.page.get_by_role("button", name="New messages")).to_be_visible()
    assert await scroll.evaluate("(scroll) => scroll.scrollTop") == before


async def test_the_keyboard_is_enough(ada: Device, grace: Device) -> None:
    await ada.start(grace.name)
    await ada.say("first")
    await ada.create_room("Reading room")
    await ada.page.keyboard.press("Alt+ArrowDown")
    await expect(ada.title).to_have_text(grace.name)
    await ada.page.keyboard.press("Escape")
    await expect(ada.title).to_be_hidden()
    await ada.page.keyboard.press("Control+k")
    await ada.page.keyboard.type(grace.name)
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_label("Message", exact=True)).to_be_focused()
    await ada.page.keyboard.type("second")
    await ada.page.keyboard.press("Enter")
    await ada.sees("first", "second")


async def test_a_wrong_password_is_refused_in_one_sentence(ada: Device) -> None:
    await log_out(ada)
    await ada.enter("Log in", "wrong horse battery")
    await expect(ada.page.get_by_role("alert")).to_have_text("User name and password do not match.")
    await ada.enter("Log in")
    await ada.connected()


async def test_a_refused_account_says_why(ada: Device, grace: Device) -> None:
    await log_out(ada)
    refusals = {
        (grace.name, PASSWORD): "This user name is taken.",
        ("a b", PASSWORD): "A user name has 2 to 64 letters, digits or any of _ . -",
        (fresh_name("ada"), "short"): "A password has 8 to 256 characters.",
    }
    for (name, password), sentence in refusals.items():
        await Device(ada.page, name).enter("Create account", password)
        await expect(ada.page.get_by_role("alert")).to_have_text(sentence)


async def test_an_unknown_name_is_said_to_be_unknown(ada: Device) -> None:
    await ada.find("nobody-at-all")
    await expect(ada.page.locator("#find-error")).to_have_text("There is no user of that name.")


async def test_what_somebody_wants_to_be_called_is_what_others_see(ada: Device, grace: Device) -> None:
    await ada.page.get_by_role("button", name="Your account").click()
    dialog = ada.page.get_by_role("dialog")
    await dialog.get_by_label("Name", exact=True).fill("Ada Lovelace")
    await dialog.get_by_label("About you").fill("Countess of numbers")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_text("Saved.")).to_be_visible()
    await dialog.get_by_role("button", name="Close").click()
    await expect(ada.page.locator("#me")).to_have_text("Ada Lovelace")
    await grace.find(ada.name)
    await expect(grace.title).to_have_text("Ada Lovelace")
    await expect(await grace.show_details()).to_contain_text("Countess of numbers")


async def test_a_login_that_was_ended_elsewhere_leads_back_to_the_entry(
    ada: Device, browser: Browser, system: System
) -> None:
    async with another_device(browser, system.url, ada) as other:
        await ada.page.get_by_role("button", name="Your account").click()
        dialog = ada.page.get_by_role("dialog").first
        await dialog.get_by_role("button", name="End the login").click()
        await ada.page.get_by_role("alertdialog").get_by_role("button", name="End login").click()
        await expect(dialog.locator(".logins li")).to_have_count(1)
        # Its access token lives on for some minutes, unless they are over.
        await other.page.evaluate(
            """() => {
                const login = JSON.parse(localStorage.getItem("idiom.login"));
                localStorage.setItem("idiom.login", JSON.stringify({ ...login, renewAt: 0 }));
            }"""
        )
        await other.page.reload()
        await expect(other.page.get_by_role("alert")).to_have_text(
            "Your login has expired. Please log in again."
        )


async def test_a_new_password_takes_the_place_of_the_old_one(ada: Device) -> None:
    await ada.page.get_by_role("button", name="Your account").click()
    dialog = ada.page.get_by_role("dialog")
    await dialog.get_by_label("Present password").fill("not this one")
    await dialog.get_by_label("New password").fill("a stable for batteries")
    await dialog.get_by_role("button", name="Change password").click()
    await expect(dialog.get_by_text("User name and password do not match.")).to_be_visible()
    await dialog.get_by_label("Present password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Change password").click()
    await expect(dialog.get_by_text("Your password is changed.")).to_be_visible()
    await dialog.get_by_role("button", name="Log out").click()
    await ada.enter("Log in", "a stable for batteries")
    await ada.connected()


async def test_another_tab_of_the_same_person_hears_everything_and_leaves_together(
    ada: Device, grace: Device, system: System
) -> None:
    second = await Device.open(ada.page.context, system.url, ada.name)
    await second.connected()
    for device, other in ((ada, grace), (second, grace), (grace, ada)):
        await device.start(other.name)
    await asyncio.gather(ada.say("from the first"), grace.say("from the other"))
    await second.say("from the second")
    await expect(second.messages).to_have_count(3)
    seen = await second.messages.all_text_contents()
    assert sorted(seen) == ["from the first", "from the other", "from the second"]
    await ada.sees(*seen)
    await grace.sees(*seen)
    await log_out(ada)
    await expect(second.page.get_by_role("button", name="Log in")).to_be_visible()
    await ada.enter("Log in")
    await second.connected()
    assert second.defects == []


async def test_a_message_that_waits_in_a_tab_that_is_closed_is_sent_by_another_one(
    ada: Device, grace: Device
) -> None:
    await ada.start(grace.name)
    second = await Device.open(ada.page.context, ada.page.url, ada.name)
    await second.connected()
    await second.page.route("**/v1/connection", lambda route: route.abort())
    await second.page.reload()
    await second.say("from a tab without a connection")
    await expect(second.unconfirmed).to_have_count(1)
    await second.page.close()
    await grace.start(ada.name)
    await grace.sees("from a tab without a connection", within_ms=RESTART_PATIENCE_MS)
    await ada.sees("from a tab without a connection")


async def log_out(device: Device) -> None:
    """Ends the login."""
    await device.page.get_by_role("button", name="Your account").click()
    await device.page.get_by_role("dialog").get_by_role("button", name="Log out").click()
    await expect(device.page.get_by_role("button", name="Log in")).to_be_visible()
