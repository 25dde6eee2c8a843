"""The browser's client reads whole conversations, in a browser: order, holes, repetitions, epochs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.impl.gateway.pages import Service, blank, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEED: Final = """
    const { Feed } = await import("/client/feed.js");
    const { positionOf } = await import("/client/position.js");
    const feed = new Feed(positionOf({ epoch: "1", seq: "0" }));
    const said = (seq, epoch = "1", rest = {}) => ({
      epoch, seq: String(seq), senderId: "2", clientMessageId: `c${epoch}.${seq}`, text: `t${seq}`, ...rest,
    });
    const seqs = (messages) => messages.map((message) => message.seq).join();
    const note = (seq, epoch = "1") => feed.note(positionOf({ epoch, seq }));
"""
PULLER: Final = """
    const { createClient } = await import("/gen/im.js");
    const { Puller } = await import("/client/puller.js");
    const told = [];
    const names = ["delivered", "head", "skipped", "gone"];
    const listeners = names.map((name) => [name, (id, ...rest) => told.push([name, ...rest.map(plain)])]);
    const text = (value) => (typeof value === "bigint" ? String(value) : null);
    const plain = (value) => (Array.isArray(value) ? seqs(value) : text(value));
    const puller = (catchUp = Infinity) =>
      new Puller(createClient().messageService, { catchUp, told: Object.fromEntries(listeners) });
    const delivered = () => told.filter(([name]) => name === "delivered").map(([, list]) => list).join();
    Math.random = () => 0;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
def service() -> Service:
    return Service()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, service: Service) -> AsyncIterator[Page]:
    async with blank(browser, service) as page:
        yield page


def message(seq: int, epoch: int = 1) -> dict[str, str]:
    return {
        "epoch": str(epoch),
        "seq": str(seq),
        "senderId": "2",
        "clientMessageId": f"c{epoch}.{seq}",
        "text": f"t{seq}",
    }


def history(*seqs: int, head: int, epoch: int = 1, more: bool = False) -> tuple[int, dict[str, Any]]:
    messages = [message(seq, epoch) for seq in seqs]
    return 200, {"messages": messages, "head": {"epoch": str(epoch), "seq": str(head)}, "more": more}


# Feed


async def test_messages_that_follow_each_other_are_delivered_as_they_arrive(page: Page) -> None:
    script = "return [[1, 2, 3].map((seq) => seqs(feed.offer(said(seq)))), feed.behind];"
    assert await run(page, FEED, script) == [["1", "2", "3"], False]


async def test_what_arrives_beyond_a_hole_waits_until_the_hole_is_filled(page: Page) -> None:
    script = "return [[1, 4, 3, 2].map((seq) => [seqs(feed.offer(said(seq))), feed.behind])];"
    assert await run(page, FEED, script) == [[["1", False], ["", True], ["", True], ["2,3,4", False]]]


async def test_repetitions_are_dropped_by_number_and_by_the_sender_s_own_id(page: Page) -> None:
    script = """
        const delivered = [1, 2, 2, 1].map((seq) => seqs(feed.offer(said(seq))));
        delivered.push(seqs(feed.offer(said(3, "1", { clientMessageId: "c1.2" }))));
        delivered.push(seqs(feed.offer(said(4, "1", { tombstone: { duplicateOf: "7" } }))));
        delivered.push(seqs(feed.offer(said(5))), String(feed.cursor.seq));
        return delivered;
    """
    assert await run(page, FEED, script) == ["1", "2", "", "", "", "", "5", "5"]


async def test_a_number_without_content_keeps_its_place_and_is_not_told(page: Page) -> None:
    script = """
        const told = feed.offer(said(1, '1', { tombstone: { duplicateOf: '0' } }));
        return [seqs(told), String(feed.cursor.seq), String(feed.shown)];
    """
    assert await run(page, FEED, script) == ["", "1", "0"]


async def test_what_was_shown_otherwise_is_not_delivered_under_another_number(page: Page) -> None:
    script = "feed.saw([said(9)]); return seqs(feed.offer(said(1, '1', { clientMessageId: 'c1.9' })));"
    assert await run(page, FEED, script) == ""


async def test_numbers_beyond_the_precision_of_javascript_numbers_keep_their_order(page: Page) -> None:
    script = """
        feed.fill({ messages: [said("9007199254740992")] }, feed.target);
        return [feed.offer(said("9007199254740994")), feed.offer(said("9007199254740993"))].map(seqs);
    """
    assert await run(page, FEED, script) == ["", "9007199254740993,9007199254740994"]


