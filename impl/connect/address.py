"""The address of the socket that clients are given."""

from __future__ import annotations

import socket

_ANY = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - recognised, not bound
_ELSEWHERE = ("192.0.2.1", 9)
"""An address of RFC 5737; nothing is sent to it."""


def socket_url(host: str, port: int, path: str) -> str:
    """The URL of a socket that listens on `host`.

    Where that means every address of the machine, the one by which it reaches others is given.
    """
    name = _own_address() if host in _ANY else host
    return f"ws://[{name}]:{port}{path}" if ":" in name else f"ws://{name}:{port}{path}"


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def require_free(host: str, port: int) -> None:
    """Finds a busy port before anything is waited for.

    Raises:
        OSError: one sentence, if nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
