"""The same requests to our dispatcher and to Envoy's gRPC-JSON transcoder, before one service.

`DIFFERENTIAL_SEED=random` draws other requests, and says which; a number repeats them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from codegen.runtime.transcoding import binding, matcher, parameters
from tests.differential.cases import few, made
from tests.differential.differences import DIFFERENCES
from tests.differential.generated import generated
from tests.differential.rows import APART, ROWS
from tests.differential.running import Tally, missing, sides
from tests.differential.values import TEXTS, WRONG

REQUESTS = 12_600
LEAST = 20
"""Times that each binding and each row must be hit."""
MOST_EXPLAINED = 0.02
"""Part of the requests that differences may explain."""
NEEDED = (
    *(f"path text: {kind}" for kind in TEXTS),
    *(f"query text: {kind}" for kind in TEXTS),
    *(f"wrong path text: {kind}" for kind in WRONG),
    *(f"wrong query text: {kind}" for kind in WRONG),
    *("path: *", "path: **", "path: ** of no segment", "path: // within **", "path: literal behind **"),
    *("path: %2F in one segment", "path: %2F in several segments", "path: variable of several segments"),
    *("path: nested field", "path: custom verb", "path: custom kind", "path: any verb"),
    *(
        "query: nested field",
        "query: schema's name",
        "query: JSON's name",
        "query: repeated",
        "query: wrapper",
    ),
    *(
        "body: *",
        "body: none",
        "body: empty",
        "body: scalar",
        "body: list",
        "body: message, map",
        "body: HttpBody",
        "body: chunked",
    ),
    *("response_body", "response: HttpBody", "output: schema's names and zeros"),
    *("stream: requests", "stream: responses"),
)
"""Rows that random requests hit; those of `rows.py` count too."""


def _seed() -> int:
    given = os.environ.get("DIFFERENTIAL_SEED", "1")
    seed = int.from_bytes(os.urandom(4)) if given == "random" else int(given)
    sys.stdout.write(f"DIFFERENTIAL_SEED={seed}\n")
    return seed


def _unexplained(tally: Tally) -> str:
    shown = "\n".join(str(pair) for pair in tally.unexplained[:10])
    return f"{tally.table()}\n{shown}"


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_envoy_does_the_same_with_every_binding_and_every_row_but_for_what_is_explained() -> None:
    routes = generated().routes
    cases = made(_seed(), REQUESTS, routes, ROWS + APART)
    async with sides() as both:
        tally = await both.compare(cases)
    sys.stdout.write(f"{tally.table()}\n")
    assert not tally.unexplained, _unexplained(tally)
    assert tally.total >= 10_000
    assert len(DIFFERENCES) <= 10
    assert tally.explained.total() <= MOST_EXPLAINED * tally.total, tally.table()
    bindings = {f"{route.verb} {route.template}" for route in routes}
    assert missing(tally.bindings, bindings, LEAST) == {}
    rows = {tag for case in cases for tag in case.tags if tag.startswith("row: ")}
    assert missing(tally.tags, [*NEEDED, *rows], LEAST) == {}
    assert missing(tally.explained, [each.__name__ for each in DIFFERENCES], 1) == {}


async def test_envoy_does_the_same_with_a_few_requests() -> None:
    async with sides() as both:
        tally = await both.compare(few(_seed(), 400, generated().routes, ROWS + APART))
    assert not tally.unexplained, _unexplained(tally)
    assert tally.bindings.total() > 150


def _stars_before_literals(patch: pytest.MonkeyPatch) -> None:
    right = matcher.Matcher.find
    stars = matcher.Matcher([route for route in generated().routes if "*" in route.segments[-1]])

    def find(self: matcher.Matcher, verb: str, path: str) -> matcher.Found | None:
        found = right(stars, verb, path)
        return found if found is not None and found.route is not None else right(self, verb, path)

    patch.setattr(matcher.Matcher, "find", find)


def _slashes_decoded_everywhere(patch: pytest.MonkeyPatch) -> None:
    right = matcher.decoded
    patch.setattr(matcher, "decoded", lambda segment, **_: right(segment))


def _plus_is_plus(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parameters, "unescaped", lambda text: matcher.unescaped(text.replace(" ", "+")))


def _path_loses_to_body(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(binding.Binding, "_same", lambda *_: True)


def _the_last_of_repeated_values(patch: pytest.MonkeyPatch) -> None:
    right = parameters.Parameter.place

    def place(self: parameters.Parameter, values: dict[str, Any], text: str) -> None:
        if self.repeated and len(self.path) == 1:
            values.pop(self.path[0].json_name, None)
        right(self, values, text)

    patch.setattr(parameters.Parameter, "place", place)


def _unknown_verbs_are_text(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matcher, "_is_custom", lambda _: False)


@pytest.mark.long
@pytest.mark.parametrize(
    "defect",
    [
        _stars_before_literals,
        _slashes_decoded_everywhere,
        _plus_is_plus,
        _path_loses_to_body,
        _the_last_of_repeated_values,
        _unknown_verbs_are_text,
    ],
)
async def test_a_defect_is_found(
    defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    async with sides() as both:
        tally = await both.compare(few(1, 1200, generated().routes, ROWS + APART))
    assert tally.unexplained