async def test_more_than_can_be_held_is_left_to_history(page: Page) -> None:
    script = """
        for (let seq = 300; seq > 1; seq -= 1) feed.offer(said(seq));
        return [seqs(feed.offer(said(1))).split(",").at(-1), feed.behind];
    """
    assert await run(page, FEED, script) == ["200", True]


async def test_nothing_is_delivered_before_it_is_known_where_to_begin(page: Page) -> None:
    script = """
        const fresh = new Feed();
        const before = [seqs(fresh.offer(said(8))), seqs(fresh.offer(said(7))), fresh.behind];
        return [...before, seqs(fresh.begin(positionOf({ epoch: "0", seq: "6" }))), fresh.behind];
    """
    assert await run(page, FEED, script) == ["", "", False, "7,8", False]


# History


async def test_a_new_epoch_is_not_taken_for_the_next_message_but_read_from_history(
    page: Page, service: Service
) -> None:
    service.answers = [(200, history(2, head=2)[1] | {"more": True}), history(1002, head=1002, epoch=2)]
    script = """
        feed.offer(said(1));
        const live = [seqs(feed.offer(said(1002, "2"))), feed.behind];
        await puller().pull("c", feed);
        return [...live, delivered(), feed.behind];
    """
    assert await run(page, FEED, PULLER, script) == ["", True, "2,1002", False]
    assert [asked["afterSeq"] for asked in service.asked] == ["1", "2"]


async def test_an_epoch_that_begins_below_the_cursor_is_looked_for_from_the_begin(
    page: Page, service: Service
) -> None:
    service.answers = [history(1, head=1300, more=True), history(1300, head=1300, epoch=2)]
    script = """
        const ahead = new Feed(positionOf({ epoch: "1", seq: "5000" }));
        ahead.note(positionOf({ epoch: "2", seq: "1300" }));
        await puller().pull("c", ahead);
        return [delivered(), String(ahead.cursor.seq), ahead.behind];
    """
    assert await run(page, FEED, PULLER, script) == [",1300", "1300", False]
    assert [asked["afterSeq"] for asked in service.asked] == ["0", "1"]


async def test_history_is_asked_again_until_nothing_is_missing(page: Page, service: Service) -> None:
    service.answers = [
        (503, {"code": 14, "message": "not now"}),
        history(2, head=4, more=True),
        history(head=4),
        history(3, 4, head=4),
    ]
    script = """
        feed.offer(said(1));
        note("4");
        const one = puller();
        await Promise.all([one.pull("c", feed), one.pull("c", feed)]);
        return [delivered(), feed.behind];
    """
    assert await run(page, FEED, PULLER, script) == ["2,,3,4", False]
    assert [asked["afterSeq"] for asked in service.asked] == ["1", "1", "2", "2"]


@pytest.mark.parametrize("epoch", ["1", "2"])
async def test_a_head_behind_which_there_is_nothing_is_forgotten(
    page: Page, service: Service, epoch: str
) -> None:
    seq = "1" if epoch == "1" else "1001"
    service.answers = [(200, {"head": {"epoch": epoch, "seq": seq}})] * 2
    script = f"""
        feed.offer(said(1));
        note("9");
        await puller().pull("c", feed);
        return [feed.behind, seqs(feed.offer(said({int(seq) + 1}, "{epoch}")))];
    """
    assert await run(page, FEED, PULLER, script) == [False, "2" if epoch == "1" else ""]


async def test_what_history_does_not_let_be_read_is_not_asked_for_again(page: Page, service: Service) -> None:
    service.answers = [(403, {"code": 7, "message": "no"})]
    script = """
        feed.offer(said(1));
        feed.doubt();
        await puller().pull("c", feed);
        return [feed.behind, told.map(([name]) => name)];
    """
    assert await run(page, FEED, PULLER, script) == [False, ["gone"]]


async def test_who_wants_no_more_than_the_newest_is_told_what_was_skipped(
    page: Page, service: Service
) -> None:
    service.answers = [history(98, 99, 100, head=100, more=True)]
    script = """
        feed.offer(said(1));
        note("100");
        feed.offer(said(101));
        await puller(50).pull("c", feed);
        return told.filter(([name]) => name !== "head");
    """
    assert await run(page, FEED, PULLER, script) == [["skipped", "1", "98"], ["delivered", "98,99,100,101"]]
    assert "afterSeq" not in service.asked[0]
