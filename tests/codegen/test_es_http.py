"""Calls of the generated browser client over HTTP, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.codegen.es_peer import run

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
