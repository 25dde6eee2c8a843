"""Paths of an app that does not serve all of its server (ASGI, `root_path`)."""

from __future__ import annotations

from urllib.parse import quote

from starlette.types import Scope

_SAFE = "/:@!$&'()*+,;="
"""What stands in a path as it is (RFC 3986, section 3.3), the colon before a custom verb above all."""


def path_of(scope: Scope) -> str:
    """The path as the app has it, decoded."""
    return _below(scope.get("root_path", ""), scope["path"])


def raw_path_of(scope: Scope) -> str:
    """The path as the app has it, as it came; bytes beyond ASCII as latin-1."""
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"], _SAFE) if raw is None else raw.partition(b"?")[0].decode("latin-1")
    root: str = scope.get("root_path", "")
    return _below(quote(root, _SAFE), path) if root else path


def _below(root: str, path: str) -> str:
    """Without the root, if the server has left it there: a proxy may have taken it away."""
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
