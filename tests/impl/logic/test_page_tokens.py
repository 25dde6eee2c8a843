from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from im.errors.v1.reason_errors import PAGE_TOKEN_INVALID

from codegen.runtime.errors import Error
from impl.logic.page_tokens import Recency, decode, encode

IDS = st.integers(0, (1 << 63) - 1)
LAST = st.builds(Recency, IDS, st.text(max_size=44))


def refused(user: int, token: str) -> None:
    with pytest.raises(Error) as caught:
        decode(user, token)
    assert caught.value.reason == PAGE_TOKEN_INVALID


@given(IDS, LAST)
def test_a_token_says_where_its_list_goes_on(user: int, last: Recency) -> None:
    assert decode(user, encode(user, last)) == last


def test_the_longest_token_fits_its_field() -> None:
    largest = (1 << 63) - 1
    assert len(encode(largest, Recency(largest, f"dm.{largest}.{largest}"))) < 256


@given(IDS, st.text(max_size=256))
def test_what_is_no_token_is_refused(user: int, token: str) -> None:
    refused(user, token)


@given(IDS, LAST, st.data())
def test_a_changed_token_is_refused(user: int, last: Recency, data: st.DataObject) -> None:
    token = encode(user, last)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_=+ ").filter(lambda c: c != token[place]))
    refused(user, token[:place] + other + token[place + 1 :])


@given(IDS, LAST)
def test_a_token_of_somebody_else_or_of_another_version_is_refused(user: int, last: Recency) -> None:
    token = encode(user, last)
    refused(user ^ 1, token)
    refused(user, "Ag" + token[2:])
