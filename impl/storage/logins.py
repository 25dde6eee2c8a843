"""Logins, and the refresh tokens that stand for them. Of tokens only digests come here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import ColumnElement, delete, exists, func, insert, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from impl.storage.database import Database, uninterrupted
from impl.storage.tables import LoginRow, UsedRefreshTokenRow, UserRow

MOST_LISTED = 1000
"""Logins of one user that are listed; they may have more."""


@dataclass(frozen=True, slots=True)
class Login:
    """One login. Times are milliseconds since the Unix epoch."""

    id: int
    user_id: int
    refresh_hash: bytes = field(repr=False)
    """Digest of the only refresh token that may be exchanged."""
    created_ms: int
    expires_ms: int
    """When it ends unless it is used."""
    device: str = ""
    used_ms: int | None = None
    """When a refresh token was last exchanged."""
    revoked_ms: int | None = None
    """When it was ended."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A refresh token that is shown, and what shall take its place."""

    shown: bytes = field(repr=False)
    """Digest of the token."""
    request: bytes = field(repr=False)
    """Digest of the name of the exchange."""
    successor: bytes = field(repr=False)
    """Digest of the next token, which depends on the token and on the name."""
    now_ms: int
    expires_ms: int
    """When the login ends if the successor is not used."""


class Verdict(Enum):
    """What became of an exchange."""

    EXCHANGED = "exchanged"
    """The successor is now the token of the login."""
    REPEATED = "repeated"
    """It was exchanged before under the same name, and the successor was not used yet: it is given again."""
    REUSED = "reused"
    """It was used before: somebody has a copy. The login has been ended."""
    ENDED = "ended"
    """The login had ended before."""


def judge(login: Login, exchange: Exchange, earlier: bytes | None) -> Verdict:
    """What is to become of an exchange.

    Args:
        login: as it is, to which the token that is shown once belonged.
        exchange: what is asked for.
        earlier: digest of the name under which the token was exchanged, if it was.
    """
    if login.revoked_ms is not None or login.expires_ms <= exchange.now_ms:
        return Verdict.ENDED
    if login.refresh_hash == exchange.shown:
        return Verdict.EXCHANGED
    if login.refresh_hash == exchange.successor and earlier == exchange.request:
        return Verdict.REPEATED
    return Verdict.REUSED


