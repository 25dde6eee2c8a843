from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from impl.logic.refresh_tokens import digest
from impl.storage.database import Database
from impl.storage.logins import Login, Logins
from impl.storage.tables import LoginRow, UsedRefreshTokenRow, UserRow
from impl.storage.users import Account, Users
from tests.impl.storage.sql.exchanger import NOW, exchanged

USER = 7
LIFE = 1_000_000
"""Of a refresh token of the exchanger, in milliseconds."""
HASH = "$argon2id$one"


def login(number: int, token: str = "", user: int = USER) -> Login:
    return Login(number, user, digest(token or str(number)), NOW - 10, NOW + LIFE, f"device {number}")


@pytest.fixture
async def logins(database: Database) -> Logins:
    """Of a user who has one login, number 8 with the token `first`."""
    await Users(database).create(Account(USER, "Ada", HASH, 1), login(8, "first"))
    return Logins(database)


async def revoked(database: Database, number: int = 8) -> bool:
    query = select(col(LoginRow.revoked_at)).where(col(LoginRow.id) == number)
    async with database.reading() as connection:
        return (await connection.execute(query)).scalar_one() is not None


async def used(database: Database) -> int:
    async with database.reading() as connection:
        query = select(func.count()).select_from(UsedRefreshTokenRow)
        return int((await connection.execute(query)).scalar_one())


async def test_a_token_is_exchanged_for_its_successor_which_lives_as_long_again(
    logins: Logins, database: Database
) -> None:
    verdict, second = await exchanged(logins, "first", "a", NOW + 500)
    assert verdict == "exchanged"
    (found,) = await logins.alive(USER, NOW)
    assert (found.used_ms, found.expires_ms) == (NOW + 500, NOW + 500 + LIFE)
    assert found.refresh_hash == digest(second)
    assert (await exchanged(logins, second, "b"))[0] == "exchanged"
    assert await used(database) == 2


async def test_the_same_exchange_again_gives_the_same_successor_and_changes_nothing(
    logins: Logins, database: Database
) -> None:
    _, second = await exchanged(logins, "first", "a")
    before = await logins.alive(USER, NOW)
    for _ in range(3):
        assert await exchanged(logins, "first", "a", NOW + 99) == ("repeated", second)
    assert await logins.alive(USER, NOW) == before
    assert await used(database) == 1


@pytest.mark.parametrize("name", ["b", ""])
async def test_a_used_token_under_another_name_ends_the_login(
    logins: Logins, database: Database, name: str
) -> None:
    _, second = await exchanged(logins, "first", "a")
    assert (await exchanged(logins, "first", name))[0] == "reused"
    assert await revoked(database)
    assert (await exchanged(logins, second, "c"))[0] == "ended"
    assert (await exchanged(logins, "first", "a"))[0] == "ended"


async def test_an_exchange_without_a_name_is_never_the_same(logins: Logins, database: Database) -> None:
    assert (await exchanged(logins, "first", ""))[0] == "exchanged"
    assert (await exchanged(logins, "first", ""))[0] == "reused"
    assert await revoked(database)


async def test_an_exchange_repeated_after_its_successor_was_used_ends_the_login(
    logins: Logins, database: Database
) -> None:
    _, second = await exchanged(logins, "first", "a")
    _, third = await exchanged(logins, second, "b")
    assert (await exchanged(logins, "first", "a"))[0] == "reused"
    assert await revoked(database)
    assert (await exchanged(logins, third, "c"))[0] == "ended"


async def test_a_token_that_nobody_had_belongs_to_no_login(logins: Logins, database: Database) -> None:
    assert (await exchanged(logins, "nonsense", "a"))[0] == "unknown"
    assert not await revoked(database)


async def test_a_token_expires_unless_it_is_used(logins: Logins) -> None:
    assert (await exchanged(logins, "first", "a", NOW + LIFE))[0] == "ended"
    assert (await exchanged(logins, "first", "a", NOW + LIFE - 1))[0] == "exchanged"
    assert (await exchanged(logins, "first", "a", NOW + LIFE + 1))[0] == "repeated"


async def run(url: str, name: str, tokens: Sequence[str]) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.impl.storage.sql.exchanger", url, name, *tokens),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def race(url: str, names: Sequence[str], tokens: Sequence[str]) -> list[list[tuple[str, str]]]:
    """The same tokens exchanged by two processes at the same time, each under its own name."""
    processes = [await run(url, name, tokens) for name in names]
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    results = [[(verdict, token) for verdict, token in json.loads(output)] for output, _ in outputs]
    return [list(pair) for pair in zip(*results, strict=True)]


