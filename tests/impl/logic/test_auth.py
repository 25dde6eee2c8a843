from __future__ import annotations

import asyncio
import hashlib
import logging
import time

import pytest
from argon2 import PasswordHasher
from idiom.v1.reason_errors import OVERLOADED
from im.errors.v1.reason_errors import USERNAME_TAKEN, WRONG_CREDENTIALS
from im.logic.v1.auth_service_pb2 import LoginRequest, RegisterRequest, RegisterResponse
from sqlalchemy import select
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.logic.passwords import THREADS, WAITING, Passwords
from impl.storage.database import Database
from impl.storage.tables import LoginRow, UserRow
from tests.impl.logic.conftest import ANYBODY, CHEAP, TOKENS, Tier, refused

SLOW = PasswordHasher(time_cost=20, memory_cost=1024, parallelism=1)


async def register(tier: Tier, name: str, word: str = "password") -> RegisterResponse:
    return await tier.auth.register(RegisterRequest(username=name, password=word), ANYBODY)


async def test_who_registers_is_logged_in_and_may_log_in_again(tier: Tier) -> None:
    registered = await register(tier, "Ada")
    assert TOKENS.verify(registered.access_token).subject == str(registered.user.id)
    again = await tier.auth.login(LoginRequest(username="aDA", password="password"), ANYBODY)
    assert again.user == registered.user
    assert again.user.username == "Ada"
    identity = TOKENS.verify(again.access_token)
    assert identity.login != TOKENS.verify(registered.access_token).login
    assert 55 < again.expires_at.ToMilliseconds() / 1000 - time.time() <= 61
    assert again.refresh_token != registered.refresh_token


async def test_neither_passwords_nor_refresh_tokens_are_stored(tier: Tier, database: Database) -> None:
    registered = await register(tier, "Ada", "correct horse")
    async with database.reading() as connection:
        password_hash = (await connection.execute(select(col(UserRow.password_hash)))).scalar_one()
        refresh_hash = (await connection.execute(select(col(LoginRow.refresh_hash)))).scalar_one()
    assert password_hash.startswith("$argon2id$")
    assert refresh_hash == hashlib.sha256(registered.refresh_token.encode()).digest()


async def test_a_wrong_password_and_an_unknown_user_are_the_same_error(tier: Tier) -> None:
    await register(tier, "Ada")
    messages = set()
    for name, password in (("Ada", "wrong"), ("nobody", "password"), ("\u0000", "x"), ("ada ", "password")):
        with pytest.raises(Error) as caught:
            await tier.auth.login(LoginRequest(username=name, password=password), ANYBODY)
        assert caught.value.reason == WRONG_CREDENTIALS
        messages.add(caught.value.message)
    assert len(messages) == 1


async def test_of_many_who_register_one_name_at_once_one_gets_it(tier: Tier) -> None:
    results = await asyncio.gather(
        *(register(tier, name) for name in ("ada", "ADA", "Ada", "aDa", "adA")), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, Error)]
    assert len(errors) == 4
    assert {error.reason.name for error in errors} == {USERNAME_TAKEN.name}


async def test_nothing_secret_is_logged(tier: Tier, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "impl")
    registered = await register(tier, "Ada", "correct horse")
    await refused(USERNAME_TAKEN, register(tier, "Ada", "battery staple"))
    for secret in ("correct horse", "battery staple", registered.access_token, registered.refresh_token):
        assert secret not in caplog.text
    assert str(registered.user.id) in caplog.text


async def test_an_unknown_user_costs_as_much_work_as_a_known_one() -> None:
    async with Passwords(SLOW) as passwords:
        known = await passwords.hash("password")

        async def cost(password_hash: str | None) -> float:
            start = time.perf_counter()
            assert not await passwords.matches("wrong", password_hash)
            return time.perf_counter() - start

        unknown = min([await cost(None) for _ in range(3)])
        assert unknown > 0.5 * min([await cost(known) for _ in range(3)])


async def test_more_logins_than_may_wait_are_refused_and_the_rest_are_served() -> None:
    async with Passwords(SLOW) as passwords:
        work = [passwords.hash("x") for _ in range(THREADS + WAITING + 5)]
        results = await asyncio.gather(*work, return_exceptions=True)
    refusals = [result for result in results if isinstance(result, Error)]
    assert [error.reason for error in refusals] == [OVERLOADED] * 5
    assert sum(isinstance(result, str) for result in results) == THREADS + WAITING


async def test_a_caller_who_goes_away_frees_the_place_only_when_the_work_has_ended() -> None:
    async with Passwords(CHEAP) as passwords:
        task = asyncio.create_task(passwords.hash("x"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await passwords.matches("x", await passwords.hash("x"))
        assert passwords._free._value == THREADS


async def test_nothing_is_hashed_for_callers_who_have_gone_while_they_waited() -> None:
    hashed: list[str] = []

    class Counting(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            hashed.append(str(password))
            return super().hash(password, salt=salt)

    async with Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1)) as passwords:
        tasks = [asyncio.create_task(passwords.hash(str(number))) for number in range(THREADS + WAITING)]
        await asyncio.sleep(0)
        for task in tasks[THREADS:]:
            task.cancel()
        await asyncio.wait(tasks)
        assert await passwords.hash("later")
    assert sorted(hashed) == ["0", "1", "later", "nobody"]


async def test_a_stored_hash_that_cannot_be_read_matches_nothing() -> None:
    async with Passwords(CHEAP) as passwords:
        assert not await passwords.matches("x", "not a hash")
