"""Accounts, logins and profiles."""

from __future__ import annotations

from collections.abc import Mapping

from im.logic.v1.auth_service_pb2 import (
    ChangePasswordRequest,
    ListLoginsRequest,
    LoginRequest,
    LogoutRequest,
    RefreshRequest,
    RegisterRequest,
    RevokeLoginRequest,
)
from im.logic.v1.user_service_pb2 import GetMeRequest, GetUserRequest, LookupUserRequest, UpdateMeRequest

from tests.contract.world import NOBODY, PASSWORD, Example, Request, World, done, fresh, registered

_SERVICE = "im.logic.v1.AuthService"
_USERS = "im.logic.v1.UserService"


def _token_of(world: World, user: int, login: str) -> str:
    token, _ = world.users.issue(str(user), login)
    return token


async def _register(_: World) -> Request:
    return Request(RegisterRequest(username=fresh("user"), password=PASSWORD, device="Firefox on Linux"))


async def _register_a_name_that_is_taken(world: World) -> Request:
    request = RegisterRequest(username=world.alice.user.username.upper(), password=PASSWORD)
    return Request(request, None, "USERNAME_TAKEN")


async def _login(world: World) -> Request:
    return Request(LoginRequest(username=world.alice.user.username, password=PASSWORD))


async def _login_with_a_wrong_password(world: World) -> Request:
    request = LoginRequest(username=world.alice.user.username, password="wrong")
    return Request(request, None, "WRONG_CREDENTIALS")


async def _login_of_nobody(_: World) -> Request:
    return Request(LoginRequest(username="nobody-at-all", password=PASSWORD), None, "WRONG_CREDENTIALS")


async def _refresh(world: World) -> Request:
    token = (await registered(world)).refresh_token
    return Request(RefreshRequest(refresh_token=token, client_request_id="a"))


async def _refresh_repeated(world: World) -> Request:
    request = await _refresh(world)
    await done(world, "AuthService.Refresh", request.message)
    return request


async def _refresh_with_nonsense(_: World) -> Request:
    return Request(RefreshRequest(refresh_token="nonsense"), None, "REFRESH_TOKEN_INVALID")


async def _refresh_with_a_used_token(world: World) -> Request:
    first = await _refresh_repeated(world)
    request = RefreshRequest(refresh_token=first.message.refresh_token, client_request_id="b")
    return Request(request, None, "REFRESH_TOKEN_REUSED")


async def _logout(world: World) -> Request:
    return Request(LogoutRequest(), (await registered(world)).access_token)


async def _logout_without_a_login(world: World) -> Request:
    return Request(LogoutRequest(), _token_of(world, world.alice.user.id, "none"), "TOKEN_INVALID")


async def _logins(world: World) -> Request:
    return Request(ListLoginsRequest(), world.alice.access_token)


async def _logins_after_logging_out(world: World) -> Request:
    token = (await registered(world)).access_token
    await done(world, "AuthService.Logout", LogoutRequest(), token)
    return Request(ListLoginsRequest(), token, "TOKEN_INVALID")


async def _revoke(world: World) -> Request:
    token = (await registered(world)).access_token
    return Request(RevokeLoginRequest(login_id=int(world.users.verify(token).login)), token)


async def _revoke_of_somebody_else(world: World) -> Request:
    login = int(world.users.verify(world.bob.access_token).login)
    return Request(RevokeLoginRequest(login_id=login), world.alice.access_token, "LOGIN_NOT_FOUND")


async def _password(world: World) -> Request:
    request = ChangePasswordRequest(old_password=PASSWORD, new_password="battery staple")
    return Request(request, (await registered(world)).access_token)


async def _password_by_a_wrong_one(world: World) -> Request:
    request = ChangePasswordRequest(old_password="wrong", new_password="battery staple")
    return Request(request, world.alice.access_token, "WRONG_CREDENTIALS")


async def _me(world: World) -> Request:
    return Request(GetMeRequest(), world.alice.access_token)


async def _me_gone(world: World) -> Request:
    return Request(GetMeRequest(), _token_of(world, NOBODY, "1"), "USER_NOT_FOUND")


async def _update(world: World) -> Request:
    return Request(UpdateMeRequest(display_name="Alice 🦜", about=""), world.alice.access_token)


async def _update_nothing(world: World) -> Request:
    return Request(UpdateMeRequest(), world.alice.access_token)


async def _update_nobody(world: World) -> Request:
    return Request(UpdateMeRequest(about="x"), _token_of(world, NOBODY, "1"), "USER_NOT_FOUND")


async def _user(world: World) -> Request:
    return Request(GetUserRequest(user_id=world.bob.user.id), world.alice.access_token)


async def _user_gone(world: World) -> Request:
    return Request(GetUserRequest(user_id=NOBODY), world.alice.access_token, "USER_NOT_FOUND")


async def _lookup(world: World) -> Request:
    return Request(LookupUserRequest(username=world.bob.user.username), world.alice.access_token)


async def _lookup_nobody(world: World) -> Request:
    return Request(LookupUserRequest(username="nobody-at-all"), world.alice.access_token, "USER_NOT_FOUND")


ACCOUNTS: Mapping[str, Example] = {
    f"{_SERVICE}.Register": Example((_register,), (_register_a_name_that_is_taken,)),
    f"{_SERVICE}.Login": Example((_login,), (_login_with_a_wrong_password, _login_of_nobody)),
    f"{_SERVICE}.Refresh": Example(
        (_refresh, _refresh_repeated), (_refresh_with_nonsense, _refresh_with_a_used_token)
    ),
    f"{_SERVICE}.Logout": Example((_logout,), (_logout_without_a_login,)),
    f"{_SERVICE}.ListLogins": Example((_logins,), (_logins_after_logging_out,)),
    f"{_SERVICE}.RevokeLogin": Example((_revoke,), (_revoke_of_somebody_else,)),
    f"{_SERVICE}.ChangePassword": Example((_password,), (_password_by_a_wrong_one,)),
    f"{_USERS}.GetMe": Example((_me,), (_me_gone,)),
    f"{_USERS}.UpdateMe": Example((_update, _update_nothing), (_update_nobody,)),
    f"{_USERS}.GetUser": Example((_user,), (_user_gone,)),
    f"{_USERS}.LookupUser": Example((_lookup,), (_lookup_nobody,)),
}
