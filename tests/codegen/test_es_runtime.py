"""The generated browser client in a real browser, against a peer that says what the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.browser import chromium
from tests.codegen.web import outputs
from tests.servers import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT = (
    "const { createClient, compareInt64, RpcError, ReadSocket, ShelfReason } = await import('/web/shelf.js');"
)

REFUSAL = {
    "code": 5,
    "message": "There is no such book.",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NO_BOOK", "domain": "shelf"},
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "name", "description": "unknown"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"},
    ],
}


class Peer:
    """Serves the generated files, answers HTTP calls with what it got, and hands sockets to the test."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.url = ""
        self.sockets: asyncio.Queue[WebSocket] = asyncio.Queue()
        self.held = asyncio.Event()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                WebSocketRoute("/read", self.read),
                Route("/", self.page),
                Route("/web/{name}", self.file),
                Route("/{path:path}", self.echo, methods=["GET", "POST", "PATCH"]),
            ]
        )

    async def page(self, _: Request) -> Response:
        return Response("<!doctype html><title>t</title>", media_type="text/html")

    async def file(self, request: Request) -> Response:
        return Response(self.files["web/" + request.path_params["name"]], media_type="text/javascript")

    async def echo(self, request: Request) -> Response:
        body = (await request.body()).decode()
        seen = {
            "verb": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "body": json.loads(body) if body else None,
            "authorization": request.headers.get("authorization"),
            "type": request.headers.get("content-type"),
        }
        if "refused" in seen["path"]:
            return JSONResponse(REFUSAL, 404)
        if "proxy" in seen["path"]:
            return Response("<h1>Bad Gateway</h1>", 502, media_type="text/html")
        if "slow" in seen["path"]:
            await self.held.wait()
        return JSONResponse(seen)

    async def read(self, socket: WebSocket) -> None:
        self.held.clear()
        await socket.accept("shelf.v1.json")
        await self.sockets.put(socket)
        try:
            await self.held.wait()
        except (WebSocketDisconnect, asyncio.CancelledError):
            return

    async def greeted(self, heartbeat_seconds: int = 1) -> WebSocket:
        """The next socket, after its hello."""
        socket = await self.sockets.get()
        assert await socket.receive_json() == {"hello": {"token": "t"}}
        await socket.send_json({"welcome": {"heartbeatSeconds": heartbeat_seconds}})
        return socket


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outputs(tmp_path_factory.mktemp("es"))


@pytest_asyncio.fixture(loop_scope="module")
async def peer(files: dict[str, str]) -> AsyncIterator[Peer]:
    peer = Peer(files)
    async with served(peer):
        yield peer


@asynccontextmanager
async def served(peer: Peer) -> AsyncIterator[None]:
    port = free_port()
    config = uvicorn.Config(
        peer.app(),
        port=port,
        log_level="error",
        ws="websockets-sansio",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        peer.url = f"http://127.0.0.1:{port}"
        try:
            yield
        finally:
            peer.held.set()
            server.should_exit = True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, peer: Peer) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(peer.url)
    yield page
    await page.close()


async def run(page: Page, *body: str) -> Any:
    """What a script with the client at hand returns."""
    return await page.evaluate(f"async () => {{ {CLIENT} {' '.join(body)} }}")


async def test_path_query_body_and_token_go_where_the_schema_says(page: Page) -> None:
    seen = await run(
        page,
        """
        const { shelfService } = createClient({ token: async () => "secret" });
        return [
          await shelfService.getBook({
            name: "shelves/a b/books/ü%/x", mask: "name,parts", kinds: ["KIND_NOVEL", "KIND_OTHER"],
            edition: { year: 1984 }, since: undefined,
          }),
          (await shelfService.updateBook({
            book: { name: "n" }, create: true, place: { shelf: "shelves/7", row: 2 },
          })).book,
          await shelfService.changeBook({ book: { name: "shelves/7/books/8", isbn: "9" }, create: true }),
          await shelfService.import({ from: "a/b", class: "9007199254740993", default: "abc", box: "b" }),
          await shelfService.constructor_({ id: "1" }),
        ];
        """,
    )
    get, update, change, imported, constructed = seen
    assert get["path"] == "/v1/shelves/a%20b/books/%C3%BC%25/x"
    assert get["query"] == "mask=name%2Cparts&kinds=KIND_NOVEL&kinds=KIND_OTHER&edition.year=1984"
    assert (get["verb"], get["authorization"], get["body"]) == ("GET", "Bearer secret", None)
    assert update["path"] == "/v1/shelves/7/books"
    assert update["query"] == "create=true&place.row=2"
    assert update["body"] == {"name": "n"}
    assert (change["path"], change["query"]) == ("/v1/shelves/7/books/8", "create=true")
    assert change["body"] == {"isbn": "9"}
    assert imported["path"] == "/v1/books/a%2Fb/9007199254740993:import"
    assert imported["body"] == {"default": "abc", "box": "b"}
    assert (imported["authorization"], imported["type"]) == (None, "application/json")
    assert (constructed["verb"], constructed["path"]) == ("POST", "/v1/books/1/constructor")


