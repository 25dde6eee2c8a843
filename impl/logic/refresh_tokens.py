"""Refresh tokens: what they are, and which one follows; without I/O."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode

from impl.storage.logins import Exchange

_BYTES = 32
_LABEL = b"idiom refresh token"
"""Makes the key another than the one that signs access tokens."""


class RefreshTokens:
    """Makes refresh tokens; each can be exchanged once.

    Args:
        key: secret of the deployment.
        seconds: life of a token; each exchange begins another.
    """

    def __init__(self, key: bytes, seconds: float) -> None:
        self._key = hmac.digest(key, _LABEL, "sha256")
        self._milliseconds = int(seconds * 1000)

    @property
    def milliseconds(self) -> int:
        """Life of a token."""
        return self._milliseconds

    def first(self) -> str:
        """The token of a new login."""
        return secrets.token_urlsafe(_BYTES)

    def exchange(self, token: str, client_request_id: str, now_ms: int) -> tuple[str, Exchange]:
        """A token's successor, and the exchange by which it becomes valid.

        The same token and id have the same successor, so that it can be given again without being stored.
        Without an id every exchange is another one.
        """
        if client_request_id:
            successor, request = self._successor(token, client_request_id), digest(client_request_id)
        else:
            successor, request = self.first(), secrets.token_bytes(_BYTES)
        until = now_ms + self._milliseconds
        return successor, Exchange(digest(token), request, digest(successor), now_ms, until)

    def _successor(self, token: str, client_request_id: str) -> str:
        shown = token.encode()
        # With the length in front no other token and id make the same text.
        text = len(shown).to_bytes(4, "big") + shown + client_request_id.encode()
        return urlsafe_b64encode(hmac.digest(self._key, text, "sha256")).rstrip(b"=").decode()


def digest(secret: str) -> bytes:
    """What is stored of a token: it has too many values to be guessed, so one SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).digest()
