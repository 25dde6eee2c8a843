"""A dispatcher in an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

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

    app.router.routes.insert(0, dispatch)
    app.openapi = merged  # type: ignore[method-assign] # FastAPI's documented way to extend its document


def _merged(own: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    """The app's document with what was generated; where both say something, the app does."""
    merged = {**generated, **own}
    for part in ("paths", "tags", "components"):
        ours, theirs = own.get(part), generated.get(part)
        if ours and theirs:
            merged[part] = [*ours, *theirs] if part == "tags" else _combined(ours, theirs)
        elif theirs:
            merged[part] = theirs
    return merged


def _combined(own: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {**generated.get(key, {}), **own.get(key, {})} for key in {**generated, **own}}
