"""Users and their logins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from impl.storage.database import Database


@dataclass(frozen=True, slots=True)
class Account:
    """A user with what only the server knows of them."""

    id: int
    username: str
    password_hash: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Login:
    """One login: what a refresh token stands for."""

    id: int
    user_id: int
    refresh_hash: bytes
    created_ms: int
    expires_ms: int


class Users:
    """Accounts by id and by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: Account, login: Login) -> None:
        """Stores an account and its first login, both or none. Error USERNAME_TAKEN, whatever the case."""
        raise NotImplementedError

    async def create_login(self, login: Login) -> None:
        """Stores a login."""
        raise NotImplementedError

    async def by_name(self, username: str) -> Account | None:
        """The account of a name, without regard to case."""
        raise NotImplementedError

    async def by_id(self, user_id: int) -> Account | None:
        """The account of an id."""
        raise NotImplementedError

    async def existing(self, user_ids: Iterable[int]) -> set[int]:
        """Those of the ids that have an account."""
        raise NotImplementedError
