from __future__ import annotations

import itertools

import pytest
from im.errors.v1 import reason_errors as reasons
from im.logic.v1.room_pb2 import (
    JOIN_POLICY_INVITE_ONLY,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
)

from codegen.runtime.errors import Reason
from impl.logic.permissions import RULES, Action, allowed, denial, standing_of
from impl.storage.membership import Membership, RoomState, Standing

OWNER, ADMIN, MEMBER, GUEST, STRANGER = Standing
PRESENT = (OWNER, ADMIN, MEMBER)


def room(join: int) -> RoomState:
    return RoomState("room", "", join, history=1, created_ms=1, member_count=1)


def reason(action: Action, actor: Standing, target: Standing | None = None) -> Reason:
    assert not allowed(action, actor, target)
    return denial(action, actor, target or actor).reason


def test_every_action_has_its_rule_and_no_pair_is_both_done_and_already_so() -> None:
    assert set(RULES) == set(Action)
    for rule in RULES.values():
        for actor in Standing:
            assert not rule.applies.get(actor, frozenset()) & rule.keeps.get(actor, frozenset())


def test_an_owner_may_do_everything_to_everybody_but_go_down_themselves() -> None:
    refused = {
        (action, target)
        for action, target in itertools.product(Action, PRESENT)
        if not allowed(action, OWNER, target) and not allowed(action, OWNER)
    }
    assert refused == {
        (Action.REMOVE, OWNER),  # to remove oneself is to leave
        (Action.MAKE_ADMIN, OWNER),
        (Action.MAKE_MEMBER, OWNER),
    }
    for action in (Action.LEAVE, Action.REMOVE, Action.MAKE_ADMIN, Action.MAKE_MEMBER):
        assert denial(action, OWNER, OWNER).reason == reasons.OWNER_MUST_TRANSFER


def test_what_a_higher_role_may_be_refused_a_lower_one_is_refused_too() -> None:
    to_others = (Action.ADD, Action.REMOVE, Action.MAKE_ADMIN, Action.MAKE_MEMBER, Action.TRANSFER)
    for action in Action:
        for target in Standing if action in to_others else (None,):
            if target is not OWNER:
                verdicts = [allowed(action, actor, target) for actor in (MEMBER, ADMIN, OWNER)]
                assert verdicts == sorted(verdicts)


def test_who_is_outside_is_told_so_whatever_they_try() -> None:
    for action, actor, target in itertools.product(Action, (GUEST, STRANGER), Standing):
        if not allowed(action, actor, target):
            wanted = reasons.INVITE_ONLY if action is Action.JOIN else reasons.NOT_A_MEMBER
            assert denial(action, actor, target).reason == wanted


def test_a_missing_target_is_named_to_those_only_who_could_do_it_to_somebody() -> None:
    for action in (Action.REMOVE, Action.MAKE_ADMIN, Action.MAKE_MEMBER, Action.TRANSFER):
        for target in (GUEST, STRANGER):
            assert reason(action, OWNER, target) == reasons.MEMBER_NOT_FOUND
            assert reason(action, MEMBER, target) == reasons.ROLE_REQUIRED
    assert reason(Action.REMOVE, ADMIN, STRANGER) == reasons.MEMBER_NOT_FOUND
    assert reason(Action.MAKE_ADMIN, ADMIN, STRANGER) == reasons.ROLE_REQUIRED
    assert reason(Action.ADD, MEMBER, STRANGER) == reasons.ROLE_REQUIRED


def test_administrators_do_not_touch_each_other_or_the_owner() -> None:
    for target in (ADMIN, OWNER):
        assert reason(Action.REMOVE, ADMIN, target) == reasons.ROLE_REQUIRED
    assert reason(Action.CONFIGURE, ADMIN) == reasons.ROLE_REQUIRED


@pytest.mark.parametrize(
    ("role", "standing"), [(ROLE_OWNER, OWNER), (ROLE_ADMIN, ADMIN), (ROLE_MEMBER, MEMBER)]
)
def test_a_standing_is_the_role_of_the_present_stay(role: int, standing: Standing) -> None:
    open_room, closed = room(JOIN_POLICY_OPEN), room(JOIN_POLICY_INVITE_ONLY)
    assert standing_of(Membership(7, role, 1), closed) == standing
    former = Membership(7, role, 1, left_seq=5)
    assert [standing_of(m, r) for m in (former, None) for r in (open_room, closed)] == [GUEST, STRANGER] * 2
