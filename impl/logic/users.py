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
    UpdateMeRequest,
    UpdateMeResponse,
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
        return GetMeResponse(user=profile(_found(await self._users.by_id(caller_id(context)))))

    async def update_me(self, request: UpdateMeRequest, context: Context) -> UpdateMeResponse:
        """Writes what the request has, be it empty, and reads the rest."""
        user_id = caller_id(context)
        present = [name for name in ("display_name", "about") if request.HasField(name)]
        await self._users.change(user_id, {name: getattr(request, name) for name in present})
        return UpdateMeResponse(user=profile(_found(await self._users.by_id(user_id))))

    async def get_user(self, request: GetUserRequest, _context: Context) -> GetUserResponse:
        """The user of an id."""
        return GetUserResponse(user=profile(_found(await self._users.by_id(request.user_id))))

    async def lookup_user(self, request: LookupUserRequest, _context: Context) -> LookupUserResponse:
        """The user of a name."""
        return LookupUserResponse(user=profile(_found(await self._users.by_name(request.username))))


def profile(account: Account) -> User:
    """What everybody may know of an account."""
    return User(
        id=account.id, username=account.username, display_name=account.display_name, about=account.about
    )


def _found(account: Account | None) -> Account:
    if account is None:
        raise Error(USER_NOT_FOUND, "there is no such user")
    return account
