"""Who may see a conversation."""

from __future__ import annotations

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from im.errors.v1.reason_errors import CONVERSATION_NOT_FOUND, NOT_A_MEMBER, USER_NOT_FOUND

from codegen.runtime.errors import Error
from impl.logic.accounts import Accounts
from impl.logic.views import end_of
from impl.storage.conversations import Conversations
from impl.storage.envelope import private_members, room_of
from impl.storage.membership import Membership, Overview


class Access:
    """Conversations for those who may see them.

    A private conversation of two users is there before its first message: empty.
    """

    def __init__(self, accounts: Accounts, conversations: Conversations) -> None:
        self._accounts = accounts
        self._conversations = conversations

    async def of_member(self, user_id: int, conversation_id: str, *, last_event: bool = False) -> Overview:
        """The conversation as a present member sees it.

        Error CONVERSATION_NOT_FOUND, NOT_A_MEMBER, DEPENDENCY_UNAVAILABLE.
        """
        view = await self._view(user_id, conversation_id, last_event=last_event)
        if end_of(view) is not None:
            raise _not_a_member()
        return view

    async def of_reader(self, user_id: int, conversation_id: str) -> Overview | None:
        """The conversation as somebody sees it who is a member or was one.

        None while Redis is away, to a member of a private conversation: they may read all of it.
        Error CONVERSATION_NOT_FOUND, NOT_A_MEMBER, DEPENDENCY_UNAVAILABLE.
        """
        try:
            return await self._view(user_id, conversation_id)
        except Error as error:
            if error.reason != DEPENDENCY_UNAVAILABLE or private_members(conversation_id) is None:
                raise
            return None

    async def _view(self, user_id: int, conversation_id: str, *, last_event: bool = False) -> Overview:
        pair = private_members(conversation_id)
        if pair is None and room_of(conversation_id) is None:
            raise _not_found()
        if pair is not None and user_id not in pair:
            raise _not_a_member()
        known = await self._conversations.overview(user_id, [conversation_id], last_event=last_event)
        view = known.get(conversation_id) or await self._unbegun(conversation_id, user_id, pair)
        if view.membership is None:
            raise _not_a_member()
        return view

    async def _unbegun(self, conversation_id: str, user_id: int, pair: tuple[int, ...] | None) -> Overview:
        """A conversation that nobody knows is one that could begin, or none."""
        if pair is None:
            raise _not_found()
        try:
            await self._accounts.require(pair)
        except Error as error:
            if error.reason is not USER_NOT_FOUND:
                raise
            raise _not_found() from None
        return Overview(conversation_id, 0, 0, 0, 0, Membership(user_id), None, None, None)


def _not_found() -> Error:
    return Error(CONVERSATION_NOT_FOUND, "there is no such conversation")


def _not_a_member() -> Error:
    return Error(NOT_A_MEMBER, "the caller is not a member of the conversation")
