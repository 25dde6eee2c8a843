"""A dispatcher in an app."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from codegen.runtime.transcoding.dispatch import Dispatch


def mount(app: FastAPI, dispatch: Dispatch, openapi: Mapping[str, Any]) -> None:
    """Puts the dispatcher before the routes of an app, and its operations into the app's OpenAPI document.

    Args:
        app: any app; its middleware applies to the dispatcher's routes, its dependencies do not.
        dispatch: what to serve.
        openapi: the generated document.
    """
    own = app.openapi

    def merged() -> dict[str, Any]:
        return _merged(own(), openapi)

    _put_before(app, dispatch)
    app.router.routes.insert(0, dispatch)
    app.openapi = merged  # type: ignore[method-assign] # FastAPI's documented way to extend its document


def _put_before(app: FastAPI, dispatch: Dispatch) -> None:
    """Puts the dispatcher behind the middleware of the app, and before what FastAPI puts around its routes.

    The latter is there for what routes raise, and for dependencies; a dispatcher has neither, and would spend
    a third of its time in it.
    """
    build = app.build_middleware_stack
    ours = Middleware(_Before, dispatch)
    app.user_middleware.append(ours)  # the innermost, whatever is added later

    def built() -> ASGIApp:
        alone = app.user_middleware == [ours] and app.max_body_size is None
        return _Before(build(), dispatch) if alone else build()

    app.build_middleware_stack = built  # type: ignore[method-assign] # called before the first request


class _Before:
    """Serves what has a route; the rest is the app's: other paths, and other verbs of the same path."""

    def __init__(self, app: ASGIApp, dispatch: Dispatch) -> None:
        self._app = app
        self._dispatch = dispatch

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serves a request."""
        found = self._dispatch.find(scope)
        if found is None or found.route is None:
            return self._app(scope, receive, send)
        return self._dispatch.serve(scope, receive, send, found)


def _merged(own: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    """The app's document with what was generated; where both say something, the app does."""
    merged = {**generated, **own}
    merged["info"] = {**generated.get("info", {}), **own.get("info", {})}
    for part in ("paths", "tags", "components"):
        ours, theirs = own.get(part), generated.get(part)
        if ours and theirs:
            merged[part] = [*ours, *theirs] if part == "tags" else _combined(ours, theirs)
        elif theirs:
            merged[part] = theirs
    return merged


def _combined(own: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {**generated.get(key, {}), **own.get(key, {})} for key in {**generated, **own}}
