"""Accounts and logins."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp
from idiom.v1.reason_errors import TOKEN_INVALID
from im.errors.v1.reason_errors import (
    LOGIN_NOT_FOUND,
    REFRESH_TOKEN_INVALID,
    REFRESH_TOKEN_REUSED,
    WRONG_CREDENTIALS,
)
from im.logic.v1.auth_service_pb2 import (
    ChangePasswordRequest,
    ChangePasswordResponse,
    ListLoginsRequest,
    ListLoginsResponse,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    LogoutResponse,
    RefreshRequest,
    RefreshResponse,
    RegisterRequest,
    RegisterResponse,
    RevokeLoginRequest,
    RevokeLoginResponse,
)
from im.logic.v1.auth_service_pb2 import Login as ListedLogin

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from codegen.runtime.identity import UserTokens
from impl.logic.accounts import caller_id, caller_login
from impl.logic.ids import created_ms_of
from impl.logic.passwords import Passwords
from impl.logic.refresh_tokens import RefreshTokens, digest
from impl.logic.users import profile
from impl.logic.workers import Ids
from impl.storage.logins import Login, Logins, Verdict
from impl.storage.users import Account, Users

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What makes the tokens of both kinds."""

    access: UserTokens
    refresh: RefreshTokens


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login hands out."""

    login: Login
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: Timestamp


class Auth:
    """Implements im.logic.v1.AuthService.

    Access tokens are not looked up: those of a login that has ended serve until they expire, for everything
    but the calls that are about logins and passwords.
    """

    def __init__(self, users: Users, logins: Logins, passwords: Passwords, tokens: Tokens, ids: Ids) -> None:
        self._users = users
        self._logins = logins
        self._passwords = passwords
        self._tokens = tokens
        self._ids = ids

    async def register(self, request: RegisterRequest, context: Context) -> RegisterResponse:
        """Stores the account with its first login."""
        password_hash = await self._passwords.hash(request.password)
        user_id = self._ids.next()
        account = Account(user_id, request.username, password_hash, created_ms_of(user_id))
        grant = self._grant(user_id, request.device)
        await self._users.create(account, grant.login)
        _logger.info("user %d registered, login %d, request %s", user_id, grant.login.id, context.request_id)
        return RegisterResponse(
            user=profile(account),
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            expires_at=grant.expires_at,
        )

    async def login(self, request: LoginRequest, context: Context) -> LoginResponse:
        """Compares the password, which takes as long for a user who does not exist."""
        account = await self._known_by(await self._users.by_name(request.username), request.password)
        grant = self._grant(account.id, request.device)
        if not await self._logins.create(grant.login, account.password_hash):
            raise _wrong_credentials()
        _logger.info(
            "user %d logged in, login %d, request %s", account.id, grant.login.id, context.request_id
        )
        return LoginResponse(
            user=profile(account),
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            expires_at=grant.expires_at,
        )

    async def refresh(self, request: RefreshRequest, context: Context) -> RefreshResponse:
        """Exchanges the token; a copy of a used one ends the login."""
        refresh_token, exchange = self._tokens.refresh.exchange(
            request.refresh_token, request.client_request_id, _now_ms()
        )
        found = await self._logins.exchange(exchange)
        if found is None or found[0] is Verdict.ENDED:
            raise Error(REFRESH_TOKEN_INVALID, "the refresh token cannot be accepted: log in again")
        verdict, login = found
        if verdict is Verdict.REUSED:
            _logger.warning(
                "login %d of user %d ended: a used refresh token was shown, request %s",
                login.id,
                login.user_id,
                context.request_id,
            )
            raise Error(REFRESH_TOKEN_REUSED, "the refresh token was used before: log in again")
        access_token, expires_at = self._access(login.user_id, login.id)
        return RefreshResponse(access_token=access_token, refresh_token=refresh_token, expires_at=expires_at)

    async def logout(self, _request: LogoutRequest, context: Context) -> LogoutResponse:
        """Ends the login of the access token, whatever its state."""
        user_id, login_id = caller_id(context), caller_login(context)
        await self._logins.end(user_id, login_id, _now_ms())
        _logger.info("user %d logged out, login %d, request %s", user_id, login_id, context.request_id)
        return LogoutResponse()

    async def list_logins(self, _request: ListLoginsRequest, context: Context) -> ListLoginsResponse:
        """The latest thousand; who asks is among them unless they are older than all of these."""
        user_id, current = await self._living(context)
        logins = await self._logins.alive(user_id, _now_ms())
        return ListLoginsResponse(logins=[_listed(login, current) for login in logins])

    async def revoke_login(self, request: RevokeLoginRequest, context: Context) -> RevokeLoginResponse:
        """Ends a login, the caller's present one too if they say so."""
        user_id, current = await self._living(context)
        if not await self._logins.end(user_id, request.login_id, _now_ms()):
            raise Error(LOGIN_NOT_FOUND, "you have no such login")
        _logger.info(
            "user %d ended login %d from login %d, request %s",
            user_id,
            request.login_id,
            current,
            context.request_id,
        )
        return RevokeLoginResponse()

    async def change_password(
        self, request: ChangePasswordRequest, context: Context
    ) -> ChangePasswordResponse:
        """Compares the present password; of two changes at once the second one finds it wrong."""
        user_id, current = await self._living(context)
        account = await self._known_by(await self._users.by_id(user_id), request.old_password)
        new = await self._passwords.hash(request.new_password)
        if not await self._logins.change_password(user_id, current, account.password_hash, new, _now_ms()):
            raise _wrong_credentials()
        _logger.info(
            "user %d changed the password from login %d, request %s", user_id, current, context.request_id
        )
        return ChangePasswordResponse()

    async def _known_by(self, account: Account | None, password: str) -> Account:
        """The account, if this is its password."""
        known = account.password_hash if account else None
        if not await self._passwords.matches(password, known) or account is None:
            raise _wrong_credentials()
        return account

    async def _living(self, context: Context) -> tuple[int, int]:
        """The calling user and their login, which must not have ended."""
        user_id, login_id = caller_id(context), caller_login(context)
        if not await self._logins.is_alive(user_id, login_id, _now_ms()):
            raise Error(TOKEN_INVALID, "the login of the access token has ended")
        return user_id, login_id

    def _grant(self, user_id: int, device: str) -> Grant:
        login_id = self._ids.next()
        refresh_token = self._tokens.refresh.first()
        created_ms = created_ms_of(login_id)
        expires_ms = created_ms + self._tokens.refresh.milliseconds
        login = Login(login_id, user_id, digest(refresh_token), created_ms, expires_ms, device)
        access_token, expires_at = self._access(user_id, login_id)
        return Grant(login, access_token, refresh_token, expires_at)

    def _access(self, user_id: int, login_id: int) -> tuple[str, Timestamp]:
        access_token, expires = self._tokens.access.issue(str(user_id), str(login_id))
        return access_token, _timestamp(int(expires * 1000))


def _listed(login: Login, current: int) -> ListedLogin:
    return ListedLogin(
        id=login.id,
        device=login.device,
        created_at=_timestamp(login.created_ms),
        used_at=_timestamp(login.used_ms or login.created_ms),
        expires_at=_timestamp(login.expires_ms),
        current=login.id == current,
    )


def _timestamp(milliseconds: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMilliseconds(milliseconds)
    return timestamp


def _wrong_credentials() -> Error:
    return Error(WRONG_CREDENTIALS, "user name and password do not match")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
