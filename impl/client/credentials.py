"""The tokens of one login, renewed before they expire."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2
from idiom.v1 import reason_errors as runtime_reasons
from im.logic.v1.auth_service_http import AuthServiceHttp
from im.logic.v1.auth_service_pb2 import (
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    RefreshRequest,
    RefreshResponse,
    RegisterRequest,
    RegisterResponse,
)
from im.logic.v1.user_pb2 import User

from codegen.runtime.client.channel import NO_OPTIONS, HttpChannel, HttpOptions, R
from codegen.runtime.errors import Error
from codegen.runtime.method import Auth
from codegen.runtime.transcoding.route import Route
from impl.client.store import Store

KEY: Final = "login"
_SHARE: Final = 0.8
"""Part of an access token's life after which it is renewed."""
_FRESH_SECONDS: Final = 2.0
"""A token as young as this is not renewed because an older one was refused."""
_REFUSED: Final = (runtime_reasons.TOKEN_EXPIRED, runtime_reasons.TOKEN_INVALID)


@dataclass(frozen=True, slots=True)
class Login:
    """A credential session, as the store keeps it."""

    user_id: int
    username: str
    access_token: str
    refresh_token: str
    renew_at: float
    """When to renew the access token, unix time of this machine."""
    expires_at: float
    """When it expires, likewise."""
    exchange: str = ""
    """Id of an exchange of the refresh token that has begun: it is repeated under the same id."""


class Credentials:
    """Who is logged in, and the token that says so.

    Args:
        channel: to the gateway.
        store: keeps the login.
        device: what logins are called.
    """

    def __init__(self, channel: HttpChannel, store: Store, device: str) -> None:
        self._auth = AuthServiceHttp(channel)
        self._store = store
        self._device = device
        self._renewing = asyncio.Lock()
        self._renewed_at = -math.inf
        self._over: Error | None = None
        kept = store.load().get(KEY)
        self.login: Login | None = Login(**kept) if kept else None

    @property
    def user_id(self) -> int:
        """Who is logged in; 0 if nobody is."""
        return self.login.user_id if self.login else 0

    async def register(self, username: str, password: str) -> User:
        """Create a user and log them in."""
        request = RegisterRequest(username=username, password=password, device=self._device)
        return self._enter(await self._auth.register(request))

    async def log_in(self, username: str, password: str) -> User:
        """Log a user in."""
        request = LoginRequest(username=username, password=password, device=self._device)
        return self._enter(await self._auth.login(request))

    async def log_out(self, channel: HttpChannel) -> None:
        """End the login, for this client at least: the service is told through the channel if it can be."""
        if self.login is None:
            return
        try:
            await AuthServiceHttp(channel).logout(LogoutRequest())
        finally:
            self._set(None)

    async def token(self) -> str:
        """The access token, renewed if it is about to expire.

        Raises:
            Error: TOKEN_MISSING if nobody is logged in; REFRESH_TOKEN_INVALID or REFRESH_TOKEN_REUSED if the
                login has ended; or why it could not be renewed now.
        """
        async with self._renewing:
            if self.login is None:
                raise self._over or Error(runtime_reasons.TOKEN_MISSING, "nobody is logged in")
            if time.time() >= self.login.renew_at:
                self.login = await self._renewed(self.login)
            return self.login.access_token

    def refused(self) -> None:
        """The service does not accept the access token: it is renewed before it is used again."""
        if self.login is not None and time.monotonic() - self._renewed_at > _FRESH_SECONDS:
            self.login = replace(self.login, renew_at=0.0, expires_at=0.0)

    async def _renewed(self, login: Login) -> Login:
        """The login with new tokens, or as it is, if they cannot be had now and the old one still holds."""
        login = replace(login, exchange=login.exchange or str(uuid.uuid4()))
        self._set(login)
        request = RefreshRequest(refresh_token=login.refresh_token, client_request_id=login.exchange)
        try:
            answer = await self._auth.refresh(request)
        except Error as error:
            if error.reason.code == code_pb2.UNAUTHENTICATED:
                self._set(None, error)
            elif time.time() < login.expires_at:
                return login
            raise
        return self._entered(login.user_id, login.username, answer)

    def _enter(self, answer: RegisterResponse | LoginResponse) -> User:
        self._entered(answer.user.id, answer.user.username, answer)
        return answer.user

    def _entered(
        self, user_id: int, username: str, answer: RegisterResponse | LoginResponse | RefreshResponse
    ) -> Login:
        self._renewed_at = time.monotonic()
        renew_at, expires_at = _times(answer.expires_at)
        login = Login(user_id, username, answer.access_token, answer.refresh_token, renew_at, expires_at)
        self._set(login)
        return login

    def _set(self, login: Login | None, over: Error | None = None) -> None:
        self.login, self._over = login, over
        if login is None:
            self._store.remove(KEY)
        else:
            self._store.put(KEY, asdict(login))


class Authorized:
    """A channel that renews a refused access token and calls once more."""

    def __init__(self, channel: HttpChannel, credentials: Credentials) -> None:
        self._channel = channel
        self._credentials = credentials

    async def unary(
        self, route: Route, request: Message, response: type[R], options: HttpOptions = NO_OPTIONS
    ) -> R:
        """One request, one response."""
        try:
            return await self._channel.unary(route, request, response, options)
        except Error as error:
            if error.reason not in _REFUSED or route.method.policy.auth is Auth.NONE:
                raise
        self._credentials.refused()
        return await self._channel.unary(route, request, response, options)


def _times(expires_at: Timestamp) -> tuple[float, float]:
    """When to renew a token that has just come and when it expires, by the clock of this machine.

    Never, if this clock says that it has expired already: the service will say so when it really has.
    """
    now = time.time()
    life = expires_at.ToMilliseconds() / 1000 - now
    return (now + _SHARE * life, now + life) if life > 0 else (math.inf, math.inf)
