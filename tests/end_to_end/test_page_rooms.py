"""Rooms on the page: who comes, who goes, who may do what, and what everybody sees of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser import chromium
from tests.end_to_end.browsing import SIZE, Device, newcomer
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

OPEN = "Everybody with the link"
ALL = "Everything that was ever said"
RENAME = """async (displayName) => {
    const { Account } = await import("/client/index.js");
    const account = new Account();
    account.rename((await account.client.userService.updateMe({ displayName })).user);
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


async def test_a_room_is_made_with_its_first_members_and_they_talk(
    ada: Device, grace: Device, request: pytest.FixtureRequest
) -> None:
    await ada.create_room("Relay repair", grace.name)
    await ada.say("Welcome")
    await grace.has_unread("Relay repair", 2)
    await grace.choose("Relay repair")
    await grace.has_unread("Relay repair", 0)
    await expect(grace.lines).to_have_text([f"{ada.name} created the room with you."])
    await grace.say("Thanks")
    for device in (ada, grace):
        await device.sees("Welcome", "Thanks")
        await device.page.reload()
        await device.sees("Welcome", "Thanks")
    await ada.reaches("Welcome", "stored")
    if path := request.config.getoption("--screenshot", None):
        await photograph(ada, grace, path)


async def photograph(ada: Device, grace: Device, path: str) -> None:
    """The picture in the README."""
    browser, url = ada.page.context.browser, ada.page.url.partition("#")[0]
    assert browser is not None
    crowd = {
        "margaret": "The lander accepts the new program.",
        "linus": "Just a hobby, won't be big and professional.",
        "barbara": "Substitute it and see whether anything breaks.",
    }
    for device, name in ((ada, "Ada Lovelace"), (grace, "Grace Hopper")):
        await device.page.evaluate(RENAME, name)
        await device.page.reload()
    link = await grace.create_room("Mark II", ada.name, join=OPEN)
    for name, text in crowd.items():
        async with newcomer(browser, url, name) as person:
            await person.find(ada.name)
            await expect(person.title).to_have_text("Ada Lovelace")
            await person.say(text)
            await person.sees(text)
            await person.find(link)
            await person.page.get_by_role("button", name="Join room").click()
            await expect(person.lines.last).to_have_text("You joined.")
    await ada.choose("linus")
    await ada.choose("Mark II")
    await ada.say("Have you seen the moth in the relay?")
    await grace.say("It is in the logbook now. First actual case of a bug being found.")
    await ada.say("Then the machine runs again?")
    await grace.say("It does. I keep the moth, though.")
    await ada.say("Tape it to the page. Nobody will believe us otherwise.")
    await expect(ada.messages).to_have_count(5)
    await ada.reaches("Tape it", "stored")
    await ada.show_details()
    await expect(ada.details.locator(".members li")).to_have_count(5)
    await ada.page.mouse.move(SIZE["width"] / 2, 120)
    await ada.page.screenshot(path=path)


@pytest.mark.parametrize("history", ["", ALL])
async def test_who_follows_the_link_of_an_open_room_joins_it_and_reads_what_they_may(
    ada: Device, grace: Device, history: str
) -> None:
    link = await ada.create_room("Open lab", join=OPEN, history=history)
    await ada.say("said before")
    await ada.sees("said before")
    await grace.find(link)
    await expect(grace.page.get_by_role("heading", name="Open lab")).to_be_visible()
    await grace.page.get_by_role("button", name="Join room").click()
    await expect(grace.title).to_have_text("Open lab")
    await expect(grace.lines.last).to_have_text("You joined.")
    await expect(ada.lines.last).to_have_text(f"{grace.name} joined.")
    await ada.say("said after")
    seen = ["said before", "said after"] if history else ["said after"]
    await grace.sees(*seen)
    await grace.page.reload()
    await grace.sees(*seen)


async def test_nobody_joins_a_closed_room_by_its_link(ada: Device, grace: Device) -> None:
    link = await ada.create_room("Closed lab")
    await grace.page.goto(link)
    sentence = "This room is by invitation only. Ask a member to add you."
    await expect(grace.page.locator("#visit-error")).to_have_text(sentence)
    await grace.find("999")
    await expect(grace.page.locator("#visit-error")).to_have_text("There is no such room.")


async def test_an_administrator_may_do_more_than_a_member_and_less_than_the_owner(
    ada: Device, grace: Device, browser: Browser, system: System
) -> None:
    await ada.create_room("Council", grace.name)
    await grace.choose("Council")
    theirs = await grace.show_details()
    await expect(theirs.get_by_role("button", name="Add")).to_be_hidden()
    await expect(theirs.get_by_text("Settings")).to_be_hidden()
    details = await ada.show_details()
    await details.get_by_label(f"Role of {grace.name}").select_option(label="Administrator")
    await expect(grace.lines.last).to_have_text(f"{ada.name} made you an administrator.")
    async with newcomer(browser, system.url, "eve") as eve:
        await theirs.get_by_label("Add a member: user name").fill(eve.name)
        await theirs.get_by_role("button", name="Add").click()
        await expect(ada.lines.last).to_have_text(f"{grace.name} added {eve.name}.")
        await eve.choose("Council")
        await theirs.get_by_text("Settings").click()
        await theirs.get_by_label("Name", exact=True).fill("High council")
        await expect(theirs.get_by_label("Who may join")).to_be_hidden()
        await theirs.get_by_role("button", name="Save").click()
        for device in (ada, grace, eve):
            await expect(device.title).to_have_text("High council")
            await expect(device.listed("High council")).to_be_visible()
        await expect(theirs.get_by_role("button", name=f"Remove {ada.name}")).to_be_hidden()
        await theirs.get_by_role("button", name=f"Remove {eve.name}").click()
        await grace.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()
        await expect(details.locator(".members li")).to_have_count(2)


async def test_who_is_removed_sees_it_and_nothing_after_it(ada: Device, grace: Device) -> None:
    await ada.create_room("Short stay", grace.name)
    await ada.say("you may read this")
    await grace.choose("Short stay")
    await grace.sees("you may read this")
    details = await ada.show_details()
    await details.get_by_role("button", name=f"Remove {grace.name}").click()
    await ada.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()
    await expect(grace.lines.last).to_have_text(f"{ada.name} removed you.")
    await expect(grace.page.get_by_text("You are not a member of this room any more.").first).to_be_visible()
    await expect(grace.page.get_by_label("Message", exact=True)).to_be_hidden()
    await ada.say("you may not read this")
    await ada.sees("you may read this", "you may not read this")
    await grace.sees("you may read this")
    await grace.page.reload()
    await expect(grace.page.locator("#visit-error")).to_be_visible()


async def test_who_was_removed_while_away_learns_of_it_and_what_they_wrote_is_not_sent(
    ada: Device, grace: Device, system: System
) -> None:
    await ada.create_room("Night shift", grace.name)
    await grace.choose("Night shift")
    await grace.page.route("**/v1/connection", lambda route: route.abort())
    await system.kill_and_wait("connect-1")
    await ada.connected()
    details = await ada.show_details()
    await details.get_by_role("button", name=f"Remove {grace.name}").click()
    await ada.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()
    await expect(ada.lines.last).to_have_text(f"You removed {grace.name}.")
    await grace.say("too late")
    await grace.reaches("too late", "waiting to be sent")
    await grace.page.unroute("**/v1/connection")
    await expect(grace.lines.last).to_have_text(f"{ada.name} removed you.", timeout=60_000)
    await grace.reaches("too late", "not sent")
    await expect(grace.page.locator(".failure")).to_contain_text("You are not a member of this conversation.")
    await grace.page.get_by_role("button", name="Discard").click()
    await grace.sees()
    await grace.page.keyboard.press("Escape")
    await expect(grace.listed("Night shift")).to_be_hidden()


async def test_an_owner_hands_the_room_over_before_they_leave(ada: Device, grace: Device) -> None:
    await ada.create_room("Legacy", grace.name)
    await grace.choose("Legacy")
    details = await ada.show_details()
    await leave(ada)
    await expect(details.get_by_role("alert").last).to_have_text(
        "You own this room: hand it over to another member first."
    )
    await details.get_by_label(f"Role of {grace.name}").select_option(label="Owner")
    await ada.page.get_by_role("alertdialog").get_by_role("button", name="Hand over").click()
    await expect(grace.lines.last).to_have_text(f"{ada.name} handed the room over to you.")
    await expect(details.get_by_text("Owner")).to_be_visible()
    await leave(ada)
    await expect(ada.lines.last).to_have_text("You left.")
    await expect(ada.page.get_by_label("Message", exact=True)).to_be_hidden()
    await expect(grace.lines.last).to_have_text(f"{ada.name} left.")
    for _ in ("the details", "the room"):
        await ada.page.keyboard.press("Escape")
    await expect(ada.listed("Legacy")).to_be_hidden()


async def leave(device: Device) -> None:
    details = await device.show_details()
    await details.get_by_role("button", name="Leave room").click()
    await device.page.get_by_role("alertdialog").get_by_role("button", name="Leave room").click()
