"""The schema of the HTTP tests, and an app that serves it."""

from __future__ import annotations

from tests.codegen.runtime.http.conftest import app, compiled, shelf, tokens

__all__ = ["app", "compiled", "shelf", "tokens"]
