"""Rows of the table of paths."""

from __future__ import annotations

from tests.differential import urls
from tests.differential.cases import Case, Maker
from tests.differential.row import APART, ROWS, leaf_of, name_of, row, typed
from tests.differential.values import LENIENT, WRONG, kind_of, text
from tests.differential.wire import Request

CONTENT = frozenset({"download", "part"})
"""Where the empty answer of a request that is made for no binding would have no type."""


@row(ROWS)
def no_such_path(maker: Maker) -> Case:
    paths = [
        "/",
        "/v1",
        "/v2/texts/a",
        "/v1/texts",
        "/v1/texts/a/b",
        "/v1/skip/a",
        "/v1/two/a",
        "/V1/texts/a",
    ]
    paths += [
        "/v1/nested/a",
        "/v1/literal",
        "/v1/shelves",
        "/v1/operation",
        "/v1/skip/a/b/c",
        "/v1/%2e/texts/a",
    ]
    path = maker.random.choice(paths)
    return Case(None, Request(maker.random.choice(["GET", "POST"]), path))


@row(ROWS, 10)
def any_path(maker: Maker) -> Case:
    """Parts of the schema's paths in any order: what fits which rule, and what none."""
    literals = [
        each for route in maker.routes for each in route.segments if "*" not in each and each not in CONTENT
    ]
    count = maker.random.randint(1, 5)
    parts = [maker.random.choice([maker.random.choice(literals), "x"]) for _ in range(count)]
    if maker.random.random() < 0.3:
        parts[-1] += f":{maker.random.choice(maker.routes).custom_verb or 'other'}"
    return Case(None, Request("GET", "/v1/" + "/".join(parts)))


@row(ROWS)
def precedence(maker: Maker) -> Case:
    users = ["me", "you", "me/posts/1", "you/posts/1", "me/posts", "me/settings/theme", "me/settings/x"]
    users += ["you/settings/theme", "a/b/c", "", "a//b", "me/x", "me/settings", "you:ban", "me:ban"]
    others = ["operations", "operations/1", "operations/1/2", "shelves/1", "shelves/1/books/2", "shelves/1/x"]
    choices = [f"/v1/users/{each}".rstrip("/") for each in users] + [f"/v1/{each}" for each in others]
    return Case(None, Request("GET", maker.random.choice(choices)))


@row(ROWS)
def colon_in_a_segment(maker: Maker) -> Case:
    path = maker.random.choice(["/v1/texts/a:b", "/v1/texts/:", "/v1/texts/a:b:c", "/v1/two/a:open/b"])
    path = maker.random.choice(
        [path, "/v1/users/a%3Aban", "/v1/users/a:b:ban", "/v1/texts/a%3alookup", "/v1/users/me:"]
    )
    return Case(None, Request("GET", path))


@row(ROWS, 30)
def wrong_text_in_the_path(maker: Maker) -> Case:
    route, kind = typed(maker, WRONG)
    wrong = urls.escaped(maker.random, maker.random.choice(WRONG[kind]))
    return maker.case(route, route.template.partition("{")[0] + wrong, None, f"wrong path text: {kind}")


@row(APART)
def lenient_text(maker: Maker) -> Case:
    route, kind = typed(maker, LENIENT)
    lenient = maker.random.choice(LENIENT[kind])
    if maker.random.random() < 0.5:
        return maker.case(route, route.template.partition("{")[0] + urls.escaped(maker.random, lenient), None)
    query = maker.at("GET", "/v1/query")
    leaf = leaf_of(maker, query, lambda field: kind_of(field) == kind)
    return maker.case(query, f"/v1/query?{urls.parameter(maker.random, name_of(leaf), lenient)}", None)


@row(APART)
def broken_escape(maker: Maker) -> Case:
    broken = maker.random.choice(["%", "%zz", "%4", "%FF", "%C3", "a%E6%BC", "%ED%A0%80", "%C0%AF", "%u0041"])
    route = maker.at("GET", maker.random.choice(["/v1/texts/{text}", "/v1/files/{text=**}"]))
    if maker.random.random() < 0.5:
        return maker.case(route, route.template.partition("{")[0] + broken, None)
    return maker.case(maker.at("GET", "/v1/query"), f"/v1/query?text={broken}", None)


@row(APART)
def escaped_literal(maker: Maker) -> Case:
    path = maker.random.choice(
        [
            "/v1/%74exts/a",
            "/%761/texts/a",
            "/v1/users/m%65",
            "/v1/users/me/settings/them%65",
            "/v1/liter%61l/only",
        ]
    )
    return Case(None, Request("GET", path))


@row(APART)
def unregistered_verb(maker: Maker) -> Case:
    path = maker.random.choice(
        [
            "/v1/users/x:nope",
            "/v1/shelves/1:close",
            "/v1/texts/a:lookup",
            "/v1/operations/a:open",
            "/v1/users/a/b:ban",
        ]
    )
    return Case(None, Request("GET", path))


@row(APART)
def empty_segment(maker: Maker) -> Case:
    path = maker.random.choice(
        ["/v1/texts/a/", "/v1/files/a/", "/v1/files/a//", "/v1/literal/only/", "/v1/two//a", "/v1/skip//a"]
    )
    return Case(None, Request("GET", path))


@row(APART)
def other_verb(maker: Maker) -> Case:
    verb = maker.random.choice(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    return Case(None, Request(verb, "/v1/texts/" + urls.escaped(maker.random, text(maker.random))))
