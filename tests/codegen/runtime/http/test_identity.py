"""Tokens: RFC 7519, RFC 8725 (best current practices), and the attacks they name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.runtime.errors import Error
from codegen.runtime.identity import MAX_VERIFIED_TOKENS, Authenticator, ServiceTokens, UserTokens

KEY, OTHER = b"k" * 32, b"o" * 32
CLAIMS = {"aud": "user", "sub": "1", "lid": "2", "exp": time.time() + 86_400}


def _part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signed(claims: Any, header: Any = None, key: bytes = KEY) -> str:
    body = f"{_part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{body}.{_part(hmac.digest(key, body.encode(), hashlib.sha256))}"


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def _flipped(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


ATTACKS: dict[str, Callable[[], str]] = {
    "no signature, alg none": lambda: f"{_part({'alg': 'none'})}.{_part(CLAIMS)}.",
    "no signature, alg None": lambda: f"{_part({'alg': 'None'})}.{_part(CLAIMS)}.",
    "no signature, alg HS256": lambda: f"{_part({'alg': 'HS256'})}.{_part(CLAIMS)}.",
    "signed as none": lambda: _signed(CLAIMS, {"alg": "none"}),
    "no algorithm": lambda: _signed(CLAIMS, {"typ": "JWT"}),
    "algorithm is a list": lambda: _signed(CLAIMS, {"alg": ["HS256"]}),
    "another HMAC": lambda: jwt.encode(CLAIMS, KEY * 2, "HS512"),
    "an asymmetric algorithm": lambda: _signed(CLAIMS, {"alg": "RS256"}),
    "another key": lambda: _signed(CLAIMS, key=OTHER),
    "an empty key": lambda: _signed(CLAIMS, key=b""),
    "key in the header": lambda: _signed(
        CLAIMS, {"alg": "HS256", "jwk": {"kty": "oct", "k": _part(OTHER)}}, OTHER
    ),
    "key id": lambda: _signed(CLAIMS, {"alg": "HS256", "kid": "../../dev/null"}, b""),
    "key address": lambda: _signed(CLAIMS, {"alg": "HS256", "jku": "http://127.0.0.1/"}, OTHER),
    "critical header": lambda: _signed(CLAIMS, {"alg": "HS256", "crit": ["x"], "x": 1}),
    "flipped signature": lambda: _flipped(_signed(CLAIMS)),
    "changed claims": lambda: ".".join(
        [
            _signed(CLAIMS).split(".")[0],
            _part({**CLAIMS, "sub": "9"}),
            _signed(CLAIMS).split(".")[2],
        ]
    ),
    "audience of services": lambda: _signed({**CLAIMS, "aud": "service"}),
    "another audience": lambda: _signed({**CLAIMS, "aud": "users"}),
    "no audience": lambda: _signed(_without("aud")),
    "audience is null": lambda: _signed({**CLAIMS, "aud": None}),
    "no expiry": lambda: _signed(_without("exp")),
    "expiry is text": lambda: _signed({**CLAIMS, "exp": "never"}),
    "expiry is null": lambda: _signed({**CLAIMS, "exp": None}),
    "expiry is endless": lambda: _signed({**CLAIMS, "exp": float("inf")}),
    "expiry is no number": lambda: _signed({**CLAIMS, "exp": float("nan")}),
    "not valid yet": lambda: _signed({**CLAIMS, "nbf": time.time() + 1000}),
    "no subject": lambda: _signed(_without("sub")),
    "empty subject": lambda: _signed({**CLAIMS, "sub": ""}),
    "subject is a number": lambda: _signed({**CLAIMS, "sub": 1}),
    "subject is null": lambda: _signed({**CLAIMS, "sub": None}),
    "login is a number": lambda: _signed({**CLAIMS, "lid": 1}),
    "scopes are text": lambda: _signed({**CLAIMS, "scp": "write"}),
    "scopes are numbers": lambda: _signed({**CLAIMS, "scp": [1]}),
    "claims are a list": lambda: _signed([1]),
    "claims are text": lambda: _signed("x"),
    "claims are not JSON": lambda: _signed(b"{"),
    "claims are not UTF-8": lambda: _signed(b"\xff"),
    "claims are deep": lambda: _signed(b"[" * 5000),
    "header is not JSON": lambda: _signed(CLAIMS, b"{"),
    "header is a list": lambda: _signed(CLAIMS, [1]),
    "empty": lambda: "",
    "dots": lambda: "..",
    "one part": lambda: "abc",
    "four parts": lambda: f"{_signed(CLAIMS)}.x",
    "five parts": lambda: "a.b.c.d.e",
    "spaces around": lambda: f" {_signed(CLAIMS)}",
    "not base64": lambda: "!!.??.**",
    "not ASCII": lambda: "ü.ü.ü",
    "huge": lambda: "a" * 1_000_000,
    "long but signed": lambda: _signed({**CLAIMS, "x": "y" * 10_000}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_token_is_refused(attack: str) -> None:
    with pytest.raises(Error) as refusal:
        UserTokens(KEY, 60).verify(ATTACKS[attack]())
    assert refusal.value.reason.name == "TOKEN_INVALID"
    assert refusal.value.http_status == 401


def test_the_attacks_start_from_a_good_token() -> None:
    identity = UserTokens(KEY, 60).verify(_signed(CLAIMS))
    assert (identity.subject, identity.login) == ("1", "2")


@pytest.mark.parametrize("expiry", [0, 1, -1, time.time() - 1, True])
def test_an_expired_token_says_so(expiry: float) -> None:
    with pytest.raises(Error) as refusal:
        UserTokens(KEY, 60).verify(_signed({**CLAIMS, "exp": expiry}))
    assert refusal.value.reason.name == "TOKEN_EXPIRED"


def test_an_issued_token_comes_back_as_its_identity() -> None:
    tokens = UserTokens(KEY, 60)
    token, expires = tokens.issue("5", "7", ["a", "b"])
    for _ in range(2):  # the second time from memory
        identity = tokens.verify(token)
        assert (identity.subject, identity.login, identity.scopes) == ("5", "7", frozenset("ab"))
    assert 59 <= expires - time.time() <= 61
    assert tokens.issue("5", "7")[0] != token


def test_a_remembered_token_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = UserTokens(KEY, 60)
    token, expires = tokens.issue("5", "7")
    tokens.verify(token)
    monkeypatch.setattr(time, "time", lambda: expires - 1)
    tokens.verify(token)
    monkeypatch.setattr(time, "time", lambda: expires + 1)
    assert tokens._verified.get(token) is None


def test_remembered_tokens_are_bounded() -> None:
    tokens = UserTokens(KEY, 60)
    for number in range(MAX_VERIFIED_TOKENS + 10):
        tokens._verified.put(str(number), tokens.verify(_signed(CLAIMS)), time.time() + 60)
    assert len(tokens._verified._entries) <= MAX_VERIFIED_TOKENS


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        UserTokens(b"short", 60)
    with pytest.raises(ValueError, match="32 bytes"):
        ServiceTokens(b"short", "gateway")


def test_a_service_token_names_its_service_and_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = ServiceTokens(KEY, "gateway"), ServiceTokens(KEY, "logic")
    first = ours.current()
    assert theirs.verify(first) == "gateway"
    assert ours.current() == first
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 250)
    assert ours.current() != first


def test_kinds_of_tokens_do_not_stand_for_each_other() -> None:
    users, services = UserTokens(KEY, 60), ServiceTokens(KEY, "gateway")  # even under one key
    for verify, token in ((users.verify, services.current()), (services.verify, users.issue("1", "2")[0])):
        with pytest.raises(Error, match="TOKEN_INVALID"):
            verify(token)


VOUCHED = {"idiom-subject": "5", "idiom-login": "7", "idiom-session": "s", "idiom-scopes": "a b"}


def test_a_service_may_vouch_for_a_user() -> None:
    services = ServiceTokens(OTHER, "gateway")
    both = Authenticator(UserTokens(KEY, 60), services)
    bearer = {"authorization": f"Bearer {services.current()}"}
    identity = both.identify({**bearer, **VOUCHED})
    assert identity is not None
    assert (identity.service, identity.subject, identity.login) == ("gateway", "5", "7")
    assert (identity.session, identity.scopes) == ("s", frozenset("ab"))
    alone = both.identify(bearer)
    assert alone is not None
    assert (alone.service, alone.subject) == ("gateway", "")


def test_a_user_cannot_vouch() -> None:
    users = UserTokens(KEY, 60)
    token, _ = users.issue("1", "2")
    for authenticator in (Authenticator(users, ServiceTokens(OTHER, "logic")), Authenticator(users, None)):
        identity = authenticator.identify({"authorization": f"bearer {token}", **VOUCHED})
        assert identity is not None
        assert (identity.subject, identity.service, identity.scopes) == ("1", "", frozenset())
        assert authenticator.identify(VOUCHED) is None


def test_an_edge_does_not_take_service_tokens() -> None:
    edge = Authenticator(UserTokens(KEY, 60), None)
    with pytest.raises(Error, match="TOKEN_INVALID"):
        edge.identify({"authorization": f"Bearer {ServiceTokens(OTHER, 'x').current()}", **VOUCHED})


@given(st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(Error, match="TOKEN_INVALID"):
        Authenticator(UserTokens(KEY, 60), ServiceTokens(OTHER, "x")).identify({"authorization": text})
    with pytest.raises(Error, match="TOKEN_INVALID"):
        UserTokens(KEY, 60).verify(text)
