"""Rules of the schema: what breaks one is refused by the document's schema and by the server."""

from __future__ import annotations

import functools
import json
from typing import Any

import orjson
import pytest

from codegen.runtime.codec import JsonCodec, MessageJson
from codegen.runtime.errors import Error
from codegen.runtime.validation import validate
from tests.codegen.openapi.documents import component, rules

DURATION = {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}
STRUCT = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {}}
VALUES: list[tuple[str, list[Any], list[Any]]] = [
    ("len", ["abc", "äöü", "😀😀😀"], ["ab", "abcd"]),
    ("minLen", ["abc"], ["ab", "😀😀"]),
    ("maxLen", ["abc", "😀😀😀"], ["abcd"]),
    ("maxBytes", ["abc"], ["abcd"]),
    ("pattern", ["ab-12"], ["ab-1", "AB-12", "ab-12x", "ab-12\n"]),
    ("prefix", ["a.b", "a.b\nc"], ["axb", " a.b"]),
    ("suffix", ["-c", "\n-c"], ["-cd", "-c\n"]),
    ("contains", ["x(dx"], ["d"]),
    ("notContains", ["x"], ["xex"]),
    ("in", ["f", "g"], ["h", ""]),
    ("notIn", ["f"], ["h"]),
    ("const", ["i"], ["j"]),
    ("email", ["a@b.de"], ["a", "a@"]),
    ("hostname", ["example.com"], ["a_b", "-a"]),
    ("ip", ["192.0.2.1", "::1"], ["192.0.2", "x"]),
    ("ipv4", ["192.0.2.1"], ["::1", "256.0.0.1"]),
    ("ipv6", ["::1"], ["192.0.2.1"]),
    ("uri", ["https://a/b?c#d"], ["a b", "/a"]),
    ("uriRef", ["/a", ""], ["a b"]),
    ("address", ["example.com", "192.0.2.1"], ["a b"]),
    ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
    ("tuuid", ["123e4567e89b12d3a456426614174000"], ["123e4567-e89b-12d3-a456-426614174000"]),
    ("ulid", ["01ARZ3NDEKTSV4RRFFQ69G5FAV"], ["81ARZ3NDEKTSV4RRFFQ69G5FAV", "01"]),
    ("header", ["x-a"], ["x a", ""]),
    ("headerValue", ["a b"], ["a\nb"]),
    ("allOf", ["xab1"], ["xa1", "aab1", "xabc"]),
    ("gt", [6], [5]),
    ("gteLte", [-5, 5], [-6, 6]),
    ("lt", [0, 4], [5, -1]),
    ("outside", [6, -6], [5, 0, -5]),
    ("numberIn", [1, 2], [3]),
    ("numberNotIn", [4], [3]),
    ("longGt", ["1", "9223372036854775807"], ["0", "-1", "9223372036854775808"]),
    ("longRange", ["-20", "0", "9007199254740992"], ["-21", "9007199254740993", "9007199254741000"]),
    ("longOutside", ["9", "1001"], ["10", "500", "1000"]),
    ("longIn", ["7"], ["8"]),
    ("longNotIn", ["8"], ["7"]),
    ("doubleGt", [0.1, "Infinity"], [0, -1, "NaN", "-Infinity"]),
    ("floatRange", [0, 1], [-0.1, 1.5, "NaN", "Infinity"]),
    ("finite", [1e300], ["NaN", "Infinity", "-Infinity"]),
    ("doubleOutside", [6, -6, "Infinity", "-Infinity"], [5, 0, "NaN"]),
    ("true", [True], [False]),
    ("bytesLen", ["AAAAAA=="], ["AAAA", "AAAAAAA=", "AAAAAAAA"]),
    ("bytesMin", ["AAAA", "AAAAAA=="], ["AAA=", ""]),
    ("bytesMax", ["AAAA", ""], ["AAAAAA=="]),
    ("bytesIn", ["YWI="], ["YWE="]),
    ("colorIn", ["COLOR_RED"], ["COLOR_UNSPECIFIED", "COLOR_GREEN"]),
    ("colorNotIn", ["COLOR_RED"], ["COLOR_UNSPECIFIED"]),
    ("colorConst", ["COLOR_BLUE"], ["COLOR_RED"]),
    ("items", [["a", "b"], []], [["a", "a"], ["a", "b", "c"], ["abc"]]),
    ("pairs", [{"ab": 1}, {}], [{"ab": 1, "cd": 1}, {"a": 1}, {"ab": 0}]),
    ("numbers", [{"1": "", "12": ""}], [{"0": ""}, {"13": ""}, {"x": ""}]),
    ("truths", [{"true": "", "false": ""}], [{"yes": ""}]),
    ("any", [DURATION], [STRUCT, {"value": 1}]),
    ("wrapped", ["1", None], ["0", "-1"]),
    ("blankOrEmail", ["", "a@b.de"], ["a"]),
    ("ignored", ["", "a"], [1]),
    ("duration", ["1.000000001s", "90s"], ["1", "x"]),
    ("past", ["2001-01-01T00:00:00Z"], ["yesterday", "2001-01-01"]),
    ("plainFloat", [1, 3.4028235e38, -3.4028235e38, "NaN", "Infinity", "-Infinity"], ["nan", 1e39, True]),
    ("plainDouble", [1, "NaN"], ["inf", [], {}]),
    ("plainBytes", ["", "/+8="], ["A", "ä", 1]),
    ("plainLong", ["0", "-9223372036854775808"], ["-9223372036854775809", "x", ""]),
    ("plainShort", [0, 4294967295], [-1, 4294967296, 1.5]),
    ("unknown", [], [1, ""]),
]
NEEDED: dict[str, Any] = {
    "text": "x",
    "matching": "a",
    "required": "x",
    "number": 1,
    "set": -1,
    "long": "1",
    "list": ["x"],
    "pairs": {"x": "y"},
    "color": "COLOR_RED",
    "yes": True,
    "nested": {},
    "data": "AA==",
    "told": "x",
}
ZEROS: dict[str, Any] = {
    "text": "",
    "matching": "",
    "required": "",
    "number": 0,
    "set": 0,
    "long": "0",
    "list": [],
    "pairs": {},
    "color": "COLOR_UNSPECIFIED",
    "yes": False,
    "data": "",
    "told": "",
}
CHOICES: list[tuple[dict[str, Any], bool]] = [
    ({"text": "a"}, True),
    ({"number": 1, "this": "a", "first": "b"}, True),
    ({}, False),
    ({"text": "a", "number": 1}, False),
    ({"text": "a", "this": "b", "that": "c"}, False),
    ({"text": "a", "first": "b", "second": "c"}, False),
]


