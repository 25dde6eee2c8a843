"""Users."""

from __future__ import annotations

from im.errors.v1.reason_errors import USER_NOT_FOUND
from im.logic.v1.user_pb2 import User
from im.logic.v1.user_service_pb2 import (
    GetMeRequest,
    GetMeResponse,
    GetUserRequest,
    GetUserResponse,
    LookupUserRequest,
    LookupUserResponse,
)

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from impl.logic.accounts import caller_id
from impl.storage.users import Account, Users


class UserDirectory:
    """Implements im.logic.v1.UserService."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def get_me(self, _request: GetMeRequest, context: Context) -> GetMeResponse:
        """The caller."""
        return GetMeResponse(user=_found(await self._users.by_id(caller_id(context))))

    async def get_user(self, request: GetUserRequest, _context: Context) -> GetUserResponse:
        """The user of an id."""
        return GetUserResponse(user=_found(await self._users.by_id(request.user_id)))

    async def lookup_user(self, request: LookupUserRequest, _context: Context) -> LookupUserResponse:
        """The user of a name."""
        return LookupUserResponse(user=_found(await self._users.by_name(request.username)))


def _found(account: Account | None) -> User:
    if account is None:
        raise Error(USER_NOT_FOUND, "there is no such user")
    return User(id=account.id, username=account.username)
