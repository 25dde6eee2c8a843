from __future__ import annotations

import pytest
from idiom.v1.reason_errors import TOKEN_INVALID
from im.errors.v1.reason_errors import USER_NOT_FOUND
from im.logic.v1.auth_service_pb2 import RegisterRequest
from im.logic.v1.user_pb2 import User
from im.logic.v1.user_service_pb2 import GetMeRequest, GetUserRequest, LookupUserRequest, UpdateMeRequest

from tests.impl.logic.conftest import ANYBODY, Tier, as_user, refused


async def register(tier: Tier, name: str) -> User:
    request = RegisterRequest(username=name, password="password")
    return (await tier.auth.register(request, ANYBODY)).user


async def test_users_are_found_by_their_token_by_id_and_by_name(tier: Tier) -> None:
    user = await register(tier, "Ada")
    assert (await tier.directory.get_me(GetMeRequest(), as_user(user.id))).user == user
    assert (await tier.directory.get_user(GetUserRequest(user_id=user.id), as_user(1))).user == user
    assert (await tier.directory.lookup_user(LookupUserRequest(username="ADA"), as_user(1))).user == user


async def test_who_does_not_exist_is_not_found(tier: Tier) -> None:
    await refused(USER_NOT_FOUND, tier.directory.get_me(GetMeRequest(), as_user(1)))
    await refused(USER_NOT_FOUND, tier.directory.update_me(UpdateMeRequest(about="x"), as_user(1)))
    await refused(USER_NOT_FOUND, tier.directory.get_user(GetUserRequest(user_id=1), as_user(1)))
    await refused(USER_NOT_FOUND, tier.directory.lookup_user(LookupUserRequest(username="Bo"), as_user(1)))


@pytest.mark.parametrize("subject", ["x", "-1", "1.5", "9" * 20, "٣", "1 "])
async def test_a_token_that_names_no_user_is_invalid(tier: Tier, subject: str) -> None:
    await refused(TOKEN_INVALID, tier.directory.get_me(GetMeRequest(), as_user(subject)))


async def test_a_profile_is_seen_by_everybody(tier: Tier) -> None:
    user = await register(tier, "Ada")
    change = UpdateMeRequest(display_name="Ada Lovelace 🦜", about="counts")
    changed = (await tier.directory.update_me(change, as_user(user.id))).user
    assert (changed.display_name, changed.about) == ("Ada Lovelace 🦜", "counts")
    assert (changed.id, changed.username) == (user.id, "Ada")
    assert (await tier.directory.get_me(GetMeRequest(), as_user(user.id))).user == changed
    assert (await tier.directory.get_user(GetUserRequest(user_id=user.id), as_user(1))).user == changed
    assert (await tier.directory.lookup_user(LookupUserRequest(username="ada"), as_user(1))).user == changed


async def test_only_what_is_present_of_a_profile_changes_and_it_may_become_empty(tier: Tier) -> None:
    user = await register(tier, "Ada")

    async def change(request: UpdateMeRequest) -> tuple[str, str]:
        changed = (await tier.directory.update_me(request, as_user(user.id))).user
        return changed.display_name, changed.about

    assert await change(UpdateMeRequest(display_name="Ada", about="counts")) == ("Ada", "counts")
    assert await change(UpdateMeRequest(about="counts more")) == ("Ada", "counts more")
    assert await change(UpdateMeRequest(display_name="")) == ("", "counts more")
    assert await change(UpdateMeRequest()) == ("", "counts more")
