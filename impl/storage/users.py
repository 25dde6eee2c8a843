"""Users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from im.errors.v1.reason_errors import USERNAME_TAKEN
from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.storage.database import Database, uninterrupted
from impl.storage.logins import Login, login_values
from impl.storage.tables import LoginRow, UserRow


@dataclass(frozen=True, slots=True)
class Account:
    """A user with what only the server knows of them."""

    id: int
    username: str
    password_hash: str = field(repr=False)
    created_ms: int
    display_name: str = ""
    about: str = ""


class Users:
    """Accounts by id and by name. Error DEPENDENCY_UNAVAILABLE when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def create(self, account: Account, login: Login) -> None:
        """Stores an account and its first login, both or none. Error USERNAME_TAKEN, whatever the case."""
        try:
            async with self._database.writing() as connection:
                await connection.execute(insert(UserRow), _account_values(account))
                await connection.execute(insert(LoginRow), login_values(login))
        except IntegrityError:
            if await self.by_name(account.username) is None:
                raise
            raise Error(USERNAME_TAKEN, f"the user name {account.username!r} is taken") from None

    async def by_name(self, username: str) -> Account | None:
        """The account of a name, without regard to case."""
        return await self._one(col(UserRow.username_key) == username_key(username))

    async def by_id(self, user_id: int) -> Account | None:
        """The account of an id."""
        return await self._one(col(UserRow.id) == user_id)

    async def by_ids(self, user_ids: Iterable[int]) -> dict[int, Account]:
        """Those accounts of the ids, at most some thousand, that exist."""
        wanted = set(user_ids)
        found = await self._some(col(UserRow.id).in_(wanted)) if wanted else []
        return {account.id: account for account in found}

    @uninterrupted
    async def change(self, user_id: int, profile: Mapping[str, str]) -> None:
        """Sets those of `display_name` and `about` that are given."""
        if profile:
            query = update(UserRow).where(col(UserRow.id) == user_id).values(profile)
            async with self._database.writing() as connection:
                await connection.execute(query)

    @uninterrupted
    async def existing(self, user_ids: Iterable[int]) -> set[int]:
        """Those of the ids that have an account."""
        query = select(col(UserRow.id)).where(col(UserRow.id).in_(list(user_ids)))
        async with self._database.reading() as connection:
            return set((await connection.execute(query)).scalars())

    async def _one(self, condition: ColumnElement[bool]) -> Account | None:
        found = await self._some(condition)
        return found[0] if found else None

    @uninterrupted
    async def _some(self, condition: ColumnElement[bool]) -> list[Account]:
        query = select(
            col(UserRow.id),
            col(UserRow.username),
            col(UserRow.password_hash),
            col(UserRow.created_at),
            col(UserRow.display_name),
            col(UserRow.about),
        ).where(condition)
        async with self._database.reading() as connection:
            return [Account(*row) for row in await connection.execute(query)]


def username_key(username: str) -> str:
    """What makes user names the same. Names are ASCII; others keep their case, so they match nobody."""
    return username.lower() if username.isascii() else username


def _account_values(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "username": account.username,
        "username_key": username_key(account.username),
        "password_hash": account.password_hash,
        "display_name": account.display_name,
        "about": account.about,
        "created_at": account.created_ms,
    }
