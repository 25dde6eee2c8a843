"""Rows of the table of bodies."""

from __future__ import annotations

from typing import Any

from tests.differential.cases import Case, Maker
from tests.differential.row import APART, ROWS, row
from tests.differential.wire import Request


@row(ROWS)
def path_and_body_agree(maker: Maker) -> Case:
    choices: list[tuple[str, list[Any]]] = [
        ("PUT /v1/whole/a/5", [{"text": "a"}, {"int64Value": "5"}, {"int64_value": 5}, {"text": None}]),
        ("POST /v1/whole/x:nest", [{"inner": {"name": "x"}}, {"inner": None}, {"inner": {"name": None}}]),
        ("POST /v1/whole/x:nest", [{"inner": {"number": 5}}]),
        ("PUT /v1/field/inner/a/b", [{"name": "a"}, {"number": 5}, {}]),
    ]
    target, bodies = maker.random.choice(choices)
    verb, path = target.split()
    return Case(None, Request(verb, path, maker.dumped(maker.random.choice(bodies))))


@row(ROWS)
def body_contradicts_path(maker: Maker) -> Case:
    target, body = maker.random.choice(
        [
            ("PUT /v1/whole/a/5", {"text": "b"}),
            ("PUT /v1/whole/a/5", {"int64_value": "6"}),
            ("POST /v1/whole/x:nest", {"inner": {"name": "y"}}),
            ("PUT /v1/field/inner/a/b", {"name": "c"}),
        ]
    )
    verb, path = target.split()
    return Case(None, Request(verb, path, maker.dumped(body)))


@row(APART)
def body_where_none_belongs(maker: Maker) -> Case:
    route = maker.some(lambda each: not each.body and each.method.name in ("Query", "Verbs"))
    body = maker.dumped(maker.random.choice([{"text": "a"}, {}, {"flag": True}]))
    return maker.case(route, maker.target(route), body)


@row(ROWS, 4)
def unknown_field_passed_over(maker: Maker) -> Case:
    target = maker.random.choice(["/v1/whole", "/v1/field/inner/{text}", "/v1/fill/{text}"])
    route = maker.at("POST", target)
    extra = {"nope": maker.random.choice([1, None, "x", [1, {"a": []}], {"text": 5}])}
    known = {"/v1/whole": {"text": "a", "several": [extra]}}.get(target, {"name": "a", "inner": extra})
    body = {**extra, **known}
    case = maker.case(route, maker.target(route), maker.dumped([body] if "fill" in target else body))
    case.switched = True
    return case


@row(ROWS, 4)
def broken_json(maker: Maker) -> Case:
    texts = [
        "{",
        "[]",
        "null",
        "1",
        '"a"',
        '{"text":"a"}x',
        '{"text" "a"}',
        '{"text":}',
        "{]",
        '{"text":"\\ud800"}',
    ]
    texts += [
        '{"text":"a"',
        "nonsense",
        "// c\n{}",
        '{"text":tru}',
        '{"a":1}}',
        '{"text":01}',
    ]
    raw = [*(each.encode() for each in texts), b'{"text":"\xff"}', b"\x00"]
    return maker.case(maker.at("POST", "/v1/whole"), "/v1/whole", maker.random.choice(raw))


@row(ROWS, 10)
def wrong_json(maker: Maker) -> Case:
    texts = [
        '"int32Value":5.5',
        '"int32Value":2147483648',
        '"int32Value":" 5"',
        '"int32Value":true',
        '"flag":1',
    ]
    texts += [
        '"int64Value":9223372036854775808',
        '"uint64Value":-1',
        '"uint32Value":"-1"',
        '"floatValue":"nan"',
    ]
    texts += [
        '"floatValue":1e39',
        '"doubleValue":1e400',
        '"data":"!"',
        '"data":5',
        '"color":"nope"',
        '"color":1.5',
    ]
    texts += [
        '"named":[]',
        '"numbered":{"x":"a"}',
        '"time":5',
        '"time":"nope"',
        '"duration":1',
        '"mask":["a"]',
    ]
    texts += [
        '"struct":[]',
        '"inner":[]',
        '"inner":5',
        '"wrappedInt64":"x"',
        '"text":5',
        '"text":true',
        '"text":[]',
    ]
    texts += ['"int32Value":""', '"any":{"@type":"type.googleapis.com/nope.Nope"}', '"inner":"x"', '"left":5']
    body = '{"everything":{' + maker.random.choice(texts) + "}}"
    return maker.case(maker.at("POST", "/v1/whole"), "/v1/whole", body.encode())


@row(APART)
def lenient_json(maker: Maker) -> Case:
    texts = ['{"text":"a",}', "{'text':'a'}", '{text:"a"}', '{"text":"a\nb"}', '{"text":"a","text":"b"}']
    texts += ['{"inners":{"name":"x"}}', '{"inners":[null]}', '{"inner":{"tags":"a"}}', '{"nope":1}']
    texts += [
        '{"either":{"true":null}}',
        '{"everything":{"flag":"true"}}',
        '{"everything":{"numbers":[[1]]}}',
    ]
    texts += [
        '{"everything":{"time":{"seconds":5}}}',
        '{"inner":{"name":"x","name":"y"}}',
        '{"inner":{"nope":{}}}',
    ]
    texts += ['{"everything":{"wrappedString":{"value":"x"}}}', '{"text":"\\x"}']
    return maker.case(
        maker.at("POST", "/v1/whole"),
        "/v1/whole",
        maker.random.choice(texts).encode(),
    )


@row(APART)
def end_of_a_body(maker: Maker) -> Case:
    path, bodies = maker.random.choice(
        [
            ("int64", [b"5", b"-7", b""]),
            ("color", [b"1"]),
            ("wrapped", [b"5", b""]),
            ("inner/a", [b""]),
            ("struct", [b""]),
            ("numbers", [b""]),
        ]
    )
    template = f"/v1/field/{path.replace('/a', '/{text}')}"
    return maker.case(maker.at("POST", template), f"/v1/field/{path}", maker.random.choice(bodies))
