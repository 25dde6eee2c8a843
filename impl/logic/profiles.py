"""What users are called."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from im.logic.v1.user_pb2 import User

from impl.logic.users import profile
from impl.storage.users import Users

REMEMBERED: Final = 4096
"""Users; each takes at most a few kilobytes."""
SECONDS: Final = 30.0
"""How old a name may be that is shown."""


class Profiles:
    """Profiles of many users at once; remembers a bounded number of them for a short while."""

    def __init__(self, users: Users, *, remembered: int = REMEMBERED, seconds: float = SECONDS) -> None:
        self._users = users
        self._remembered = remembered
        self._seconds = seconds
        self._known: OrderedDict[int, tuple[float, User]] = OrderedDict()

    async def of(self, user_ids: Iterable[int]) -> dict[int, User]:
        """Users by id; who does not exist has an id alone.

        Error DEPENDENCY_UNAVAILABLE when the database is away and does not have to be asked for none of them.
        """
        wanted = dict.fromkeys(user_ids)
        now = time.monotonic()
        found = {
            user_id: self._known[user_id][1]
            for user_id in wanted
            if user_id in self._known and self._known[user_id][0] > now
        }
        for user_id, account in (await self._users.by_ids(wanted.keys() - found.keys())).items():
            found[user_id] = profile(account)
            self._remember(user_id, found[user_id], now + self._seconds)
        return {user_id: found.get(user_id) or User(id=user_id) for user_id in wanted}

    def _remember(self, user_id: int, user: User, until: float) -> None:
        self._known[user_id] = until, user
        self._known.move_to_end(user_id)
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
