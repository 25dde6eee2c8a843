"""What the page keeps of conversations, in a browser: order, holes, repetitions, and what is on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from tests.browser import chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT: Final = Path(__file__).resolve().parents[3]
ORIGIN: Final = "http://page.test"
FOLDERS: Final = {"web": ROOT / "impl" / "gateway" / "web", "gen": ROOT / "gen" / "web"}

CONVERSATION: Final = """
    const { Conversation } = await import("/web/conversation.js");
    const conversation = new Conversation("dm.1.2", "1");
    const said = (seq, epoch = "1", rest = {}) => ({
      epoch, seq: String(seq), senderId: "2", clientMessageId: `c${epoch}.${seq}`, text: `t${seq}`, ...rest,
    });
    const seqs = () => conversation.messages.map((message) => message.seq).join();
"""
HISTORY: Final = """
    const { createClient } = await import("/gen/im.js");
    const { History } = await import("/web/history.js");
    const history = new History(createClient().messageService, () => {});
"""


class Service:
    """Serves the page's files, and history as the test wants it."""

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
def service() -> Service:
    return Service()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, service: Service) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.route("**/*", service.answer)
    await page.goto(ORIGIN)
    yield page
    await page.close()


async def run(page: Page, *script: str) -> Any:
    return await page.evaluate(f"async () => {{ {' '.join(script)} }}")


def message(seq: int, epoch: int = 1) -> dict[str, str]:
    return {
        "epoch": str(epoch),
        "seq": str(seq),
        "senderId": "2",
        "clientMessageId": f"c{epoch}.{seq}",
        "text": f"t{seq}",
    }


async def test_messages_that_follow_each_other_are_shown_as_they_arrive(page: Page) -> None:
    script = (
        "for (const seq of [1, 2, 3]) conversation.receive(said(seq)); return [seqs(), conversation.behind];"
    )
    assert await run(page, CONVERSATION, script) == ["1,2,3", False]


async def test_what_arrives_beyond_a_hole_waits_until_the_hole_is_filled(page: Page) -> None:
    script = """
        conversation.receive(said(1));
        conversation.receive(said(4));
        conversation.receive(said(3));
        const before = [seqs(), conversation.behind];
        conversation.receive(said(2));
        return [...before, seqs(), conversation.behind];
    """
    assert await run(page, CONVERSATION, script) == ["1", True, "1,2,3,4", False]


async def test_repetitions_are_dropped_by_number_and_by_the_sender_s_own_id(page: Page) -> None:
    script = """
        for (const seq of [1, 2, 2, 1]) conversation.receive(said(seq));
        conversation.receive(said(3, "1", { clientMessageId: "c1.2" }));
        conversation.receive(said(4, "1", { tombstone: { duplicateOf: "7" } }));
        conversation.receive(said(5));
        return [seqs(), conversation.position];
    """
    assert await run(page, CONVERSATION, script) == ["1,2,5", {"epoch": "1", "seq": "5"}]


async def test_numbers_beyond_the_precision_of_javascript_numbers_keep_their_order(page: Page) -> None:
    script = """
        conversation.fill({ messages: [said("9007199254740992")] });
        conversation.receive(said("9007199254740994"));
        conversation.receive(said("9007199254740993"));
        return seqs();
    """
    assert await run(page, CONVERSATION, script) == "9007199254740992,9007199254740993,9007199254740994"


async def test_a_new_epoch_is_not_taken_for_the_next_message_but_read_from_history(
    page: Page, service: Service
) -> None:
    service.answers = [
        (200, {"messages": [message(2), message(1002, epoch=2)], "head": {"epoch": "2", "seq": "1002"}})
    ]
    script = """
        conversation.receive(said(1));
        conversation.receive(said(1002, "2"));
        const before = [seqs(), conversation.behind];
        await history.pull(conversation);
        return [...before, seqs(), conversation.behind];
    """
    assert await run(page, CONVERSATION, HISTORY, script) == ["1", True, "1,2,1002", False]
    assert [asked["afterSeq"] for asked in service.asked] == ["1"]


