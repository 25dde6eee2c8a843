"""schemathesis against running servers: they answer what their documents say, and nothing else."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx
import pytest
from im.descriptors import registry

from gateway_routes import ROUTES
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import served
from tests.long.schema_runs import Run, Spellings, run
from tests.system import System

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

LAST = ("/v1/auth/logout",)
"""Paths whose calls end the login that the others need."""
NOT_CALLED = ("/v1/fail", "/v1/metadata")
"""What fails because it is asked to."""


def test_the_gateway_does_what_its_document_says(system: System) -> None:
    document = httpx.get(f"{system.url}/openapi.json").json()
    spellings = Spellings(document, ROUTES, registry())
    first = run(_without(document, LAST), system.url, _token(system, "explorer"), 40, spellings)
    last = run(_only(document, LAST), system.url, _token(system, "leaver"), 10, spellings)
    _check(first, document, but=LAST)
    _check(last, _only(document, LAST))
    assert first.requests > 1500


async def test_the_gallery_does_what_its_document_says() -> None:
    async with served() as gallery:
        async with httpx.AsyncClient(base_url=gallery.url) as client:
            document = _without((await client.get("/openapi.json")).json(), NOT_CALLED)
        spellings = Spellings(document, generated().routes, generated().descriptors.registry())
        done = await asyncio.to_thread(run, document, gallery.url, gallery.token, 10, spellings)
    _check(done, document)
    assert done.requests > 600


def _check(done: Run, document: Any, but: tuple[str, ...] = ()) -> None:
    assert not done.failures, "\n\n".join(done.failures[:10])
    labels = {
        f"{verb.upper()} {path}"
        for path, item in document["paths"].items()
        if path not in but
        for verb in item
        if verb != "parameters"
    }
    assert {label for label, _ in done.answers} == labels
    assert len(done.reached()) > 0.7 * len(labels), sorted(labels - done.reached())


def _token(system: System, name: str) -> str:
    account = {"username": name, "password": "password of an explorer"}
    token: str = httpx.post(f"{system.url}/v1/auth/register", json=account).json()["accessToken"]
    return token


def _only(document: Any, paths: tuple[str, ...]) -> Any:
    return copy.copy(document) | {"paths": {path: document["paths"][path] for path in paths}}


def _without(document: Any, paths: tuple[str, ...]) -> Any:
    return copy.copy(document) | {
        "paths": {path: item for path, item in document["paths"].items() if path not in paths}
    }
