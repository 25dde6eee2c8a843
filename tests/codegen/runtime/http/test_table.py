"""Facts from specifications and peers, row by row; the rows are in `table/`."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI

from codegen.plugin.template import parse
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.matcher import Matcher, captured
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.route import Route, Variable
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.conftest import KEY
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.schema import Schema
from tests.codegen.runtime.http.shelf import Shelf
from tests.codegen.runtime.http.table.bodies import BODIES
from tests.codegen.runtime.http.table.masks import MASKS
from tests.codegen.runtime.http.table.paths import PATHS
from tests.codegen.runtime.http.table.queries import QUERIES
from tests.codegen.runtime.http.table.raw import RAWS, Raw
from tests.codegen.runtime.http.table.responses import RESPONSES
from tests.codegen.runtime.http.table.row import Call, Match, Refused
from tests.codegen.runtime.http.table.switches import SWITCHES

SNAKE = re.compile(r"[A-Z]")


def _route(method: Method, text: str) -> Route:
    verb, _, template = text.rpartition(" ")
    parsed = parse(template)
    variables = tuple(Variable(each.field_path, each.start, each.end) for each in parsed.variables)
    return Route(method, verb or "GET", template, parsed.segments, parsed.verb, variables)


@pytest.mark.parametrize("row", PATHS, ids=lambda row: row.path)
def test_a_path_has_its_template(row: Match, schema: Schema) -> None:
    matcher = Matcher([_route(schema.methods["Path"], text) for text in row.templates])
    verb, _, path = row.path.rpartition(" ")
    found = matcher.find(verb or "GET", path)
    route = found.route if found is not None else None
    assert (route.template if route is not None else None) == row.template
    if found is not None and route is not None:
        given = {".".join(each.field): captured(found.segments, each) for each in route.variables}
        assert given == row.captured


def _name(row: Call) -> str:
    return f"{row.request} {(row.body or b'').decode(errors='replace')}"


async def _answer(client: Client, row: Call) -> Any:
    """JSON of the answer, or what it refuses."""
    verb, target = row.request.split(" ")
    response = await client.send(verb, target, row.body, row.headers)
    if response.status == 200:
        return response.json()
    assert response.status == 400, response.content
    assert len(response.fields) <= 1
    return Refused(response.reason, next(iter(response.fields), None))


@pytest.mark.parametrize("row", [*QUERIES, *BODIES, *RESPONSES], ids=_name)
async def test_a_call_has_its_answer(row: Call, client: Client) -> None:
    assert await _answer(client, row) == row.answer


@pytest.mark.parametrize("row", MASKS, ids=_name)
async def test_a_change_has_its_mask(row: Call, client: Client) -> None:
    answer = await _answer(client, row)
    if isinstance(answer, dict):
        mask = answer.get("updateMask", "")
        answer = [SNAKE.sub(lambda match: f"_{match[0].lower()}", path) for path in mask.split(",") if path]
    assert answer == row.answer


@pytest.mark.parametrize("row", RAWS, ids=lambda row: f"{row.target} {row.content_type} {row.content!r}")
async def test_content_goes_as_it_is(row: Raw, client: Client) -> None:
    headers = {"content-type": row.content_type} if row.content_type else {}
    response = await client.send("POST", row.target, row.content, headers)
    assert response.status == 200, response.content
    assert response.headers["content-type"] == row.answer_type
    assert (response.content if isinstance(row.answer, bytes) else response.json()) == row.answer


@pytest.mark.parametrize(
    ("settings", "row"), SWITCHES, ids=lambda part: _name(part) if isinstance(part, Call) else ""
)
async def test_a_switch_changes_the_answer(
    settings: HttpSettings, row: Call, schema: Schema, shelf: Shelf
) -> None:
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 3600), None))
    app = FastAPI(redirect_slashes=False)
    dispatch = Dispatch(
        schema.routes, registry=schema.registry, pipeline=pipeline, channel=shelf, settings=settings
    )
    mount(app, dispatch, {})
    assert await _answer(Client(app), row) == row.answer


def test_the_tables_are_large_and_few_rows_differ() -> None:
    rows: list[Any] = [*PATHS, *QUERIES, *BODIES, *RESPONSES, *MASKS, *RAWS, *(row for _, row in SWITCHES)]
    assert len(rows) >= 300
    assert all(row.source for row in rows)
    assert len([row for row in rows if getattr(row, "differs", "")]) < len(rows) / 20
