"""Rows of the table of queries."""

from __future__ import annotations

from tests.differential import urls
from tests.differential.cases import Case, Maker
from tests.differential.row import APART, ROWS, leaf_of, name_of, row
from tests.differential.values import TEXTS, WRONG, kind_of


@row(ROWS)
def unknown_parameter(maker: Maker) -> Case:
    names = ["nope", "inner.nope", "Text", "INT32VALUE", "text.x", "inner..name", ".text", "text.", "inner"]
    wrong = f"{maker.random.choice(names)}=1"
    route = maker.some(lambda each: not each.body and each.method.name == "Query")
    return maker.case(route, maker.target(route, None, wrong), None)


@row(ROWS)
def unknown_parameter_passed_over(maker: Maker) -> Case:
    route = maker.some(lambda each: not each.body and each.method.name == "Query")
    case = maker.case(route, maker.target(route, None, "nope=1", "inner.nope=2"), None)
    case.switched = True
    return case


@row(ROWS)
def parameter_not_offered(maker: Maker) -> Case:
    names = ["named", "named.a", "counts.a", "named[a]", "struct", "struct.a", "any", "list", "numbered"]
    names += ["content"]
    return maker.case(maker.at("GET", "/v1/query"), f"/v1/query?{maker.random.choice(names)}=1", None)


@row(ROWS)
def odd_query(maker: Maker) -> Case:
    queries = ["", "&", "text=a&&flag=true&", "text", "text=", "text=a=b", "text=a;b", "texts=a,b", "maybe="]
    queries += [
        "text=a?b",
        "te%78t=a",
        "text=a+b",
        "text=a%2Bb",
        "%40odd=x",
        "odd=x",
        "inner.tags=a&inner.tags=",
    ]
    queries += [
        "text=%00",
        "maybeNumber=0",
        "right=0",
        "middle.name=",
        "wrapped_string=",
        "numbers=",
        "flag=",
    ]
    return maker.case(maker.at("GET", "/v1/query"), f"/v1/query?{maker.random.choice(queries)}", None)


@row(ROWS, 30)
def wrong_text_in_the_query(maker: Maker) -> Case:
    route = maker.at("GET", "/v1/query")
    kind = maker.random.choice(list(WRONG))
    leaf = leaf_of(maker, route, lambda field: kind_of(field) == kind)
    parameter = urls.parameter(maker.random, name_of(leaf), maker.random.choice(WRONG[kind]))
    return maker.case(route, f"/v1/query?{parameter}", None, f"wrong query text: {kind}")


@row(ROWS)
def two_members_of_a_oneof(maker: Maker) -> Case:
    if maker.random.random() < 0.5:
        pairs = ["left=a&right=1", "right=1&left=a", "left=a&middle.name=x", "middle.name=x&right=1"]
        return maker.case(maker.at("GET", "/v1/query"), f"/v1/query?{maker.random.choice(pairs)}", None)
    bodies = [{"left": "a", "right": "1"}, {"middle": {}, "left": "a"}, {"right": 1, "middle": {"name": "x"}}]
    body = maker.dumped({"everything": maker.random.choice(bodies)})
    return maker.case(maker.at("POST", "/v1/whole"), "/v1/whole", body)


@row(APART)
def several_values(maker: Maker) -> Case:
    if maker.random.random() < 0.2:
        body = b'{"int64Value":"1","int64_value":"2"}'
        return maker.case(maker.at("POST", "/v1/whole"), "/v1/whole", body)
    route = maker.at("GET", "/v1/query")
    leaf = leaf_of(maker, route, lambda field: not field.is_repeated)
    plain = TEXTS[kind_of(leaf[-1])]
    pair = [urls.parameter(maker.random, name_of(leaf), plain(maker.random)) for _ in range(2)]
    return maker.case(route, f"/v1/query?{'&'.join(pair)}", None)


@row(APART)
def parameter_of_path_or_body(maker: Maker) -> Case:
    verb, template, target = maker.random.choice(
        [
            ("GET", "/v1/query/{text}/{inner.name}", "/v1/query/a/b?text=c"),
            ("GET", "/v1/query/{text}/{inner.name}", "/v1/query/a/b?inner.name=c"),
            ("POST", "/v1/whole", "/v1/whole?text=b"),
            ("POST", "/v1/field/inner/{text}", "/v1/field/inner/a?inner.number=5"),
            ("POST", "/v1/field/inner/{text}", "/v1/field/inner/a?text=b"),
        ]
    )
    return maker.case(maker.at(verb, template), target, None if verb == "GET" else b"{}")
