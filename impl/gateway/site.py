"""The gateway's app: generated routes, health, documents and the page."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import im.descriptors
from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi.telemetry import TelemetryConfig
from idiom.v1 import reason_errors as reasons
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from codegen.runtime.errors import Error
from codegen.runtime.pipeline import internal, request_id
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.http_error import body_of, status_of
from codegen.runtime.transcoding.mount import mount
from impl.gateway.readiness import Readiness

HERE = Path(__file__).parent
WEB = HERE / "web"
CLIENT = WEB / "client"
"""The client for browsers, which is of use without the page."""
DOCS = HERE / "docs"
GENERATED = Path(im.descriptors.__file__).parents[1]
"""The root of generated files, in a clone and in an installation."""

REVALIDATE = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
PAGE_HEADERS = {
    **REVALIDATE,
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
}
DOCS_HEADERS = {
    **REVALIDATE,
    # The viewer styles its own elements inline.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
}

PREFLIGHT_SECONDS = 7200
"""How long browsers remember who may call; Chromium remembers no longer."""

# Its spans know nothing of the routes served here, and asking whether they are wanted costs 5 µs a request.
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


class _Files(StaticFiles):
    """Files that browsers ask for again each time, by ETag."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A response with the headers that every file has."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(REVALIDATE)
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file; a path that no file can have is not found."""
        if "\0" in path or scope["path"].endswith("/"):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return await super().get_response(path, scope)


def site(dispatch: Dispatch, readiness: Readiness, origins: Sequence[str] = ()) -> FastAPI:
    """The app.

    Args:
        dispatch: serves the generated routes.
        readiness: answers `/readyz`.
        origins: whose pages may call from elsewhere; `*` means all.
    """
    app = FastAPI(
        title="Idiom", docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=_NO_TELEMETRY
    )
    mount(app, dispatch, openapi_document())
    _add_health(app, readiness)
    _add_documents(app)
    _add_page(app)
    _allow_origins(app, origins)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    return app


def openapi_document() -> Mapping[str, Any]:
    """The generated document."""
    document: Mapping[str, Any] = json.loads((GENERATED / "openapi.json").read_bytes())
    return document


def _allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Lets pages of these origins call (Fetch, section 3.2). Tokens come in a header, never in cookies."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"],
            allow_headers=["*"],
            expose_headers=["*"],
            max_age=PREFLIGHT_SECONDS,
        )


def _add_health(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/healthz", tags=["health"], summary="Whether the process is alive")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"}, headers=REVALIDATE)

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Whether requests can be answered now",
        responses={503: {"description": "They cannot; it says why."}},
    )
    async def readyz() -> JSONResponse:
        why = await readiness.reasons()
        status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
        return JSONResponse({"ready": not why, "reasons": why}, status, headers=REVALIDATE)


def _add_documents(app: FastAPI) -> None:
    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(DOCS / "index.html", headers=DOCS_HEADERS)

    app.mount("/docs/viewer", _Files(directory=_viewer()))
    app.mount("/docs", _Files(directory=DOCS))


def _add_page(app: FastAPI) -> None:
    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)

    app.mount("/web", _Files(directory=WEB))
    app.mount("/client", _Files(directory=CLIENT))
    app.mount("/gen", _Files(directory=GENERATED / "web"))


def _viewer() -> Path:
    """Swagger UI's files, as the package `fastapi-offline` carries them."""
    found = importlib.util.find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise OSError("the package fastapi-offline is not installed")
    return Path(found.origin).parent / "static"


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - that is what the handler is registered for
    allow = (error.headers or {}).get("Allow", "")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        known = Error(reasons.METHOD_NOT_ALLOWED, f"{request.method} is not allowed here")
        return _response(known, error.status_code, {"allow": allow} if allow else {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _response(Error(reasons.NO_ROUTE, "there is nothing at this path"), error.status_code)
    return _response(Error(reasons.MALFORMED_BODY, str(error.detail)), error.status_code)


async def _failed(request: Request, _error: Exception) -> Response:
    name = request_id(request.headers)
    known = internal(request.url.path, name)
    return _response(known, status_of(known), {"x-request-id": name})


def _response(error: Error, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body_of(error), status, {**REVALIDATE, **(headers or {})}, media_type="application/json")
