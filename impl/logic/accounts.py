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
_MOST_DIGITS = 19
"""Of an int64."""


def caller_id(context: Context) -> int:
    """Id of the calling user. Error TOKEN_INVALID if the token speaks for something else."""
    subject = context.caller.subject
    if not (subject.isascii() and subject.isdigit() and len(subject) <= _MOST_DIGITS):
        raise Error(TOKEN_INVALID, "the access token does not name a user")
    return int(subject)


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
