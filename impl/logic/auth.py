"""Accounts and logins."""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from im.errors.v1.reason_errors import WRONG_CREDENTIALS
from im.logic.v1.auth_service_pb2 import LoginRequest, LoginResponse, RegisterRequest, RegisterResponse
from im.logic.v1.user_pb2 import User

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from codegen.runtime.identity import UserTokens
from impl.logic.ids import created_ms_of
from impl.logic.passwords import Passwords
from impl.logic.workers import Ids
from impl.storage.users import Account, Login, Users

_REFRESH_BYTES = 32

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login hands out."""

    login: Login
    access_token: str
    refresh_token: str
    expires_at: Timestamp


class Auth:
    """Implements im.logic.v1.AuthService."""

    def __init__(
        self, users: Users, passwords: Passwords, tokens: UserTokens, ids: Ids, refresh_seconds: float
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._ids = ids
        self._refresh_ms = int(refresh_seconds * 1000)

    async def register(self, request: RegisterRequest, context: Context) -> RegisterResponse:
        """Stores the account with its first login."""
        password_hash = await self._passwords.hash(request.password)
        user_id = self._ids.next()
        account = Account(user_id, request.username, password_hash, created_ms_of(user_id))
        grant = self._grant(user_id)
        await self._users.create(account, grant.login)
        _logger.info("user %d registered, login %d, request %s", user_id, grant.login.id, context.request_id)
        return RegisterResponse(
            user=User(id=user_id, username=account.username),
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            expires_at=grant.expires_at,
        )

    async def login(self, request: LoginRequest, context: Context) -> LoginResponse:
        """Compares the password, which takes as long for a user who does not exist."""
        account = await self._users.by_name(request.username)
        known = account.password_hash if account else None
        if not await self._passwords.matches(request.password, known) or account is None:
            raise Error(WRONG_CREDENTIALS, "user name and password do not match")
        grant = self._grant(account.id)
        await self._users.create_login(grant.login)
        _logger.info(
            "user %d logged in, login %d, request %s", account.id, grant.login.id, context.request_id
        )
        return LoginResponse(
            user=User(id=account.id, username=account.username),
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            expires_at=grant.expires_at,
        )

    def _grant(self, user_id: int) -> Grant:
        login_id = self._ids.next()
        refresh_token = secrets.token_urlsafe(_REFRESH_BYTES)
        access_token, expires = self._tokens.issue(str(user_id), str(login_id))
        created_ms = created_ms_of(login_id)
        refresh_hash = hashlib.sha256(refresh_token.encode()).digest()
        login = Login(login_id, user_id, refresh_hash, created_ms, created_ms + self._refresh_ms)
        expires_at = Timestamp()
        expires_at.FromMilliseconds(int(expires * 1000))
        return Grant(login, access_token, refresh_token, expires_at)
