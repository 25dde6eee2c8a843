"""An app with nothing but the dispatcher, called without a network."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.schema import Schema, schema
from tests.codegen.runtime.http.shelf import Shelf

KEY = b"k" * 32


@pytest.fixture(name="schema", scope="session")
def compiled() -> Schema:
    return schema()


@pytest.fixture
def tokens() -> UserTokens:
    return UserTokens(KEY, 3600)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def app(schema: Schema, tokens: UserTokens, shelf: Shelf) -> FastAPI:
    pipeline = Pipeline(Authenticator(tokens, None), max_request_bytes=100_000)
    made = FastAPI(redirect_slashes=False)
    mount(made, Dispatch(schema.routes, registry=schema.registry, pipeline=pipeline, channel=shelf), {})
    return made


@pytest.fixture
def client(app: FastAPI) -> Client:
    return Client(app)
