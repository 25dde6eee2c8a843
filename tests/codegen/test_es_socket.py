"""The generated browser client on a socket, in a real browser."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page

from tests.codegen.es_peer import Peer, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


SOCKET = """
    window.states = [];
    window.frames = [];
    window.socket = new ReadSocket({
      url: location.origin.replace("http", "ws") + "/read", hello: async () => ({ token: "t" }),
    });
    socket.onState(({ state, close }) => states.push([state, close?.name ?? null]));
    socket.on("bookmark", (bookmark) => frames.push(bookmark));
    socket.open();
"""


async def states(page: Page, last: str) -> Any:
    await page.wait_for_function("(last) => states.at(-1)?.[0] === last", arg=last)
    return await page.evaluate("states")


async def test_a_session_opens_after_welcome_and_hears_frames(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    socket = await peer.greeted()
    assert await states(page, "open") == [["connecting", None], ["open", None]]
    await socket.send_json({"bookmark": {"page": "9007199254740993"}})
    await page.wait_for_function("frames.length === 1")
    assert await page.evaluate("frames") == [{"page": "9007199254740993"}]
    assert await page.evaluate("socket.close_({ page: '3' })") is True
    assert await socket.receive_json() == {"close": {"page": "3"}}


async def test_calls_are_matched_with_their_answers(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    socket = await peer.greeted()
    await states(page, "open")
    await page.evaluate(
        """() => {
          const outcome = ({ value, reason }) => value ?? [reason.code, reason.reason];
          const calls = ["a", "b", "c"].map((name) => socket.get({ name }));
          window.calls = Promise.allSettled(calls).then((all) => all.map(outcome));
        }"""
    )
    first, second = (await socket.receive_json())["get"], (await socket.receive_json())["get"]
    assert (first["request"], second["request"]) == ({"name": "a"}, {"name": "b"})
    failure = {"requestId": first["requestId"], "code": "NOT_FOUND", "reason": "NO_BOOK", "message": "No."}
    await socket.send_json({"got": {"requestId": second["requestId"], "response": {"name": "B"}}})
    await socket.send_json({"error": failure})
    assert await page.evaluate("calls") == [
        ["NOT_FOUND", "NO_BOOK"],
        {"name": "B"},
        ["RESOURCE_EXHAUSTED", "OVERLOADED"],
    ]


async def test_a_frame_that_would_close_the_session_is_refused_here(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    await peer.greeted()
    await states(page, "open")
    refusal = "socket.get({ name: 'ü'.repeat(600) }).catch((error) => [error.reason, error.transient])"
    assert await page.evaluate(refusal) == ["TOO_LARGE", False]
    assert await page.evaluate("socket.state") == "open"


async def test_the_client_shows_life_in_the_interval_of_welcome(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    socket = await peer.greeted(heartbeat_seconds=1)
    assert await socket.receive_json() == {"heartbeat": {}}


async def test_a_heartbeat_is_answered_by_a_client_that_was_silent(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    socket = await peer.greeted(heartbeat_seconds=60)
    answer = asyncio.create_task(socket.receive_json())
    while not answer.done():
        await socket.send_json({"heartbeat": {}})
        await asyncio.wait([answer], timeout=0.05)
    assert await answer == {"heartbeat": {}}


async def test_a_silent_server_is_left_for_another_connection(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    await peer.greeted()
    await states(page, "open")
    again = await asyncio.wait_for(peer.greeted(), 10)
    assert again
    assert ["waiting", "HEARTBEAT_TIMEOUT"] in await states(page, "open")


@pytest.mark.parametrize(("code", "name"), [(4000, "PAUSE"), (1011, "UNSPECIFIED"), (1012, "LOST")])
async def test_a_session_comes_back_and_calls_under_way_fail(
    page: Page, peer: Peer, code: int, name: str
) -> None:
    await run(page, SOCKET)
    socket = await peer.greeted()
    await states(page, "open")
    await page.evaluate(
        "void (window.call = socket.get({}).catch((error) => [error.reason, error.transient]))"
    )
    await socket.close(code)
    assert await page.evaluate("call") == ["DISCONNECTED", True]
    await peer.greeted()
    expected = [["connecting", None], ["open", None], ["waiting", name], ["connecting", None], ["open", None]]
    assert await states(page, "open") == expected


@pytest.mark.parametrize(("code", "name"), [(4400, "FOREVER"), (4401, "STRANGER")])
async def test_a_session_stays_closed_where_the_schema_says_so(
    page: Page, peer: Peer, code: int, name: str
) -> None:
    await run(page, SOCKET)
    socket = await peer.greeted()
    await states(page, "open")
    await socket.close(code)
    assert (await states(page, "closed"))[-1] == ["closed", name]
    assert peer.sockets.empty()


async def test_sessions_that_end_at_once_come_back_ever_more_slowly(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    await page.evaluate(
        """() => {
          Math.random = () => 1;
          window.pauses = [];
          socket.onState(({ retryMs }) => retryMs === null || pauses.push(retryMs));
        }"""
    )
    for ended in range(3):
        socket = await peer.greeted()
        await states(page, "open")
        await socket.close(1012)
        await page.wait_for_function("(count) => pauses.length === count", arg=ended + 1)
    assert await page.evaluate("pauses") == [250, 500, 1000]


async def test_pauses_are_spread_over_all_of_a_bound_that_has_an_end(page: Page) -> None:
    script = """
        const { backoffMs } = await import("/web/runtime.js");
        const most = (random) => { Math.random = () => random; return [1, 2, 8, 99].map(backoffMs); };
        return [most(1), most(0)];
    """
    assert await run(page, script) == [[250, 500, 30000, 30000], [0, 0, 0, 0]]


AUTHENTICATED = SOCKET.replace("hello:", "authenticate: () => window.ask(), hello:")


async def test_a_refused_hello_is_said_again_once_there_is_something_new_to_say(
    page: Page, peer: Peer
) -> None:
    await run(page, "window.asked = 0; window.ask = async () => (asked += 1) === 1;", AUTHENTICATED)
    socket = await peer.sockets.get()
    await socket.close(4401)
    await peer.greeted()
    expected = [["connecting", None], ["connecting", "STRANGER"], ["waiting", "STRANGER"]]
    assert (await states(page, "open"))[:3] == expected
    assert await page.evaluate("asked") == 1


async def test_a_hello_that_is_refused_although_it_is_new_ends_the_session(page: Page, peer: Peer) -> None:
    await run(page, "window.asked = 0; window.ask = async () => Boolean(asked += 1);", AUTHENTICATED)
    await run(page, "socket.onState((now) => (window.last = now));")
    for _ in range(2):
        socket = await peer.sockets.get()
        await socket.send_json({"error": {"code": "UNAUTHENTICATED", "reason": "TOKEN_INVALID"}})
        await socket.close(4401)
    assert (await states(page, "closed"))[-1] == ["closed", "STRANGER"]
    assert await page.evaluate("[asked, last.error.reason]") == [1, "TOKEN_INVALID"]


async def test_what_cannot_be_asked_for_now_is_asked_for_later(page: Page, peer: Peer) -> None:
    ask = """
        window.asked = 0;
        window.ask = async () => {
          asked += 1;
          if (asked < 3) throw new RpcError({ code: "UNAVAILABLE" });
          return true;
        };
    """
    await run(page, ask, AUTHENTICATED)
    for _ in range(3):
        socket = await peer.sockets.get()
        await socket.close(4401)
    await peer.greeted()
    await states(page, "open")
    assert await page.evaluate("asked") == 3


async def test_a_renewed_session_says_hello_again_at_once(page: Page, peer: Peer) -> None:
    await run(page, SOCKET)
    await peer.greeted()
    await states(page, "open")
    await page.evaluate("socket.renew()")
    await peer.greeted()
    assert ["waiting", "RENEWED"] in await states(page, "open")


async def test_a_connection_that_died_with_the_network_is_found_when_the_network_is_back(
    page: Page, peer: Peer
) -> None:
    await run(page, SOCKET)
    await peer.greeted(heartbeat_seconds=60)
    await states(page, "open")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await peer.greeted()
    assert ["waiting", "HEARTBEAT_TIMEOUT"] in await states(page, "open")


async def test_an_address_that_is_none_is_asked_for_again(page: Page) -> None:
    await run(page, SOCKET.replace("location.origin.replace", "'ftp://x/'.replace"))
    seen = await states(page, "waiting")
    # A pause may be next to nothing, so that it is asked for again before one looks.
    assert len(seen) > 1
    assert seen == ([["connecting", None], ["waiting", "UNREACHABLE"]] * len(seen))[: len(seen)]


async def test_a_session_closed_and_opened_again_while_it_asks_for_its_address_is_one(
    page: Page, peer: Peer
) -> None:
    made = await run(
        page,
        """
        let made = 0;
        class Counted extends WebSocket {
          constructor(...parts) { super(...parts); made += 1; }
        }
        const given = [];
        const url = () => new Promise((resolve) => given.push(resolve));
        const socket = new ReadSocket({ url, hello: () => ({ token: "t" }), WebSocket: Counted });
        const opened = new Promise((resolve) => socket.onState(({ state }) => state === "open" && resolve()));
        socket.open();
        socket.close();
        socket.open();
        for (const give of given) give(location.origin.replace("http", "ws") + "/read");
        window.opened = opened.then(() => made);
        return given.length;
        """,
    )
    assert made == 2
    await peer.greeted()
    assert await page.evaluate("opened") == 1
    assert peer.sockets.empty()
