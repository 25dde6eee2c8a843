"""Patterns: of ranges of integers, from RE2's grammar to ECMAScript's, and texts that match."""

from __future__ import annotations

import re

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.plugin.openapi_numbers import within
from codegen.plugin.openapi_patterns import ecma, escaped, matches, sample
from codegen.plugin.openapi_text import markdown, summary

BOUNDS = st.none() | st.integers(-12, 12) | st.integers(-(1 << 63), 1 << 64)


@given(BOUNDS, BOUNDS, st.integers(-(1 << 65), 1 << 65))
def test_a_range_holds_exactly_what_lies_between(low: int | None, high: int | None, number: int) -> None:
    if low is not None and high is not None and low > high:
        with pytest.raises(ValueError, match="nothing lies between"):
            within(low, high)
        return
    pattern = re.compile(within(low, high))
    edges = [bound + step for bound in (low, high) if bound is not None for step in (-1, 0, 1)]
    for each in (number, *edges):
        inside = (low is None or each >= low) and (high is None or each <= high)
        assert bool(pattern.fullmatch(str(each))) is inside


@given(st.text(max_size=10), st.text(max_size=10))
def test_an_escaped_text_matches_itself_alone(text: str, other: str) -> None:
    described = jsonschema_rs.Draft202012Validator({"pattern": f"^{escaped(text)}$"})
    assert described.is_valid(text)
    assert described.is_valid(other) is (text == other)


@pytest.mark.parametrize(
    ("re2", "expected"),
    [
        (r"^[a-z]+$", r"^[a-z]+$"),
        (r"\A\pL\z", r"^\p{L}$"),
        (r"\PN", r"\P{N}"),
        (r"\x{1F600}", r"\u{1F600}"),
        (r"[\-a]", r"[\u002da]"),
        (r"\@\d", r"@\d"),
        (r"(?i)a", None),
        (r"(?P<n>a)", None),
        (r"[[:alpha:]]", None),
        (r"\Qa.b\E", None),
    ],
)
def test_patterns_of_re2_are_written_for_ecmascript_or_not_at_all(re2: str, expected: str | None) -> None:
    assert ecma(re2) == expected
    if expected is not None:
        jsonschema_rs.meta.validate({"pattern": expected})


@pytest.mark.parametrize(
    ("pattern", "shortest", "longest"),
    [
        (r"^[A-Za-z0-9_.-]{2,64}$", 0, None),
        (r"^[a-z]+$", 3, 3),
        (r"^rooms/[^/]+/paintings/[^/]+$", 0, None),
        (r"^(?:ab|c)?x{2}\d+$", 9, 12),
        (r"^[+-]?\d{3}\s\w$", 0, None),
        (r"a|b", 0, None),
        (within(-5, 900), 0, None),
    ],
)
def test_a_sample_matches(pattern: str, shortest: int, longest: int | None) -> None:
    text = sample(pattern, shortest, longest)
    assert text is not None
    assert matches(pattern, text)
    assert shortest <= len(text) <= (longest or len(text))


@pytest.mark.parametrize("pattern", [r"^(?=a)b$", r"\p{L}", r"(a", r"[b"])
def test_what_cannot_be_sampled_has_no_sample(pattern: str) -> None:
    assert sample(pattern) is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["A `<tag>` and <b>."], "A `<tag>` and &lt;b>."),
        (["See [Book][shop.v1.Book] and [shop.v1.Book][]."], "See `Book` and `shop.v1.Book`."),
        (["Shown. (-- not", "shown --)"], "Shown."),
        (["buf:lint:ignore X", "Shown."], "Shown."),
        (["<https://a.example>"], "<https://a.example>"),
    ],
)
def test_comments_become_markdown(lines: list[str], expected: str) -> None:
    assert markdown(lines) == expected


def test_an_operation_without_a_comment_is_summed_up_by_its_name() -> None:
    assert summary("", "BatchGetHTTPRoutes") == "Batch get HTTP routes"
    assert summary("First. Second.", "X") == "First"