class Logins:
    """Logins by user and by refresh token. Error DEPENDENCY_UNAVAILABLE when the database is away.

    A login lives until it is ended or `expires_ms` is reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def create(self, login: Login, password_hash: str) -> bool:
        """Stores a login, unless the password by which its user was known has been changed meanwhile."""
        unchanged = (
            select(col(UserRow.id))
            .where(col(UserRow.id) == login.user_id, col(UserRow.password_hash) == password_hash)
            .with_for_update(read=True)
        )
        async with self._database.writing() as connection:
            if (await connection.execute(unchanged)).scalar() is None:
                return False
            await connection.execute(insert(LoginRow), login_values(login))
        return True

    async def exchange(self, exchange: Exchange) -> tuple[Verdict, Login] | None:
        """Exchanges a refresh token for its successor; None if no login ever had it.

        Of exchanges of one token at the same time, in whatever processes, one is the first.
        """
        login_id = await self._owner(exchange.shown)
        return None if login_id is None else await self._exchange(login_id, exchange)

    @uninterrupted
    async def is_alive(self, user_id: int, login_id: int, now_ms: int) -> bool:
        """Whether the user has this login, and it has not ended."""
        query = select(exists().where(col(LoginRow.id) == login_id, *_alive(user_id, now_ms)))
        async with self._database.reading() as connection:
            return bool((await connection.execute(query)).scalar())

    @uninterrupted
    async def alive(self, user_id: int, now_ms: int) -> list[Login]:
        """The user's logins that have not ended, the latest first; at most `MOST_LISTED`."""
        query = select(*_COLUMNS).where(*_alive(user_id, now_ms))
        latest = query.order_by(col(LoginRow.id).desc()).limit(MOST_LISTED)
        async with self._database.reading() as connection:
            return [Login(*row) for row in await connection.execute(latest)]

    @uninterrupted
    async def end(self, user_id: int, login_id: int, now_ms: int) -> bool:
        """Ends a login of the user's, if it has not ended; whether there is such a login at all."""
        query = (
            update(LoginRow)
            .where(col(LoginRow.id) == login_id, col(LoginRow.user_id) == user_id)
            .values(revoked_at=func.coalesce(col(LoginRow.revoked_at), now_ms))
        )
        async with self._database.writing() as connection:
            return (await connection.execute(query)).rowcount > 0

    @uninterrupted
    async def change_password(self, user_id: int, login_id: int, old: str, new: str, now_ms: int) -> bool:
        """Puts one password hash in the place of another, and ends all logins of the user but one.

        All or nothing; nothing if the present hash is not `old`. Whether it was done.
        """
        change = (
            update(UserRow)
            .where(col(UserRow.id) == user_id, col(UserRow.password_hash) == old)
            .values(password_hash=new)
        )
        others = (
            update(LoginRow)
            .where(col(LoginRow.id) != login_id, *_alive(user_id, now_ms))
            .values(revoked_at=now_ms)
        )
        async with self._database.writing() as connection:
            if not (await connection.execute(change)).rowcount:
                return False
            await connection.execute(others)
        return True

    @uninterrupted
    async def forget_used(self, before_ms: int, most: int) -> int:
        """Forgets refresh tokens that were exchanged before a time, at most so many; how many there were."""
        used = col(UsedRefreshTokenRow.refresh_hash)
        query = select(used).where(col(UsedRefreshTokenRow.used_at) < before_ms)
        oldest = query.order_by(col(UsedRefreshTokenRow.used_at)).limit(most)
        async with self._database.reading() as connection:
            found = (await connection.execute(oldest)).scalars().all()
        if found:
            # By their keys, so that other rows are not locked.
            async with self._database.writing() as connection:
                await connection.execute(delete(UsedRefreshTokenRow).where(used.in_(found)))
        return len(found)

    @uninterrupted
    async def _owner(self, refresh_hash: bytes) -> int | None:
        """The login that a token belongs or belonged to. Who shows nonsense waits for no lock."""
        query = union_all(
            select(col(LoginRow.id)).where(col(LoginRow.refresh_hash) == refresh_hash),
            select(col(UsedRefreshTokenRow.login_id)).where(
                col(UsedRefreshTokenRow.refresh_hash) == refresh_hash
            ),
        )
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().first()

    @uninterrupted
    async def _exchange(self, login_id: int, exchange: Exchange) -> tuple[Verdict, Login] | None:
        async with self._database.writing() as connection:
            login = await _locked(connection, login_id)
            if login is None:
                return None
            earlier = None
            if login.refresh_hash != exchange.shown:
                earlier = await _request_of(connection, exchange.shown)
            verdict = judge(login, exchange, earlier)
            if verdict is Verdict.EXCHANGED:
                await _rotate(connection, login, exchange)
            elif verdict is Verdict.REUSED:
                ended = update(LoginRow).where(col(LoginRow.id) == login.id)
                await connection.execute(ended.values(revoked_at=exchange.now_ms))
            return verdict, login


_COLUMNS = (
    col(LoginRow.id),
    col(LoginRow.user_id),
    col(LoginRow.refresh_hash),
    col(LoginRow.created_at),
    col(LoginRow.expires_at),
    col(LoginRow.device),
    col(LoginRow.used_at),
    col(LoginRow.revoked_at),
)


def login_values(login: Login) -> dict[str, object]:
    """The row of a login."""
    return {
        "id": login.id,
        "user_id": login.user_id,
        "refresh_hash": login.refresh_hash,
        "device": login.device,
        "used_at": login.used_ms,
        "created_at": login.created_ms,
        "expires_at": login.expires_ms,
        "revoked_at": login.revoked_ms,
    }


def _alive(user_id: int, now_ms: int) -> tuple[ColumnElement[bool], ...]:
    revoked = col(LoginRow.revoked_at)
    return col(LoginRow.user_id) == user_id, revoked.is_(None), col(LoginRow.expires_at) > now_ms


async def _locked(connection: AsyncConnection, login_id: int) -> Login | None:
    """A login that nobody else changes until the transaction ends.

    The first statement of it: whatever is read later is not older than the lock.
    """
    query = select(*_COLUMNS).where(col(LoginRow.id) == login_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Login(*row)


async def _request_of(connection: AsyncConnection, refresh_hash: bytes) -> bytes | None:
    query = select(col(UsedRefreshTokenRow.request_hash)).where(
        col(UsedRefreshTokenRow.refresh_hash) == refresh_hash
    )
    return (await connection.execute(query)).scalar()


async def _rotate(connection: AsyncConnection, login: Login, exchange: Exchange) -> None:
    used = {
        "refresh_hash": exchange.shown,
        "login_id": login.id,
        "request_hash": exchange.request,
        "used_at": exchange.now_ms,
    }
    await connection.execute(insert(UsedRefreshTokenRow), used)
    new = {
        "refresh_hash": exchange.successor,
        "used_at": exchange.now_ms,
        "expires_at": exchange.expires_ms,
    }
    await connection.execute(update(LoginRow).where(col(LoginRow.id) == login.id).values(new))
