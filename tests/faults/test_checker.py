"""The checker finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.checker import Record, violations

GOOD = [Record(100 + n, "dm.1.2", 1, n, 1, f"c{n}") for n in range(1, 6)]
RECIPIENTS = {"dm.1.2": "bob"}


def check(accepted: list[Record] = GOOD, view: list[Record] = GOOD, stored: list[Record] = GOOD) -> list[str]:
    return violations(accepted, {"bob": view}, RECIPIENTS, stored)


def test_a_faultless_history_has_no_violations() -> None:
    assert check() == []


@pytest.mark.parametrize(
    ("where", "broken", "sentence"),
    [
        ("view", GOOD[:-1], "is not in the view of bob"),
        ("view", [*GOOD, GOOD[-1]], "times in the view of bob"),
        ("view", [GOOD[1], GOOD[0], *GOOD[2:]], "out of order in the view of bob"),
        ("stored", [GOOD[0], *GOOD[2:]], "is not in the database"),
        ("stored", [*GOOD, replace(GOOD[-1], message_id=999)], "times in the database"),
        ("accepted", [GOOD[1], GOOD[0], *GOOD[2:]], "numbered before an earlier message"),
        ("accepted", [*GOOD, replace(GOOD[-1], seq=6)], "message id 105 is 2 times in accepted"),
    ],
)
def test_a_broken_history_is_found(where: str, broken: list[Record], sentence: str) -> None:
    found = check(
        accepted=broken if where == "accepted" else GOOD,
        view=broken if where == "view" else GOOD,
        stored=broken if where == "stored" else GOOD,
    )
    assert any(sentence in line for line in found), found
