"""What the browser's client keeps, in a browser: order, holes, repetitions, messages on their way, marks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.impl.gateway.pages import WEB, Service, blank, run

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
OUTBOX: Final = """
    const { Outbox } = await import("/client/outbox.js");
    const outbox = new Outbox(localStorage, "1", "tab");
    const add = (clientMessageId, conversationId = "dm.1.2", now = undefined) =>
      outbox.add({ clientMessageId, conversationId, target: { toUserId: "2" }, text: clientMessageId }, now);
    const ids = (entries) => entries.map((entry) => entry.clientMessageId).join();
    const accepted = (clientMessageId, seq, epoch = "1") =>
      outbox.accept({ conversationId: "dm.1.2", clientMessageId, epoch, seq });
"""
OVERVIEW: Final = """
    const { Overview } = await import("/client/overview.js");
    const overview = new Overview("dm.1.2", "1");
    const room = new Overview("room.5", "1");
    const from = (senderId, seq, rest = {}) => ({ epoch: "1", seq: String(seq), senderId, ...rest });
    const head = (seq, rest = {}) => ({ epoch: "1", seq: String(seq), firstSeq: "1", ...rest });
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


# Outbox


async def test_messages_on_their_way_outlive_the_page_under_the_same_id_and_in_their_order(
    page: Page,
) -> None:
    script = """
        for (const id of ["z", "a", "m"]) add(id, "dm.1.2", 1000);
        return [ids(outbox.of("dm.1.2")), outbox.request(outbox.next("dm.1.2"), 1000)];
    """
    first = await run(page, OUTBOX, script)
    assert first == ["z,a,m", {"clientMessageId": "z", "toUserId": "2", "text": "z", "resend": False}]
    await page.reload()
    again = 'return [ids(outbox.of("dm.1.2")), outbox.request(outbox.next("dm.1.2"), 1000)];'
    assert await run(page, OUTBOX, again) == first
    other = 'return ids(new Outbox(localStorage, "3", "tab").entries);'
    assert await run(page, OUTBOX, other) == ""


async def test_a_message_stays_until_the_database_has_it(page: Page) -> None:
    script = """
        for (const id of ["a", "b", "c"]) add(id);
        accepted("a", "7");
        accepted("b", "9007199254740993");
        outbox.durable({ conversationId: "dm.1.2", epoch: 1n, seq: 9007199254740992n });
        outbox.durable({ conversationId: "dm.1.2", epoch: 2n, seq: 9007199254742000n });
        const before = [ids(outbox.entries), ids([outbox.next("dm.1.2")])];
        outbox.reached({ conversationId: "dm.1.2", epoch: "1", durableSeq: "9007199254740993" });
        return [...before, ids(outbox.entries), localStorage.length];
    """
    assert await run(page, OUTBOX, script) == ["b,c", "c", "c", 1]


@pytest.mark.parametrize("how", ["head", "own message"])
async def test_what_was_accepted_in_an_epoch_that_ended_is_sent_again_as_such(page: Page, how: str) -> None:
    heard = {
        "head": 'outbox.reached({ conversationId: "dm.1.2", epoch: "2", durableSeq: "1007" })',
        "own message": 'accepted("b", "1008", "2")',
    }[how]
    script = f"""
        for (const id of ["a", "b"]) add(id);
        accepted("a", "7");
        {heard};
        const {{ clientMessageId, resend }} = outbox.request(outbox.next("dm.1.2"));
        return [clientMessageId, resend];
    """
    assert await run(page, OUTBOX, script) == ["a", True]


async def test_what_a_later_head_does_not_reach_is_sent_again(page: Page) -> None:
    script = """
        for (const id of ["a", "b", "c"]) add(id);
        accepted("a", "7");
        accepted("b", "8");
        const asked = outbox.of("dm.1.2");
        accepted("c", "9");
        const missed = ["8", "7"].map((seq) => outbox.missed(asked, { epoch: "1", seq }));
        return [missed, ids([outbox.next("dm.1.2")]), outbox.request(outbox.next("dm.1.2")).resend];
    """
    assert await run(page, OUTBOX, script) == [[False, True], "b", True]


async def test_what_waited_so_long_that_the_service_may_have_forgotten_it_is_marked(page: Page) -> None:
    script = """
        const late = (minutes) => outbox.request(add(`${minutes}`), Date.now() + minutes * 60_000).resend;
        return [late(29), late(31)];
    """
    assert await run(page, OUTBOX, script) == [False, True]


async def test_what_failed_waits_for_a_decision_and_does_not_hold_up_the_next(page: Page) -> None:
    script = """
        const [first] = [add("a"), add("b")];
        const failed = outbox.fail(first, "NOT_A_MEMBER");
        const next = outbox.next("dm.1.2").clientMessageId;
        outbox.retry(failed);
        return [failed.reason, next, outbox.next("dm.1.2").clientMessageId];
    """
    assert await run(page, OUTBOX, script) == ["NOT_A_MEMBER", "b", "a"]


async def test_what_another_tab_sends_is_left_to_it_until_it_is_gone(page: Page) -> None:
    script = """
        add("a");
        const other = new Outbox(localStorage, "1", "other");
        const before = [ids(other.entries), other.next("dm.1.2"), [...other.tabs]];
        other.adopt("tab");
        outbox.changed("idiom.outbox.1.a", localStorage.getItem("idiom.outbox.1.a"));
        const after = [ids([other.next("dm.1.2")]), outbox.next("dm.1.2")];
        other.remove({ clientMessageId: "a" });
        outbox.changed("idiom.outbox.1.a", null);
        return [...before, ...after, outbox.entries.length, outbox.changed("idiom.login", "{}")];
    """
    assert await run(page, OUTBOX, script) == ["a", None, ["tab"], "a", None, 0, False]


