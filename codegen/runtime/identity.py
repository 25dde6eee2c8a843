"""Who calls: user tokens, service tokens, and reading them from a call's metadata.

Tokens are JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256. The algorithm is fixed; a token's header never
chooses it.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import jwt
from idiom.v1 import reason_errors as reasons

from codegen.runtime.context import Identity
from codegen.runtime.errors import Error

ALGORITHM = "HS256"
USER_AUDIENCE = "user"
SERVICE_AUDIENCE = "service"
SERVICE_TOKEN_SECONDS = 300.0
SERVICE_TOKEN_MARGIN = 60.0
"""Seconds before expiry at which a service mints its next token."""
SERVICE_CLOCK_LEEWAY = 30.0
"""Seconds by which the clocks of two machines may differ."""
MAX_TOKEN_CHARACTERS = 8192
MAX_VERIFIED_TOKENS = 10_000
MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2."""

# `iat` informs; clocks of issuer and verifier may differ by more than its check allows.
_OPTIONS: jwt.types.Options = {"require": ["exp", "sub"], "verify_iat": False}

V = TypeVar("V")

SUBJECT = "idiom-subject"
LOGIN = "idiom-login"
SESSION = "idiom-session"
SCOPES = "idiom-scopes"
VOUCHERS = frozenset({SUBJECT, LOGIN, SESSION, SCOPES})
"""Metadata with which a service vouches for a user. An edge drops them from what clients send."""


class UserTokens:
    """Issues and verifies access tokens; claims `sub`, `lid` (login id), `scp`, `iat`, `exp`, `jti`.

    Args:
        key: secret of at least 32 bytes, shared by all processes that issue or verify.
        seconds: life of an issued token.
    """

    def __init__(self, key: bytes, seconds: float) -> None:
        self._key = _usable(key)
        self._seconds = seconds
        self._verified: _Verified[Identity] = _Verified()

    def issue(self, subject: str, login: str, scopes: Sequence[str] = ()) -> tuple[str, float]:
        """A new token, and when it expires (unix time)."""
        now = time.time()
        expires = math.ceil(now + self._seconds)
        claims = {
            "aud": USER_AUDIENCE,
            "sub": subject,
            "lid": login,
            "scp": list(scopes),
            "iat": int(now),
            "exp": expires,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM), expires

    def verify(self, token: str) -> Identity:
        """Whom the token speaks for.

        Raises:
            Error: TOKEN_INVALID or TOKEN_EXPIRED.
        """
        if (known := self._verified.get(token)) is not None:
            return known
        claims = _claims(token, self._key, USER_AUDIENCE, 0.0)
        identity = _user(claims)
        self._verified.put(token, identity, claims["exp"])
        return identity


class ServiceTokens:
    """The token with which one service calls others, minted again before it expires.

    Args:
        key: secret of at least 32 bytes, shared by all services of a deployment.
        service: name of this service.
    """

    def __init__(self, key: bytes, service: str) -> None:
        self._key = _usable(key)
        self._service = service
        self._token = ""
        self._expires = 0.0
        self._verified: _Verified[str] = _Verified()

    def current(self) -> str:
        """A token that is valid for a while yet."""
        now = time.time()
        if now > self._expires - SERVICE_TOKEN_MARGIN:
            self._expires = now + SERVICE_TOKEN_SECONDS
            claims = {"aud": SERVICE_AUDIENCE, "sub": self._service, "iat": int(now), "exp": self._expires}
            self._token = jwt.encode(claims, self._key, algorithm=ALGORITHM)
        return self._token

    def verify(self, token: str) -> str:
        """Name of the service whose token it is.

        Raises:
            Error: TOKEN_INVALID or TOKEN_EXPIRED.
        """
        if (known := self._verified.get(token)) is not None:
            return known
        claims = _claims(token, self._key, SERVICE_AUDIENCE, SERVICE_CLOCK_LEEWAY)
        service: str = claims["sub"]
        self._verified.put(token, service, claims["exp"])
        return service


class Authenticator:
    """Reads identities from metadata.

    A user's call carries `authorization: Bearer <user token>`. A service's call carries its service token
    there and may vouch for a user with `idiom-subject`, `idiom-login`, `idiom-session` and `idiom-scopes`
    (space separated); these count only beside a valid service token.

    Args:
        users: verifies tokens of users.
        services: verifies tokens of services; None where services do not call (at an edge).
    """

    def __init__(self, users: UserTokens, services: ServiceTokens | None) -> None:
        self._users = users
        self._services = services

    def identify(self, metadata: Mapping[str, str]) -> Identity | None:
        """Who calls; None without credentials.

        Raises:
            Error: TOKEN_INVALID or TOKEN_EXPIRED.
        """
        authorization = metadata.get("authorization")
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _invalid()
        if self._services is None:
            return self._users.verify(token)
        return self._vouched(token, metadata, self._services)

    def _vouched(self, token: str, metadata: Mapping[str, str], services: ServiceTokens) -> Identity:
        try:
            service = services.verify(token)
        except Error as error:
            if error.reason is reasons.TOKEN_EXPIRED:
                raise
            return self._users.verify(token)
        return Identity(
            subject=metadata.get(SUBJECT, ""),
            login=metadata.get(LOGIN, ""),
            session=metadata.get(SESSION, ""),
            scopes=frozenset(metadata.get(SCOPES, "").split()),
            service=service,
        )


class _Verified(Generic[V]):
    """Verified tokens until they expire, bounded; the oldest goes first."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[V, float]] = {}

    def get(self, token: str) -> V | None:
        entry = self._entries.get(token)
        if entry is None:
            return None
        if entry[1] > time.time():
            return entry[0]
        del self._entries[token]
        return None

    def put(self, token: str, value: V, expires: float) -> None:
        if len(self._entries) >= MAX_VERIFIED_TOKENS:
            del self._entries[next(iter(self._entries))]
        self._entries[token] = (value, expires)


def _usable(key: bytes) -> bytes:
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a signing key needs at least {MIN_KEY_BYTES} bytes")
    return key


def _claims(token: str, key: bytes, audience: str, leeway: float) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _invalid()
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[ALGORITHM], audience=audience, leeway=leeway, options=_OPTIONS
        )
    except jwt.ExpiredSignatureError:
        raise Error(reasons.TOKEN_EXPIRED, "the access token has expired") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise _invalid() from None
    if not claims["sub"]:
        raise _invalid()
    return claims


def _user(claims: Mapping[str, Any]) -> Identity:
    login, scopes = claims.get("lid", ""), claims.get("scp", [])
    if not isinstance(login, str) or not isinstance(scopes, list):
        raise _invalid()
    if not all(isinstance(scope, str) for scope in scopes):
        raise _invalid()
    return Identity(subject=claims["sub"], login=login, scopes=frozenset(scopes))


def _invalid() -> Error:
    return Error(reasons.TOKEN_INVALID, "the access token cannot be accepted")
