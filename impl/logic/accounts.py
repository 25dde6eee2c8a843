"""Who calls, and who exists."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from idiom.v1.reason_errors import TOKEN_INVALID
from im.errors.v1.reason_errors import USER_NOT_FOUND

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from impl.storage.users import Users

REMEMBERED = 100_000
_LARGEST = (1 << 63) - 1
_MOST_DIGITS = len(str(_LARGEST))


def caller_id(context: Context) -> int:
    """Id of the calling user. Error TOKEN_INVALID if the token speaks for something else."""
    return _number(context.caller.subject, "a user")


def caller_login(context: Context) -> int:
    """Id of the login by which the user calls. Error TOKEN_INVALID if the token has none."""
    return _number(context.caller.login, "a login")


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= _LARGEST):
        raise Error(TOKEN_INVALID, f"the access token does not name {what}")
    return int(text)


class Accounts:
    """Says whether users exist; remembers the ones that do, a bounded number of them.

    Accounts cannot be deleted yet, so what is remembered stays true.
    """

    def __init__(self, users: Users, remembered: int = REMEMBERED) -> None:
        self._users = users
        self._remembered = remembered
        self._known: OrderedDict[int, None] = OrderedDict()

    async def require(self, user_ids: Iterable[int]) -> None:
        """Error USER_NOT_FOUND if one of them does not exist."""
        wanted = set(user_ids)
        unknown = wanted - self._known.keys()
        if unknown:
            found = await self._users.existing(unknown)
            if missing := unknown - found:
                raise Error(USER_NOT_FOUND, f"there is no user {min(missing)}")
        self._remember(wanted)

    def _remember(self, user_ids: Iterable[int]) -> None:
        for user_id in user_ids:
            self._known[user_id] = None
            self._known.move_to_end(user_id)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