async def test_history_is_asked_again_until_nothing_is_missing(page: Page, service: Service) -> None:
    head = {"epoch": "1", "seq": "4"}
    service.answers = [
        (503, {"code": 14, "message": "not now"}),
        (200, {"messages": [message(2)], "head": head, "more": True}),
        (200, {"messages": [], "head": head}),
        (200, {"messages": [message(3), message(4)], "head": head}),
    ]
    script = """
        conversation.receive(said(1));
        conversation.reached({ epoch: "1", seq: "4" });
        await Promise.all([history.pull(conversation), history.pull(conversation)]);
        return [seqs(), conversation.behind];
    """
    assert await run(page, CONVERSATION, HISTORY, script) == ["1,2,3,4", False]
    assert [asked["afterSeq"] for asked in service.asked] == ["1", "1", "2", "2"]


async def test_a_head_that_was_lost_with_its_epoch_is_forgotten(page: Page, service: Service) -> None:
    service.answers = [(200, {"head": {"epoch": "1", "seq": "1"}})]
    script = """
        conversation.receive(said(1));
        conversation.reached({ epoch: "1", seq: "9" });
        await history.pull(conversation);
        return conversation.behind;
    """
    assert await run(page, CONVERSATION, HISTORY, script) is False


async def test_a_conversation_in_which_nothing_was_said_is_empty_and_not_an_error(
    page: Page, service: Service
) -> None:
    service.answers = [(404, {"code": 5, "message": "no such conversation"})]
    script = "await history.pull(conversation); return [seqs(), conversation.position];"
    assert await run(page, CONVERSATION, HISTORY, script) == ["", {"epoch": "0", "seq": "0"}]


async def test_messages_on_their_way_outlive_the_page_under_the_same_id(page: Page) -> None:
    load = 'const { Outbox } = await import("/web/outbox.js"); const outbox = new Outbox(localStorage, "1");'
    first = await run(
        page, load, 'outbox.add("dm.1.2", "2", "a"); return outbox.request(outbox.next("dm.1.2"));'
    )
    await page.reload()
    assert await run(page, load, 'return outbox.request(outbox.next("dm.1.2"));') == first
    assert first["resend"] is False
    other = 'return new Outbox(localStorage, "3").of("dm.1.2");'
    assert await run(page, load, other) == []


async def test_what_waited_so_long_that_the_service_may_have_forgotten_it_is_marked(page: Page) -> None:
    load = 'const { Outbox } = await import("/web/outbox.js"); const outbox = new Outbox(localStorage, "9");'
    script = """
        const entry = outbox.add("dm.9.9", "9", "a");
        return outbox.request({ ...entry, createdAt: entry.createdAt - 3600_000 }).resend;
    """
    assert await run(page, load, script) is True


async def test_an_entry_that_cannot_be_read_does_not_hide_the_others(page: Page) -> None:
    script = """
        const { Outbox } = await import("/web/outbox.js");
        new Outbox(localStorage, "5").add("dm.5.6", "6", "a");
        localStorage.setItem("idiom.outbox.5.broken", "{");
        return new Outbox(localStorage, "5").of("dm.5.6").map(({ text }) => text);
    """
    assert await run(page, script) == ["a"]


async def test_a_day_that_comes_twice_is_painted_as_often_however_often_it_is_painted(page: Page) -> None:
    script = """
        const { paintMessages } = await import("/web/view.js");
        const list = document.createElement("ol");
        const said = (key, time, state = "accepted") => ({
          key, mine: true, author: "You", text: key, time, state,
        });
        const [yesterday, today] = [Date.parse("2024-05-01T12:00"), Date.parse("2024-05-02T12:00")];
        const messages = [said("a", yesterday), said("b", today), said("c", yesterday, "pending")];
        for (let painted = 0; painted < 3; painted += 1) paintMessages(list, messages, {});
        return [...list.children].map((child) => child.className.split(" ")[0]).join();
    """
    assert await run(page, script) == "day,message,day,message,day,message"
