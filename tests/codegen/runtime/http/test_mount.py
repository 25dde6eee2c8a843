"""Beside an app of one's own."""

from __future__ import annotations

import warnings
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
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

    pipeline = Pipeline(Authenticator(UserTokens(b"k" * 32, 60), None))
    dispatch = Dispatch(schema.routes, registry=schema.registry, pipeline=pipeline, channel=Shelf())
    mount(app, dispatch, DOCUMENT)
    return app


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