async def test_a_refusal_is_a_typed_error(page: Page) -> None:
    seen = await run(
        page,
        """
        const { shelfService } = createClient();
        const error = await shelfService.getBook({ name: "refused" }).catch((refusal) => refusal);
        return {
          typed: error instanceof RpcError && error.reason === ShelfReason.NO_BOOK, code: error.code,
          domain: error.domain, message: error.message, status: error.status, violations: error.violations,
          retryAfterMs: error.retryAfterMs, transient: error.transient,
        };
        """,
    )
    assert seen == {
        "typed": True,
        "code": "NOT_FOUND",
        "domain": "shelf",
        "message": "There is no such book.",
        "status": 404,
        "violations": [{"field": "name", "description": "unknown"}],
        "retryAfterMs": 1500,
        "transient": False,
    }


async def test_whatever_goes_wrong_on_the_way_is_the_same_kind_of_error(page: Page) -> None:
    seen = await run(
        page,
        """
        const { shelfService } = createClient();
        const away = createClient({ baseUrl: "http://127.0.0.1:1" }).shelfService;
        const cancel = new AbortController();
        setTimeout(() => cancel.abort(), 50);
        const calls = [
          shelfService.getBook({ name: "proxy" }),
          shelfService.getBook({ name: "slow" }, { timeoutMs: 50 }),
          shelfService.getBook({ name: "slow" }, { signal: cancel.signal }),
          away.getBook({ name: "x" }),
          shelfService.import({ from: "..", class: "1" }),
          shelfService.import({ class: "1" }),
          shelfService.getBook({ name: () => "a function" }),
        ];
        const settled = await Promise.allSettled(calls);
        return settled.map(({ reason }) => reason instanceof RpcError && reason.code);
        """,
    )
    assert seen == [
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "CANCELLED",
        "UNAVAILABLE",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "UNKNOWN",
    ]


async def test_a_call_refused_for_its_token_is_made_once_more_with_another(page: Page) -> None:
    script = """
        const refusals = [];
        const tokens = ["old", "new", "old", "old"];
        const fetch = async (url, init) => {
          const fresh = init.headers.authorization === "Bearer new";
          const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", domain: DOMAIN };
          return new Response(JSON.stringify(fresh ? { name: "n" } : { code: 16, details: [info] }), {
            status: fresh ? 200 : 401,
          });
        };
        const token = () => tokens.shift();
        const authenticate = async (refused) => Boolean(refusals.push(refused));
        const { shelfService } = createClient({ token, authenticate, fetch });
        const get = () => shelfService.getBook({ name: "x" }).catch((error) => error.code);
        return [await get(), await get(), refusals];
    """
    again = [{"name": "n"}, "UNAUTHENTICATED", ["old", "old"]]
    assert await run(page, script.replace("DOMAIN", "'idiom'")) == again
    own = ["UNAUTHENTICATED", {"name": "n"}, []]
    assert await run(page, script.replace("DOMAIN", "'shelf'")) == own


async def test_int64_are_compared_exactly(page: Page) -> None:
    pairs = (
        "[['9007199254740993', '9007199254740992'], ['9', '10'], ['3', '3'], [undefined, '0'], ['-1', '0']]"
    )
    assert await run(page, f"return {pairs}.map(([a, b]) => compareInt64(a, b));") == [1, -1, 0, 0, -1]


async def test_a_bigint_goes_out_as_the_string_that_int64_is_in_json(page: Page) -> None:
    book = "{ name: 'shelves/7/books/8', copies: { 1: 2n ** 53n + 1n } }"
    seen = await run(page, f"return createClient().shelfService.changeBook({{ book: {book} }});")
    assert seen["body"] == {"copies": {"1": "9007199254740993"}}


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
    assert await states(page, "waiting") == [["connecting", None], ["waiting", "UNREACHABLE"]]


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