async def many(logins: Logins) -> list[str]:
    tokens = [secrets.token_urlsafe() for _ in range(40)]
    for number, token in enumerate(tokens, 100):
        assert await logins.create(login(number, token), HASH)
    return tokens


async def test_of_two_processes_that_exchange_a_token_one_is_first_and_the_login_ends(
    logins: Logins, database: Database, url: str
) -> None:
    for pair in await race(url, ["a", "b"], await many(logins)):
        assert sorted(verdict for verdict, _ in pair) == ["exchanged", "reused"]
    assert [one.id for one in await logins.alive(USER, NOW)] == [8]
    assert await used(database) == 40


async def test_two_processes_that_make_the_same_exchange_get_the_same_successor(
    logins: Logins, url: str
) -> None:
    for (one, first), (other, second) in await race(url, ["a", "a"], await many(logins)):
        assert sorted([one, other]) == ["exchanged", "repeated"]
        assert first == second
        assert (await exchanged(logins, first, "next"))[0] == "exchanged"


async def test_the_logins_of_a_user_are_listed_until_they_end_the_latest_first(logins: Logins) -> None:
    for number in (9, 10):
        assert await logins.create(login(number), HASH)
    assert await logins.alive(USER, NOW) == [login(10), login(9), login(8, "first")]
    assert await logins.end(USER, 9, NOW)
    assert [one.id for one in await logins.alive(USER, NOW)] == [10, 8]
    assert await logins.alive(USER, NOW + LIFE) == []
    assert await logins.alive(USER + 1, NOW) == []


async def test_only_a_living_login_of_the_user_is_alive(logins: Logins) -> None:
    assert await logins.is_alive(USER, 8, NOW)
    assert not await logins.is_alive(USER, 9, NOW)
    assert not await logins.is_alive(USER + 1, 8, NOW)
    assert not await logins.is_alive(USER, 8, NOW + LIFE)
    await logins.end(USER, 8, NOW)
    assert not await logins.is_alive(USER, 8, NOW)


async def test_a_login_is_ended_by_its_user_alone_and_ending_it_again_changes_nothing(
    logins: Logins, database: Database
) -> None:
    assert not await logins.end(USER + 1, 8, NOW)
    assert not await logins.end(USER, 9, NOW)
    assert await logins.end(USER, 8, NOW)
    assert await logins.end(USER, 8, NOW + 5)
    async with database.reading() as connection:
        assert (await connection.execute(select(col(LoginRow.revoked_at)))).scalar_one() == NOW


async def test_a_new_password_ends_all_other_logins_of_the_user(logins: Logins, database: Database) -> None:
    await Users(database).create(Account(17, "Bo", HASH, 1), login(18, user=17))
    await logins.create(login(9), HASH)
    await logins.create(login(10), HASH)
    assert await logins.change_password(USER, 9, HASH, "two", NOW)
    assert [one.id for one in await logins.alive(USER, NOW)] == [9]
    assert [one.id for one in await logins.alive(17, NOW)] == [18]
    assert await hashes(database) == {USER: "two", 17: HASH}


async def test_a_password_that_was_changed_meanwhile_is_neither_changed_nor_does_it_log_in(
    logins: Logins, database: Database
) -> None:
    await logins.create(login(9), HASH)
    results = await asyncio.gather(
        *(logins.change_password(USER, number, HASH, f"by {number}", NOW) for number in (8, 9))
    )
    assert sorted(results) == [False, True]
    (left,) = await logins.alive(USER, NOW)
    assert await hashes(database) == {USER: f"by {left.id}"}
    assert not await logins.create(login(10), HASH)
    assert not await logins.create(login(11, user=USER + 1), HASH)
    assert await logins.alive(USER, NOW) == [left]


async def hashes(database: Database) -> dict[int, str]:
    async with database.reading() as connection:
        rows = await connection.execute(select(col(UserRow.id), col(UserRow.password_hash)))
        return {row[0]: row[1] for row in rows}


async def test_used_tokens_are_forgotten_the_oldest_first_and_no_more_than_asked_for(
    logins: Logins, database: Database
) -> None:
    token = "first"
    for number in range(5):
        _, token = await exchanged(logins, token, "a", NOW + number)
    assert await logins.forget_used(NOW, 10) == 0
    assert await logins.forget_used(NOW + 4, 3) == 3
    assert await logins.forget_used(NOW + 4, 3) == 1
    assert await used(database) == 1
    assert (await exchanged(logins, "first", "a"))[0] == "unknown"
    assert (await exchanged(logins, token, "b"))[0] == "exchanged"