async def test_an_outbox_has_an_end_and_says_so_by_name(page: Page) -> None:
    script = """
        for (let number = 0; number < 1000; number += 1) add(`m${number}`);
        try {
          add("one too many");
        } catch (error) {
          return [error.name, error.reason, outbox.entries.length];
        }
    """
    assert await run(page, OUTBOX, script) == ["OutboxFull", "OVERLOADED", 1000]


async def test_an_entry_that_cannot_be_read_does_not_hide_the_others(page: Page) -> None:
    script = """
        add("a");
        localStorage.setItem("idiom.outbox.1.broken", "{");
        return ids(new Outbox(localStorage, "1", "tab").entries);
    """
    assert await run(page, OUTBOX, script) == "a"


# Overview


async def test_unread_is_what_lies_above_the_read_mark_and_above_the_first_number(page: Page) -> None:
    script = """
        const unread = [];
        const after = (change) => { change(); unread.push(overview.unread); };
        after(() => overview.reached(head(10, { readSeq: "4" })));
        after(() => overview.reached(head(10, { readSeq: "3" })));
        after(() => overview.reached(head(10, { firstSeq: "9" })));
        after(() => overview.happened(from("2", 11)));
        after(() => overview.progressed({ seq: "11", state: "READ", userId: "1" }));
        after(() => overview.happened(from("2", 12)));
        after(() => overview.happened(from("1", 13)));
        return unread;
    """
    assert await run(page, OVERVIEW, script) == [6, 6, 2, 3, 0, 1, 0]


async def test_the_rung_of_a_message_follows_from_marks_and_from_what_the_other_says(page: Page) -> None:
    script = """
        const rungs = [];
        const after = (change) => { change(); rungs.push(overview.rungOf({ seq: "5" })); };
        after(() => overview.happened(from("1", 5)));
        after(() => overview.progressed({ seq: "5", state: "DURABLE", userId: "0" }));
        after(() => overview.progressed({ seq: "5", state: "DELIVERED", userId: "2" }));
        after(() => overview.progressed({ seq: "4", state: "READ", userId: "2" }));
        after(() => overview.happened(from("2", 6)));
        return rungs;
    """
    assert await run(page, OVERVIEW, script) == ["ACCEPTED", "DURABLE", "DELIVERED", "DELIVERED", "READ"]


async def test_notes_to_oneself_and_messages_of_rooms_are_stored_and_not_more(page: Page) -> None:
    script = """
        return [new Overview("dm.1.1", "1"), room].map((of) => {
          of.reached(head(5, { durableSeq: "5", peerReadSeq: "5", peerDeliveredSeq: "5" }));
          of.happened(from("2", 6));
          return of.rungOf({ seq: "5" });
        });
    """
    assert await run(page, OVERVIEW, script) == ["DURABLE", "DURABLE"]


async def test_a_room_follows_from_what_happens_in_it(page: Page) -> None:
    script = """
        const seen = [];
        const after = (seq, senderId, change) => {
          room.happened(from(senderId, seq, { room: change }));
          seen.push([room.room.name, room.room.role, room.room.memberCount, room.left]);
        };
        const told = { name: "a", role: "ROLE_OWNER", memberCount: "2", description: "d" };
        room.describe({ head: head(1), room: told });
        after(2, "1", { changed: { name: "b" } });
        after(3, "1", { joined: { userId: "3", role: "ROLE_MEMBER" } });
        after(4, "1", { owner: { userId: "3" } });
        after(5, "3", { role: { userId: "1", role: "ROLE_MEMBER" } });
        after(6, "3", { left: { userId: "1" } });
        return [...seen, room.room.description, room.unread];
    """
    assert await run(page, OVERVIEW, script) == [
        ["b", "ROLE_OWNER", "2", False],
        ["b", "ROLE_OWNER", "3", False],
        ["b", "ROLE_ADMIN", "3", False],
        ["b", "ROLE_MEMBER", "3", False],
        ["b", "ROLE_UNSPECIFIED", "2", True],
        "d",
        0,
    ]


async def test_who_comes_back_begins_again(page: Page) -> None:
    script = """
        const told = { name: "a", role: "ROLE_MEMBER", history: "HISTORY_POLICY_SINCE_JOIN" };
        room.describe({ head: head(9), room: told });
        room.happened(from("1", 10, { room: { left: { userId: "1" } } }));
        room.happened(from("2", 20, { room: { joined: { userId: "1", role: "ROLE_MEMBER" } } }));
        return [room.left, room.unread, room.room.role];
    """
    assert await run(page, OVERVIEW, script) == [False, 1, "ROLE_MEMBER"]


# Types


async def test_the_declared_types_are_those_of_the_modules(page: Page) -> None:
    script = """
        const module = await import("/client/index.js");
        const members = ({ prototype }) => Object.getOwnPropertyNames(prototype ?? {});
        return Object.fromEntries(Object.entries(module).map(([name, value]) => [name, members(value)]));
    """
    real: dict[str, list[str]] = await run(page, script)
    text = (WEB / "client" / "index.d.ts").read_text("utf-8")
    reexported = re.findall(r"^export \{ (.*) \} from", text, re.MULTILINE)
    classes = dict(re.findall(r"^export class (\w+)[^{]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    functions = re.findall(r"^export function (\w+)", text, re.MULTILINE)
    assert {*classes, *functions, *", ".join(reexported).split(", ")} == set(real)
    for name, body in classes.items():
        declared = set(re.findall(r"^  (?:readonly )?(\w+)\??[(:<]", body, re.MULTILINE))
        methods = set(re.findall(r"^  (\w+)[(<]", body, re.MULTILINE)) - {"addEventListener"}
        assert methods <= set(real[name]) <= declared, name
