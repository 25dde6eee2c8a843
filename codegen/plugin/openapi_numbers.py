"""Ranges of integers as patterns: JSON writes 64 bits as text, of which JSON Schema knows no minimum."""

from __future__ import annotations


def within(low: int | None, high: int | None) -> str:
    """A pattern of the numbers from `low` to `high`, both included, as decimal texts without leading zeros.

    Args:
        low: None means any.
        high: likewise.

    Raises:
        ValueError: nothing lies between.
    """
    if low is not None and high is not None and low > high:
        raise ValueError(f"nothing lies between {low} and {high}")
    parts: list[str] = []
    if low is None or low < 0:
        nearest = 1 if high is None or high >= 0 else -high
        parts += [f"-{part}" for part in _positive(nearest, None if low is None else -low)]
    if high is None or high >= 0:
        parts += _positive(max(low or 0, 0), high)
    return f"^(?:{'|'.join(parts)})$"


def _positive(low: int, high: int | None) -> list[str]:
    """Alternatives for the numbers of a range that begins at 0 or above."""
    if low == 0:
        return ["0"] if high == 0 else ["0", *_positive(1, high)]
    digits = len(str(low))
    if low == 10 ** (digits - 1):  # every number of so many digits, and of some more
        longest = None if high is None else len(str(high + 1)) - 1
        if longest is None or longest >= digits:
            part = f"[1-9]{_digits(digits - 1, None if longest is None else longest - 1)}"
            return [part, *_beyond(longest, high)]
    last = 10**digits - 1
    if high is not None and high <= last:
        return _same_length(str(low), str(high))
    return [*_same_length(str(low), str(last)), *_beyond(digits, high)]


def _beyond(digits: int | None, high: int | None) -> list[str]:
    """Alternatives for the numbers of more digits."""
    if digits is None or (high is not None and high < 10**digits):
        return []
    return _positive(10**digits, high)


def _same_length(low: str, high: str) -> list[str]:
    """Alternatives for the numbers between two texts of equal length."""
    if not low:
        return [""]
    rest = len(low) - 1
    if low[0] == high[0]:
        return [low[0] + part for part in _same_length(low[1:], high[1:])]
    before: list[str] = []
    behind: list[str] = []
    first, last = int(low[0]), int(high[0])
    if set(low[1:]) - {"0"}:
        before = [low[0] + part for part in _same_length(low[1:], "9" * rest)]
        first += 1
    if set(high[1:]) - {"9"}:
        behind = [high[0] + part for part in _same_length("0" * rest, high[1:])]
        last -= 1
    between = [_class(first, last) + _digits(rest, rest)] if first <= last else []
    return before + between + behind


def _class(low: int, high: int) -> str:
    return str(low) if low == high else f"[{low}-{high}]"


def _digits(least: int, most: int | None) -> str:
    if most is None:
        return "[0-9]*" if not least else f"[0-9]{{{least},}}"
    if least == most:
        return "" if not most else "[0-9]" if most == 1 else f"[0-9]{{{most}}}"
    return f"[0-9]{{{least},{most}}}"
