"""Parts of the page, in a browser: long conversations, sentences, and what is painted twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.impl.gateway.pages import Service, blank, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMELINE: Final = """
    const { Timeline } = await import("/web/timeline.js");
    const timeline = new Timeline(10);
    const page = (from, to, more = true) => ({
      messages: Array.from({ length: to - from + 1 }, (_, at) => ({ seq: String(from + at) })), more,
    });
    const ends = () => [0, -1].map((at) => Number(timeline.messages.at(at)?.seq));
    const shown = () => [...ends(), timeline.older, timeline.newer];
"""
LINE: Final = """
    const { roomLine } = await import("/web/room_lines.js");
    const names = { 1: "You", 2: "Bob", 3: "Eve", 4: "Dan", 5: "Kim" };
    const line = (senderId, room) => roomLine({ senderId, room }, (id) => names[id]);
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with blank(browser, Service()) as page:
        yield page


async def test_what_is_shown_of_a_long_conversation_has_a_bound_at_either_end(page: Page) -> None:
    script = """
        const seen = [];
        const after = (change) => { change(); seen.push(shown()); };
        after(() => timeline.load(page(91, 100)));
        after(() => timeline.prepend(page(86, 90)));
        after(() => timeline.arrive({ seq: "101" }));
        after(() => timeline.prepend(page(81, 85, false)));
        after(() => timeline.append(page(91, 97)));
        after(() => timeline.append(page(98, 101, false)));
        after(() => timeline.arrive({ seq: "102" }));
        return seen;
    """
    assert await run(page, TIMELINE, script) == [
        [91, 100, True, False],
        [86, 95, True, True],
        [86, 95, True, True],
        [81, 90, False, True],
        [88, 97, True, True],
        [92, 101, True, False],
        [93, 102, True, False],
    ]


async def test_what_arrives_while_the_first_page_is_read_is_shown_behind_it(page: Page) -> None:
    script = """
        for (const seq of ["4", "5", "6"]) timeline.arrive({ seq });
        timeline.load(page(1, 5, false));
        return timeline.messages.map(({ seq }) => seq).join();
    """
    assert await run(page, TIMELINE, script) == "1,2,3,4,5,6"


async def test_late_repetitions_are_not_shown(page: Page) -> None:
    script = """
        const tombstone = { duplicateOf: "9" };
        timeline.load({ messages: [{ seq: "1" }, { seq: "2", tombstone }], more: false });
        timeline.arrive({ seq: "3", tombstone });
        return timeline.messages.length;
    """
    assert await run(page, TIMELINE, script) == 1


async def test_every_change_of_a_room_is_a_sentence(page: Page) -> None:
    script = """
        return [
          line("2", { created: { memberIds: [] } }),
          line("1", { created: { memberIds: ["2", "3"] } }),
          line("2", { created: { memberIds: ["1", "3", "4", "5"] } }),
          line("2", { changed: { name: "Lab" } }),
          line("2", { changed: { description: "", join: "JOIN_POLICY_OPEN" } }),
          line("2", { joined: { userId: "2" } }),
          line("2", { joined: { userId: "1" } }),
          line("1", { left: { userId: "1" } }),
          line("2", { left: { userId: "1" } }),
          line("1", { role: { userId: "2", role: "ROLE_ADMIN" } }),
          line("2", { owner: { userId: "1" } }),
          line("2", {}),
        ];
    """
    assert await run(page, LINE, script) == [
        "Bob created the room.",
        "You created the room with Bob and Eve.",
        "Bob created the room with you, Eve, Dan and 1 more.",
        "Bob named the room “Lab”.",
        "Bob removed the description. Everybody with the link may join now.",
        "Bob joined.",
        "Bob added you.",
        "You left.",
        "Bob removed you.",
        "You made Bob an administrator.",
        "Bob handed the room over to you.",
        "The room was changed.",
    ]


async def test_every_reason_of_the_service_is_a_sentence(page: Page) -> None:
    script = """
        const { Reason } = await import("/gen/im.js");
        const { sentence } = await import("/web/sentences.js");
        const internal = new Set(["UNSPECIFIED", "UNEXPECTED_FRAME", "CLIENT_MESSAGE_ID_REUSED",
          "CLIENT_REQUEST_ID_REUSED", "PAGE_TOKEN_INVALID"]);
        const plain = (reason) => sentence({ reason, message: "" });
        return Object.values(Reason).filter((reason) => !internal.has(reason) && !plain(reason));
    """
    assert await run(page, script) == []


@pytest.mark.parametrize(
    ("violation", "message", "expected"),
    [
        ("member_ids[3]", "", "A room begins with at most 500 other members, each named once."),
        (None, "request.text: value length must be at most 16384", "A message has at most 16,384 bytes."),
    ],
)
async def test_a_broken_rule_is_told_by_its_field(
    page: Page, violation: str | None, message: str, expected: str
) -> None:
    script = f"""
        const {{ sentence }} = await import("/web/sentences.js");
        const violations = {f'[{{ field: "{violation}" }}]' if violation else "[]"};
        return sentence({{ reason: "VALIDATION_FAILED", violations, message: "{message}" }});
    """
    assert await run(page, script) == expected


async def test_addresses_can_be_followed_and_nothing_else(page: Page) -> None:
    script = """
        const { linked, make } = await import("/web/dom.js");
        const text = "See https://a.example/b?c=d, (http://e.example/) or javascript:alert(1) <b>x</b>.";
        const shown = make("p", "", ...linked(text));
        return [shown.textContent === text, [...shown.querySelectorAll("*")].map((child) => child.outerHTML)];
    """
    whole, links = await run(page, script)
    assert whole
    assert [link.split('"')[1] for link in links] == ["https://a.example/b?c=d", "http://e.example/"]
    assert all('rel="noopener noreferrer"' in link for link in links)


async def test_a_day_that_comes_twice_is_painted_as_often_however_often_it_is_painted(page: Page) -> None:
    script = """
        const { paintTimeline } = await import("/web/timeline_view.js");
        const list = document.createElement("ol");
        const rest = { kind: "message", mine: true, author: "You", authorId: "1", mark: "ACCEPTED" };
        const said = (key, time, seq) => ({ key, time, seq, text: key, ...rest });
        const [yesterday, today] = [Date.parse("2024-05-01T12:00"), Date.parse("2024-05-02T12:00")];
        const items = [said("a", yesterday, "1"), said("b", today, "2"), said("c", yesterday)];
        for (let painted = 0; painted < 3; painted += 1) paintTimeline(list, items, 1n, {});
        return [...list.children].map((child) => child.className.split(" ")[0]).join();
    """
    assert await run(page, script) == "day,message,day,unread-from,message,day,message"


async def test_devices_are_named_as_people_would(page: Page) -> None:
    script = """
        const { deviceName } = await import("/web/entry.js");
        return [
          "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
          "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605 Version/17.5 Safari/604.1",
          "curl",
        ].map(deviceName);
    """
    assert await run(page, script) == ["Firefox on Linux", "Safari on iPhone", "Browser on an unknown system"]
