"""Regular expressions: those of rules are RE2's, those of JSON Schema ECMAScript's; and texts that match."""

from __future__ import annotations

import re
from typing import Final

_LIMIT: Final = 300
"""Most repetitions tried for a text long enough."""
_SYNTAX: Final = re.compile(r"[\^$\\.*+?()\[\]{}|/]")
# What ECMAScript lacks: flags, names as Python writes them, POSIX classes, quoting, single bytes.
_FOREIGN: Final = re.compile(r"\(\?(?![:=!])|\[\[:|\\Q|\\C|\\a")
_ESCAPE: Final = re.compile(r"\\(?:p([A-Z])|P([A-Z])|x\{([0-9A-Fa-f]+)\}|([\s\S]))")
_SAME: Final = {"A": "^", "z": "$"}
_NEEDLESS: Final = frozenset("-_\"'`~!@#%&=:;<>, ")
"""What RE2 lets one escape; ECMAScript's Unicode mode does not."""


def escaped(text: str) -> str:
    """A pattern that matches the text alone. Python escapes more than ECMAScript allows."""
    return _SYNTAX.sub(lambda found: "\\" + found[0], text)


def ecma(pattern: str) -> str | None:
    """A pattern of RE2 as ECMAScript writes it; None if it cannot."""
    if _FOREIGN.search(pattern):
        return None
    return _ESCAPE.sub(_escape, pattern)


def matches(pattern: str, text: str) -> bool | None:
    """Whether a pattern is found in a text; None where Python cannot tell."""
    try:
        # In both grammars `$` is the very end, which Python writes \Z.
        return re.search(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), text) is not None
    except re.error:
        return None


def sample(pattern: str, shortest: int = 0, longest: int | None = None) -> str | None:
    """A text of that many characters in which the pattern is found; None where none is found out."""
    for extra in range(_LIMIT):
        try:
            text = _Sampler(pattern, extra).text()
        except (_UnknownError, IndexError):
            return None
        if longest is not None and len(text) > longest:
            return None
        if len(text) >= shortest and matches(pattern, text):
            return text
    return None


def _escape(found: re.Match[str]) -> str:
    if found[1] or found[2]:
        return f"\\{'p' if found[1] else 'P'}{{{found[1] or found[2]}}}"
    if found[3]:
        return f"\\u{{{found[3]}}}" if len(found[3]) > 4 else f"\\u{found[3]:0>4}"  # noqa: PLR2004 - digits of \u
    sign = found[4]
    if sign == "-":
        return "\\u002d"  # a range within brackets, if it stood alone
    return _SAME.get(sign) or (sign if sign in _NEEDLESS else found[0])


class _UnknownError(Exception):
    """Syntax that is not sampled."""


class _Sampler:
    """Reads a pattern and writes a text: first alternatives, and `extra` repetitions more than needed."""

    def __init__(self, pattern: str, extra: int) -> None:
        self._pattern = pattern
        self._place = 0
        self._extra = extra

    def text(self) -> str:
        return self._alternatives()

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._peek() == "|":
            self._place += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        parts = []
        while self._peek() not in ("", "|", ")"):
            atom = self._atom()
            least, most = self._repetitions()
            more = min(self._extra, 1000 if most is None else most - least) if atom else 0
            self._extra -= more
            parts.append(atom * (least + more))
        return "".join(parts)

    def _atom(self) -> str:
        sign = self._next()
        if sign in "^$":
            return ""
        if sign == ".":
            return "a"
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        return self._escaped() if sign == "\\" else sign

    def _group(self) -> str:
        if self._pattern.startswith("?:", self._place):
            self._place += 2
        elif self._peek() == "?":
            raise _UnknownError
        text = self._alternatives()
        self._next()
        return text

    def _escaped(self) -> str:
        sign = self._next()
        known = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "t": "\t", "n": "\n", "r": "\r"}
        if sign.isalnum() and sign not in known:
            raise _UnknownError
        return known.get(sign, sign)

    def _class(self) -> str:
        end = self._place + 1
        while self._pattern[end] != "]" or self._pattern[end - 1] == "\\":
            end += 1
        whole = f"[{self._pattern[self._place : end]}]"
        self._place = end + 1
        for sign in "a1A0 -_/.bcdefghijklmnopqrstuvwxyz23456789BCDEFGHIJKLMNOPQRSTUVWXYZ":
            if matches(whole, sign):
                return sign
        return next((chr(n) for n in range(33, 127) if matches(whole, chr(n))), "")

    def _repetitions(self) -> tuple[int, int | None]:
        sign = self._peek()
        found = re.compile(r"\{(\d+)(,?)(\d*)\}").match(self._pattern, self._place)
        if found:
            self._place = found.end()
            bounds = int(found[1]), int(found[3]) if found[3] else None if found[2] else int(found[1])
        elif sign and sign in "*+?":
            self._place += 1
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            return 1, 1
        if self._peek() == "?":
            self._place += 1
        return bounds

    def _peek(self) -> str:
        return self._pattern[self._place : self._place + 1]

    def _next(self) -> str:
        sign = self._pattern[self._place]
        self._place += 1
        return sign
