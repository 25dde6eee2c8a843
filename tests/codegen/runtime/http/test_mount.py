"""Beside an app of one's own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.rooms import rooms
from tests.codegen.runtime.http.schema import Schema
from tests.codegen.runtime.http.shelf import Shelf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have another HTTP client than the one installed
    from fastapi.testclient import TestClient

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "generated", "version": "1", "description": "What holds everywhere."},
    "tags": [{"name": "shelf"}],
    "paths": {"/v1/query": {"get": {"tags": ["shelf"], "responses": {"200": {"description": "ok"}}}}},
    "components": {
        "schemas": {"Everything": {"type": "object"}},
        "securitySchemes": {"bearer": {"type": "http"}},
    },
}


def _app(schema: Schema, **options: Any) -> FastAPI:
    app = FastAPI(title="mine", **options)

    @app.get("/mine")
    async def mine(question: str = "") -> dict[str, str]:
        return {"answer": question}

    mount(app, _dispatch(schema), DOCUMENT)
    return app


def _dispatch(schema: Schema) -> Dispatch:
    pipeline = Pipeline(Authenticator(UserTokens(b"k" * 32, 60), None))
    return Dispatch(schema.routes, registry=schema.registry, pipeline=pipeline, channel=Shelf())


def test_one_line_adds_all_routes_to_an_app(schema: Schema) -> None:
    with TestClient(_app(schema)) as client:
        assert client.get("/mine", params={"question": "a"}).json() == {"answer": "a"}
        assert client.get("/v1/texts/a%2Fb", params={"flag": "true"}).json() == {"text": "a/b", "flag": True}
        assert client.post("/v1/everything", json={"text": "a"}).json() == {"text": "a"}
        assert client.get("/v1/nope").status_code == 404
        assert client.head("/v1/texts/a").content == b""


def test_the_document_holds_both(schema: Schema) -> None:
    app = _app(schema)

    @app.get("/later")
    async def later() -> None: ...

    with TestClient(app) as client:
        for _ in range(2):
            document = client.get("/openapi.json").json()
            assert set(document["paths"]) == {"/mine", "/later", "/v1/query"}
            assert document["info"]["title"] == "mine"
            assert document["info"]["description"] == "What holds everywhere."
            assert {"Everything", "HTTPValidationError"} <= set(document["components"]["schemas"])
            assert set(document["components"]["securitySchemes"]) == {"bearer"}
            assert document["tags"] == [{"name": "shelf"}]
        assert client.get("/docs").status_code == 200


def test_middleware_applies_and_dependencies_do_not(schema: Schema) -> None:
    def refuse() -> None:
        raise AssertionError

    app = _app(schema, dependencies=[Depends(refuse)])

    @app.middleware("http")
    async def sign(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-signed"] = "yes"
        return response

    with TestClient(app) as client:
        assert client.get("/v1/texts/a").headers["x-signed"] == "yes"


def test_an_app_under_a_prefix_serves_its_routes_there(schema: Schema) -> None:
    outer = FastAPI()
    outer.mount("/under", _app(schema))
    with TestClient(outer) as client:
        assert client.get("/under/v1/texts/a%2Fb").json() == {"text": "a/b"}
        assert client.get("/v1/texts/a").status_code == 404
    with TestClient(_app(schema), root_path="/proxied") as client:
        assert client.get("/v1/texts/a").json() == {"text": "a"}
    outer.mount("/b\N{LATIN SMALL LETTER U WITH DIAERESIS} cher", _app(schema))
    with TestClient(outer) as client:
        assert client.get("/b%C3%BC%20cher/v1/texts/a%2Fb").json() == {"text": "a/b"}


async def test_a_server_that_keeps_no_raw_paths_reaches_custom_verbs_too() -> None:
    gallery = rooms()

    async def tidied(scope: Scope, receive: Receive, send: Send) -> None:
        await gallery.app({name: scope[name] for name in scope if name != "raw_path"}, receive, send)

    answer = await Client(tidied).post("/v1/events:watch", {"count": 1, "room": "rooms/a"})
    assert (answer.status, answer.json()) == (200, [{"id": "1", "text": "event 1"}])


def _allow_origin(app: FastAPI) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["https://a.example"],
        allow_methods=["GET", "POST"],
        expose_headers=["x-request-id"],
    )


ORIGIN = {"origin": "https://a.example"}
PREFLIGHT = {**ORIGIN, "access-control-request-method": "POST"}


def test_cross_origin_rules_of_the_app_hold_for_all_routes(schema: Schema) -> None:
    app = _app(schema)
    _allow_origin(app)
    with TestClient(app) as client:
        for target in ("/mine", "/v1/texts/a", "/v1/texts/%ff", "/v1/nope"):
            answer = client.get(target, headers=ORIGIN)
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            assert answer.headers["access-control-expose-headers"] == "x-request-id"
        vary = client.get("/v1/texts/a", headers=ORIGIN).headers["vary"].lower().split(",")
        assert {part.strip() for part in vary} == {"accept", "accept-encoding", "authorization", "origin"}


def test_a_preflight_is_the_middlewares_where_there_is_one(schema: Schema) -> None:
    app = _app(schema)
    with TestClient(app) as client:
        mere = client.options("/v1/everything", headers=PREFLIGHT)
        assert (mere.status_code, mere.headers["allow"]) == (204, "OPTIONS, POST")
        assert "access-control-allow-origin" not in mere.headers
    app = _app(schema)
    _allow_origin(app)
    with TestClient(app) as client:
        allowed = client.options("/v1/everything", headers=PREFLIGHT)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (
            200,
            ORIGIN["origin"],
        )
        other = client.options("/v1/everything", headers={**PREFLIGHT, "origin": "https://b.example"})
        assert (other.status_code, "access-control-allow-origin" in other.headers) == (400, False)
        assert client.options("/v1/everything").status_code == 204


def test_middleware_may_come_before_and_after_the_dispatcher(schema: Schema) -> None:
    seen: list[str] = []

    class Note:
        def __init__(self, app: ASGIApp, name: str) -> None:
            self.app, self.name = app, name

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                seen.append(self.name)
            await self.app(scope, receive, send)

    app = FastAPI(middleware=[Middleware(Note, name="first")])
    mount(app, _dispatch(schema), DOCUMENT)
    app.add_middleware(Note, name="later")
    with TestClient(app) as client:
        assert client.get("/v1/texts/a").json() == {"text": "a"}
        assert client.get("/v1/nope").status_code == 404
    assert seen == ["later", "first"] * 2


def test_another_verb_of_a_path_may_be_a_route_of_the_app(schema: Schema) -> None:
    app = _app(schema)

    @app.put("/v1/everything")
    async def put() -> str:
        return "mine"

    with TestClient(app) as client:
        assert client.put("/v1/everything").json() == "mine"
        assert client.post("/v1/everything", json={"text": "a"}).json() == {"text": "a"}
        refused = client.delete("/v1/everything")
        assert (refused.status_code, refused.headers["allow"]) == (405, "OPTIONS, POST")


@pytest.mark.parametrize("streamed", [False, True])
def test_the_limit_of_an_app_is_the_apps_to_tell(schema: Schema, streamed: bool) -> None:
    app = FastAPI(max_body_size=10)
    mount(app, _dispatch(schema), DOCUMENT)
    body = b'{"text": "long enough"}'
    with TestClient(app) as client:
        answer = client.post("/v1/everything", content=iter([body[:5], body[5:]]) if streamed else body)
        assert answer.status_code == 413
        assert client.post("/v1/everything", content=b"{}").status_code == 200


def test_an_app_starts_and_stops_as_ever(schema: Schema) -> None:
    steps: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        steps.append("started")
        yield
        steps.append("stopped")

    app = FastAPI(lifespan=lifespan)
    mount(app, _dispatch(schema), DOCUMENT)
    with TestClient(app) as client:
        assert client.get("/v1/texts/a").status_code == 200
        assert steps == ["started"]
    assert steps == ["started", "stopped"]
