"""JSON values found while their bytes arrive, however these are cut."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codegen.runtime.errors import Error
from codegen.runtime.json_shape import MAX_DEPTH
from codegen.runtime.transcoding.json_items import JsonItems

LIMIT = 1000
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
SPACE = st.text(" \t\r\n", max_size=3).map(str.encode)
CUTS = st.lists(st.integers(0, 400), max_size=12)
TOKENS = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b'"a"',
        b"1",
        b"-",
        b"true",
        b" ",
        b"\n",
        b"\xc3",
        b"\xa9",
        b"e",
    ]
)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data in chunks; some may be empty."""
    places = sorted({0, len(data), *(min(each, len(data)) for each in cuts)})
    return [b"", *(data[start:end] for start, end in itertools.pairwise(places))]


def read(data: bytes, cuts: Iterable[int] = (), *, array: bool = True, limit: int = 1 << 20) -> list[bytes]:
    """All values of a body that comes in chunks."""
    reader = JsonItems(limit, array=array)
    found = [item for chunk in cut(data, cuts) for item in reader.feed(chunk)]
    found += reader.finish()
    assert reader.count == len(found)
    return found


def refused(data: bytes, cuts: Iterable[int] = (), *, array: bool = True, limit: int = LIMIT) -> str:
    """Why a body is refused."""
    with pytest.raises(Error) as raised:
        read(data, cuts, array=array, limit=limit)
    return f"{raised.value.reason.name}: {raised.value.message}"


@given(st.lists(VALUES, max_size=6), SPACE, CUTS)
def test_elements_of_an_array_are_found_in_any_chunks(
    values: list[Any], space: bytes, cuts: list[int]
) -> None:
    body = space + b"[" + (space + b"," + space).join(orjson.dumps(each) for each in values) + b"]" + space
    assert [orjson.loads(item) for item in read(body, cuts)] == values


@given(st.lists(VALUES, max_size=6), SPACE, CUTS)
def test_lines_are_found_in_any_chunks(values: list[Any], space: bytes, cuts: list[int]) -> None:
    body = b"".join(orjson.dumps(each) + b"\n" + space for each in values)
    assert [orjson.loads(item) for item in read(body, cuts, array=False)] == values


@given(st.lists(VALUES, min_size=1, max_size=6), CUTS)
def test_the_last_line_need_not_end(values: list[Any], cuts: list[int]) -> None:
    body = b"\n".join(orjson.dumps(each) for each in values)
    assert [orjson.loads(item) for item in read(body, cuts, array=False)] == values


@given(VALUES, CUTS)
def test_indented_values_are_values(value: Any, cuts: list[int]) -> None:
    body = orjson.dumps(value, option=orjson.OPT_INDENT_2) * 2 if isinstance(value, dict) else b"{ }\n{}"
    assert len(read(body, cuts)) == 2


@given(st.lists(TOKENS, max_size=14).map(b"".join), CUTS)
@example(b"[1,]", [])
@example(b"[1 2]", [])
@example(b"[]]", [])
@example(b"[{]}]", [2])
@example(b'["\\"]', [])
def test_an_array_is_read_exactly_where_it_is_json(inside: bytes, cuts: list[int]) -> None:
    body = b"[" + inside
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:
        expected = None
    try:
        found = [orjson.loads(item) for item in read(body, cuts)]
    except (Error, orjson.JSONDecodeError):
        found = None
    assert found == expected


@given(st.binary(max_size=200), CUTS, st.booleans())
def test_any_bytes_are_values_or_a_refusal_and_however_they_are_cut(
    data: bytes, cuts: list[int], array: bool
) -> None:
    def outcome(cuts: list[int]) -> object:
        try:
            return read(data, cuts, array=array)
        except Error as error:
            return error.message

    assert outcome(cuts) == outcome([])


def test_an_array_of_lines_is_a_line() -> None:
    assert read(b"[1,2]\n[3]\n", array=False) == [b"[1,2]", b"[3]"]


def test_values_of_all_kinds_are_values() -> None:
    assert read(b'[1,-2.5e3,"a\\"]",true,null,{},[[]]]') == [
        *(b"1", b"-2.5e3", b'"a\\"]"', b"true", b"null", b"{}", b"[[]]")
    ]


def test_characters_and_escapes_may_be_cut_anywhere() -> None:
    body = '["é\\u00e9\\\\","\\"]","𝄞"]'.encode()
    assert [orjson.loads(item) for item in read(body, range(len(body)))] == orjson.loads(body)


def test_an_empty_body_has_no_values() -> None:
    assert read(b"") == read(b" \r\n ") == read(b"[ ]") == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[", "MALFORMED_BODY: [0]: the body breaks off here"),
        (b"[1", "MALFORMED_BODY: [0]: the body breaks off here"),
        (b"[1,", "MALFORMED_BODY: [1]: the body breaks off here"),
        (b'{"a":1}{"b"', "MALFORMED_BODY: [1]: the body breaks off here"),
        (b"[1,,2]", "MALFORMED_BODY: [1]: it is missing"),
        (b"[,1]", "MALFORMED_BODY: [0]: it is missing"),
        (b"[1,]", "MALFORMED_BODY: [1]: it is missing"),
        (b"{},{}", "MALFORMED_BODY: [1]: it is missing"),
        (b"[{} {}]", "MALFORMED_BODY: [1]: a comma is missing before it"),
        (b"[] []", "MALFORMED_BODY: something follows the array"),
        (b"[[", "MALFORMED_BODY: [0]: the body breaks off here"),
    ],
)
def test_what_is_wrong_between_values_is_named(body: bytes, told: str) -> None:
    assert refused(body) == told
    assert refused(body, range(len(body))) == told


def test_values_are_nested_only_so_deep() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read(b"[" + deepest + b"]") == [deepest]
    assert refused(b"[1,[" + deepest) == "MALFORMED_BODY: [1]: nested too deeply"


def fed(reader: JsonItems, begin: bytes, chunk: bytes) -> None:
    """Feeds a hundred chunks that end no value."""
    for each in (begin, *[chunk] * 100):
        assert list(reader.feed(each)) == []


@pytest.mark.parametrize("begin", [b'["', b"[[", b"[{", b"[1", b'["\\u00e9', b'{"a": "'])
def test_a_value_without_end_is_refused_within_bounded_memory(begin: bytes) -> None:
    chunk = b"1" * 10_000
    reader = JsonItems(100_000, array=True)
    tracemalloc.start()
    try:
        with pytest.raises(Error, match=r"TOO_LARGE: \[0\]: "):
            fed(reader, begin, chunk)
        assert tracemalloc.get_traced_memory()[1] < 400_000
    finally:
        tracemalloc.stop()


def test_a_value_may_have_as_many_bytes_as_allowed() -> None:
    fits = b'"' + b"a" * (LIMIT - 2) + b'"'
    assert read(b"[" + fits + b"]", [7, 20], limit=LIMIT) == [fits]
    assert refused(b'[1,"a' + fits[1:] + b"]", [7]) == "TOO_LARGE: [1]: it is larger than 1000 bytes"
