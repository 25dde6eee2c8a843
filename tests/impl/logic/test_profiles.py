from __future__ import annotations

from im.logic.v1.user_pb2 import User
from im.logic.v1.user_service_pb2 import UpdateMeRequest

from impl.logic.profiles import Profiles
from tests.impl.logic.conftest import Tier, as_user, person


async def called(tier: Tier, user: int, name: str) -> None:
    await tier.directory.update_me(UpdateMeRequest(display_name=name), as_user(user))


async def test_a_name_is_shown_again_for_a_while_and_then_asked_for(tier: Tier, ada: int) -> None:
    fresh, lasting = Profiles(tier.users, seconds=0), Profiles(tier.users, seconds=60)
    for profiles in (fresh, lasting):
        assert (await profiles.of([ada]))[ada] == User(id=ada, username="ada")
    await called(tier, ada, "Ada")
    assert (await fresh.of([ada]))[ada].display_name == "Ada"
    assert (await lasting.of([ada]))[ada].display_name == ""


async def test_who_does_not_exist_has_an_id_alone(tier: Tier, ada: int) -> None:
    found = await Profiles(tier.users).of([ada, 12345, ada])
    assert found == {ada: User(id=ada, username="ada"), 12345: User(id=12345)}


async def test_so_many_are_remembered_and_no_more(tier: Tier) -> None:
    profiles = Profiles(tier.users, remembered=3, seconds=60)
    people = [await person(tier, f"p{n}") for n in range(7)]
    assert [user.username for user in (await profiles.of(people)).values()] == [f"p{n}" for n in range(7)]
    assert len(profiles._known) == 3
