from __future__ import annotations

import asyncio
import logging
import time

import pytest
from idiom.v1.reason_errors import TOKEN_INVALID
from im.errors.v1.reason_errors import (
    LOGIN_NOT_FOUND,
    REFRESH_TOKEN_INVALID,
    REFRESH_TOKEN_REUSED,
    WRONG_CREDENTIALS,
)
from im.logic.v1.auth_service_pb2 import (
    ChangePasswordRequest,
    ListLoginsRequest,
    Login,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    RefreshRequest,
    RefreshResponse,
    RegisterRequest,
    RegisterResponse,
    RevokeLoginRequest,
)
from sqlalchemy import func, select

from codegen.runtime.context import Context, Identity, Wire
from impl.logic.sweep import UsedTokenSweep
from impl.storage.database import Database
from impl.storage.tables import UsedRefreshTokenRow
from tests.impl.logic.conftest import ANYBODY, TOKENS, Tier, as_user, refused, with_token


async def register(tier: Tier, name: str = "Ada", device: str = "") -> RegisterResponse:
    request = RegisterRequest(username=name, password="password", device=device)
    return await tier.auth.register(request, ANYBODY)


async def log_in(tier: Tier, name: str = "Ada", word: str = "password", device: str = "") -> LoginResponse:
    return await tier.auth.login(LoginRequest(username=name, password=word, device=device), ANYBODY)


async def refresh(tier: Tier, token: str, name: str = "") -> RefreshResponse:
    return await tier.auth.refresh(RefreshRequest(refresh_token=token, client_request_id=name), ANYBODY)


async def logins(tier: Tier, access_token: str) -> list[Login]:
    answer = await tier.auth.list_logins(ListLoginsRequest(), with_token(access_token))
    return list(answer.logins)


async def change(tier: Tier, access_token: str, old: str, new: str) -> None:
    request = ChangePasswordRequest(old_password=old, new_password=new)
    await tier.auth.change_password(request, with_token(access_token))


def login_of(access_token: str) -> int:
    return int(TOKENS.verify(access_token).login)


async def test_a_refresh_gives_tokens_of_the_same_login(tier: Tier) -> None:
    registered = await register(tier)
    refreshed = await refresh(tier, registered.refresh_token, "a")
    assert TOKENS.verify(refreshed.access_token) == TOKENS.verify(registered.access_token)
    assert 55 < refreshed.expires_at.ToMilliseconds() / 1000 - time.time() <= 61
    assert refreshed.refresh_token != registered.refresh_token
    assert await refresh(tier, refreshed.refresh_token)


async def test_a_refresh_whose_answer_was_lost_is_repeated(tier: Tier) -> None:
    registered = await register(tier)
    first = await refresh(tier, registered.refresh_token, "a")
    again = await refresh(tier, registered.refresh_token, "a")
    assert again.refresh_token == first.refresh_token
    assert TOKENS.verify(again.access_token) == TOKENS.verify(first.access_token)


async def test_a_copy_of_a_used_token_ends_the_login_for_both_who_have_it(
    tier: Tier, caplog: pytest.LogCaptureFixture
) -> None:
    registered = await register(tier)
    other = await log_in(tier)
    mine = await refresh(tier, registered.refresh_token, "mine")
    await refused(REFRESH_TOKEN_REUSED, refresh(tier, registered.refresh_token, "stolen"))
    assert f"login {login_of(registered.access_token)} of user {registered.user.id} ended" in caplog.text
    await refused(REFRESH_TOKEN_INVALID, refresh(tier, mine.refresh_token, "next"))
    await refused(REFRESH_TOKEN_INVALID, refresh(tier, registered.refresh_token, "mine"))
    assert [one.id for one in await logins(tier, other.access_token)] == [login_of(other.access_token)]


async def test_a_token_that_is_none_says_no_more_than_one_that_has_ended(tier: Tier) -> None:
    registered = await register(tier)
    await tier.auth.logout(LogoutRequest(), with_token(registered.access_token))
    messages = set()
    for token in (registered.refresh_token, "nonsense", registered.access_token, "\u0000"):
        error = await refused(REFRESH_TOKEN_INVALID, refresh(tier, token, "a"))
        messages.add(error.message)
    assert len(messages) == 1


