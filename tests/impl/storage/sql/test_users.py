from __future__ import annotations

import asyncio

import pytest
from im.errors.v1.reason_errors import USERNAME_TAKEN
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from codegen.runtime.errors import Error
from impl.storage.database import Database
from impl.storage.logins import Login
from impl.storage.tables import LoginRow, UserRow
from impl.storage.users import Account, Users


def account(number: int, name: str) -> Account:
    return Account(number, name, "$argon2id$…", 1_800_000_000_000)


def login(number: int, user: int) -> Login:
    return Login(number, user, number.to_bytes(32, "big"), 1, 2)


async def count(database: Database, table: type[UserRow | LoginRow]) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def test_an_account_is_found_by_id_and_by_name_without_regard_to_case(database: Database) -> None:
    users = Users(database)
    await users.create(account(7, "Ada"), login(8, 7))
    assert await users.by_id(7) == await users.by_name("aDA") == account(7, "Ada")
    assert await users.by_id(8) is None
    assert await users.by_name("ad") is None
    assert await users.existing([7, 8]) == {7}


async def test_a_name_that_only_looks_the_same_is_another_name(database: Database) -> None:
    users = Users(database)
    await users.create(account(7, "kim"), login(8, 7))
    assert await users.by_name("\u212aim") is None  # KELVIN SIGN, lower-cased to k


async def test_a_taken_name_stores_neither_account_nor_login(database: Database) -> None:
    users = Users(database)
    await users.create(account(7, "Ada"), login(8, 7))
    with pytest.raises(Error) as caught:
        await users.create(account(9, "ADA"), login(10, 9))
    assert caught.value.reason == USERNAME_TAKEN
    assert await count(database, UserRow) == await count(database, LoginRow) == 1


async def test_of_many_who_register_one_name_at_once_one_gets_it(database: Database) -> None:
    users = Users(database)
    results = await asyncio.gather(
        *(users.create(account(n, "ada" if n % 2 else "Ada"), login(n + 100, n)) for n in range(1, 11)),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    assert all(isinstance(r, Error) and r.reason == USERNAME_TAKEN for r in results if r is not None)
    assert await count(database, UserRow) == await count(database, LoginRow) == 1


async def test_a_login_needs_its_user(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await Users(database).create(account(7, "Ada"), login(1, 2))
    assert await count(database, UserRow) == 0


async def test_many_accounts_are_found_at_once(database: Database) -> None:
    users = Users(database)
    for number, name in ((7, "Ada"), (8, "Bo")):
        await users.create(account(number, name), login(number + 100, number))
    assert await users.by_ids([8, 7, 9, 7]) == {7: account(7, "Ada"), 8: account(8, "Bo")}
    assert await users.by_ids([]) == {}
