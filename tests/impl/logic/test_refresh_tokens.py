from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from impl.logic.refresh_tokens import RefreshTokens, digest

REFRESH = RefreshTokens(b"k" * 32, 60)
NOW = 1_800_000_000_000
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def successor(token: str, name: str, refresh: RefreshTokens = REFRESH) -> str:
    return refresh.exchange(token, name, NOW)[0]


def test_an_exchange_carries_digests_and_no_token() -> None:
    second, exchange = REFRESH.exchange("first", "a", NOW)
    assert (exchange.shown, exchange.successor) == (digest("first"), digest(second))
    assert (exchange.now_ms, exchange.expires_ms) == (NOW, NOW + 60_000)
    assert "first" not in repr(exchange)
    assert repr(digest("first")) not in repr(exchange)


def test_the_successor_follows_from_token_name_and_key() -> None:
    assert successor("first", "a") == successor("first", "a", RefreshTokens(b"k" * 32, 1))
    others = {successor("first", "b"), successor("second", "a")}
    others.add(successor("first", "a", RefreshTokens(b"l" * 32, 60)))
    assert len(others - {successor("first", "a")}) == 3


def test_without_a_name_every_successor_and_every_exchange_is_another() -> None:
    pairs = [REFRESH.exchange("first", "", NOW) for _ in range(3)]
    assert len({token for token, _ in pairs}) == 3
    assert len({exchange.request for _, exchange in pairs}) == 3


def test_first_tokens_and_successors_look_the_same() -> None:
    for token in (REFRESH.first(), successor("first", "a"), successor("first", "")):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)


@given(one=st.tuples(SECRETS, SECRETS), other=st.tuples(SECRETS, SECRETS))
def test_no_two_exchanges_with_names_have_one_successor(one: tuple[str, str], other: tuple[str, str]) -> None:
    if one[1] and other[1]:
        assert (successor(*one) == successor(*other)) == (one == other)


def test_a_name_that_begins_where_a_token_ends_makes_another_successor() -> None:
    assert successor("ab", "c") != successor("a", "bc")