async def test_logins_are_listed_by_their_names_the_latest_first(tier: Tier) -> None:
    registered = await register(tier, device="Firefox on Linux")
    second = await log_in(tier, device="telephone 🦜")
    third = await log_in(tier)
    await register(tier, "Bo", device="not hers")
    listed = await logins(tier, second.access_token)
    assert [(one.device, one.current) for one in listed] == [
        ("", False),
        ("telephone 🦜", True),
        ("Firefox on Linux", False),
    ]
    ids = [login_of(one.access_token) for one in (third, second, registered)]
    assert [one.id for one in listed] == ids
    assert all(one.used_at == one.created_at for one in listed)
    assert all(
        one.expires_at.ToMilliseconds() - one.created_at.ToMilliseconds() == 3600_000 for one in listed
    )


async def test_a_refresh_is_seen_in_the_list(tier: Tier) -> None:
    registered = await register(tier)
    (before,) = await logins(tier, registered.access_token)
    while time.time_ns() // 1_000_000 <= before.created_at.ToMilliseconds():  # noqa: ASYNC110 - for a clock
        await asyncio.sleep(0)
    refreshed = await refresh(tier, registered.refresh_token)
    (after,) = await logins(tier, refreshed.access_token)
    assert after.used_at.ToMilliseconds() > before.used_at.ToMilliseconds()
    assert after.expires_at.ToMilliseconds() - after.used_at.ToMilliseconds() == 3600_000
    assert (after.id, after.created_at) == (before.id, before.created_at)


async def test_logging_out_ends_this_login_alone_and_may_be_repeated(tier: Tier) -> None:
    registered, other = await register(tier), await log_in(tier)
    for _ in range(2):
        await tier.auth.logout(LogoutRequest(), with_token(registered.access_token))
    await refused(REFRESH_TOKEN_INVALID, refresh(tier, registered.refresh_token))
    assert len(await logins(tier, other.access_token)) == 1


async def test_a_login_is_ended_from_another_one(tier: Tier) -> None:
    registered, other = await register(tier), await log_in(tier)
    request = RevokeLoginRequest(login_id=login_of(registered.access_token))
    for _ in range(2):
        await tier.auth.revoke_login(request, with_token(other.access_token))
    await refused(REFRESH_TOKEN_INVALID, refresh(tier, registered.refresh_token))
    assert [one.current for one in await logins(tier, other.access_token)] == [True]


async def test_nobody_ends_the_login_of_somebody_else(tier: Tier) -> None:
    ada, bo = await register(tier, "Ada"), await register(tier, "Bo")
    for login_id in (login_of(ada.access_token), 4711):
        request = RevokeLoginRequest(login_id=login_id)
        await refused(LOGIN_NOT_FOUND, tier.auth.revoke_login(request, with_token(bo.access_token)))
    assert await refresh(tier, ada.refresh_token)


async def test_a_login_that_has_ended_manages_no_logins(tier: Tier) -> None:
    registered, other = await register(tier), await log_in(tier)
    await tier.auth.logout(LogoutRequest(), with_token(registered.access_token))
    context = with_token(registered.access_token)
    request = RevokeLoginRequest(login_id=login_of(other.access_token))
    await refused(TOKEN_INVALID, tier.auth.revoke_login(request, context))
    await refused(TOKEN_INVALID, tier.auth.list_logins(ListLoginsRequest(), context))
    await refused(TOKEN_INVALID, change(tier, registered.access_token, "password", "new password"))
    assert await refresh(tier, other.refresh_token)


@pytest.mark.parametrize("login", ["", "x", "-1", "9" * 19, "9" * 20])
async def test_a_token_without_a_login_manages_none(tier: Tier, login: str) -> None:
    user = (await register(tier)).user.id
    context = Context(Wire.GRPC, Identity(subject=str(user), login=login))
    await refused(TOKEN_INVALID, tier.auth.logout(LogoutRequest(), context))
    await refused(TOKEN_INVALID, tier.auth.list_logins(ListLoginsRequest(), context))