@functools.cache
def _type(name: str) -> MessageJson:
    return JsonCodec(rules().registry).type(f"rules.v1.{name}")


def _served(name: str, value: Any) -> bool:
    try:
        validate(_type(name).parse(orjson.dumps(value)))
    except Error:
        return False
    return True


def _documented(name: str, value: Any) -> bool:
    return component(rules().document, f"rules.v1.{name}").is_valid(value)


@pytest.mark.parametrize(("field", "good", "bad"), VALUES, ids=[field for field, _, _ in VALUES])
def test_document_and_server_agree_on_values(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert _documented("Values", {field: value}), value
        assert _served("Values", {field: value}), value
    for value in bad:
        assert not _documented("Values", {field: value}), value
        assert not _served("Values", {field: value}), value


def test_every_rule_of_the_schema_is_tried() -> None:
    properties = rules().document["components"]["schemas"]["rules.v1.Values"]["properties"]
    # The others are documented by a sentence, or not ruled at all.
    sentences = {"even", "folded", "example", "output", "input", "fixed", "gone"}
    assert {field for field, _, _ in VALUES} - {"unknown"} == set(properties) - sentences


@pytest.mark.parametrize("field", NEEDED)
def test_document_and_server_agree_on_what_must_be_there(field: str) -> None:
    for name in ("Needed",):
        assert _documented(name, NEEDED)
        assert _served(name, NEEDED)
        without = {key: value for key, value in NEEDED.items() if key != field}
        for broken in [without, *([{**NEEDED, field: ZEROS[field]}] if field in ZEROS else [])]:
            assert not _documented(name, broken)
            assert not _served(name, broken)


def test_what_may_be_absent_is_not_required() -> None:
    assert sorted(rules().document["components"]["schemas"]["rules.v1.Needed"]["required"]) == sorted(NEEDED)


@pytest.mark.parametrize(("value", "right"), CHOICES, ids=[json.dumps(value) for value, _ in CHOICES])
def test_document_and_server_agree_on_choices(value: dict[str, Any], right: bool) -> None:
    assert _documented("Choice", value) is right
    assert _served("Choice", value) is right


def test_what_json_schema_cannot_say_is_a_sentence() -> None:
    schemas = rules().document["components"]["schemas"]
    text = {name: node.get("description") for name, node in schemas["rules.v1.Values"]["properties"].items()}
    assert text["maxBytes"] == "In UTF-8 at most 3 bytes."
    assert text["duration"] == "How long. It is more than `1s`. It is at most `90s`."
    assert text["past"] == "It lies in the past."
    assert text["even"] == "Even. It must be even."
    assert text["folded"] == "It matches `(?i)^abc$` (RE2)."
    assert schemas["rules.v1.Choice"]["description"] == "One of several. Odd things are refused."


def test_behaviour_of_fields_is_said() -> None:
    values = rules().document["components"]["schemas"]["rules.v1.Values"]["properties"]
    assert values["output"]["readOnly"] is True
    assert values["input"]["writeOnly"] is True
    assert values["gone"]["deprecated"] is True
    assert values["fixed"]["description"] == "For ever. It cannot be changed."
    body = rules().document["paths"]["/v1/values"]["post"]
    asked = body["requestBody"]["content"]["application/json"]["example"]
    answered = body["responses"]["200"]["content"]["application/json"]["example"]
    assert "output" not in asked
    assert "input" in asked
    assert "input" not in answered
    assert "output" in answered


def test_examples_of_the_schema_are_taken() -> None:
    values = rules().document["components"]["schemas"]["rules.v1.Values"]
    assert values["properties"]["example"]["examples"] == ["yzzz"]
    assert values["examples"][0]["example"] == "yzzz"


def test_a_value_is_an_example_that_the_server_takes() -> None:
    example = dict(rules().document["components"]["schemas"]["rules.v1.Values"]["examples"][0])
    del example["even"], example["folded"]  # documented by sentences only
    assert len(example) > 60
    assert _served("Values", example)
