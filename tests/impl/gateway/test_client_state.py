"""What the browser's client keeps, in a browser: messages on their way, and who has come how far."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import chromium
from tests.impl.gateway.pages import WEB, Service, blank, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