async def test_a_login_of_another_user_is_not_the_callers(tier: Tier) -> None:
    ada, bo = await register(tier, "Ada"), await register(tier, "Bo")
    login = TOKENS.verify(ada.access_token).login
    context = Context(Wire.GRPC, Identity(subject=str(bo.user.id), login=login))
    await refused(TOKEN_INVALID, tier.auth.list_logins(ListLoginsRequest(), context))
    await tier.auth.logout(LogoutRequest(), context)
    assert await refresh(tier, ada.refresh_token)


async def test_a_new_password_ends_all_other_logins(tier: Tier) -> None:
    registered, other = await register(tier), await log_in(tier)
    bo = await register(tier, "Bo")
    await change(tier, registered.access_token, "password", "new password")
    await refused(REFRESH_TOKEN_INVALID, refresh(tier, other.refresh_token))
    assert [one.current for one in await logins(tier, registered.access_token)] == [True]
    assert await refresh(tier, registered.refresh_token)
    assert await refresh(tier, bo.refresh_token)
    await refused(WRONG_CREDENTIALS, log_in(tier, word="password"))
    assert await log_in(tier, word="new password")


async def test_without_the_present_password_there_is_no_new_one(tier: Tier) -> None:
    registered, other = await register(tier), await log_in(tier)
    await refused(WRONG_CREDENTIALS, change(tier, registered.access_token, "guess", "new password"))
    assert await refresh(tier, other.refresh_token)
    assert await log_in(tier, word="password")


async def test_of_two_new_passwords_at_once_one_is_set(tier: Tier) -> None:
    one, other = await register(tier), await log_in(tier)
    results = await asyncio.gather(
        change(tier, one.access_token, "password", "password one"),
        change(tier, other.access_token, "password", "password other"),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    word, winner = ("password one", one) if results[0] is None else ("password other", other)
    assert await log_in(tier, word=word)
    assert await refresh(tier, winner.refresh_token)


async def test_who_logs_in_while_the_password_changes_is_not_left_behind(tier: Tier) -> None:
    registered = await register(tier)
    attempts = [asyncio.create_task(log_in(tier)) for _ in range(4)]
    await asyncio.gather(*attempts[:1], return_exceptions=True)
    await change(tier, registered.access_token, "password", "new password")
    await asyncio.gather(*attempts, return_exceptions=True)
    assert [one.current for one in await logins(tier, registered.access_token)] == [True]


async def test_no_token_and_no_password_is_logged(tier: Tier, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "impl")
    registered = await register(tier)
    refreshed = await refresh(tier, registered.refresh_token, "a-name")
    await refused(REFRESH_TOKEN_REUSED, refresh(tier, registered.refresh_token, "b-name"))
    other = await log_in(tier)
    await change(tier, other.access_token, "password", "new password")
    await tier.auth.logout(LogoutRequest(), with_token(other.access_token))
    for answer in (registered, refreshed, other):
        assert answer.access_token not in caplog.text
        assert answer.refresh_token not in caplog.text
    for secret in ("password'", "new password", "a-name", "b-name"):
        assert secret not in caplog.text


async def test_a_token_that_names_no_user_manages_no_logins(tier: Tier) -> None:
    await refused(TOKEN_INVALID, tier.auth.list_logins(ListLoginsRequest(), as_user("x")))


async def test_used_tokens_are_forgotten_when_they_would_have_expired(tier: Tier, database: Database) -> None:
    token = (await register(tier)).refresh_token
    for name in "abc":
        token = (await refresh(tier, token, name)).refresh_token
    assert await UsedTokenSweep(tier.logins, 3600_000).once() == 0
    async with UsedTokenSweep(tier.logins, -1000, seconds=0.01):
        async with asyncio.timeout(10):
            while await used(database):  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.01)
    assert await refresh(tier, token)


async def used(database: Database) -> int:
    async with database.reading() as connection:
        query = select(func.count()).select_from(UsedRefreshTokenRow)
        return int((await connection.execute(query)).scalar_one())
