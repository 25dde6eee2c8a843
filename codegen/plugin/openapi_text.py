"""Comments of a schema as CommonMark, which OpenAPI asks for in descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_INTERNAL: Final = re.compile(r"\(--.*?--\)", re.DOTALL)  # AIP-192: comments for those who build it only
_LINTER: Final = re.compile(r"^\s*(?:buf:lint:|api-linter:|@exclude\b).*$", re.MULTILINE)
_CODE: Final = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_REFERENCE: Final = re.compile(r"\[([^\]\[]+)\]\[([A-Za-z_][\w.]*)?\]")
_TAG: Final = re.compile(r"<(?!https?://)")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def markdown(lines: Iterable[str]) -> str:
    """A comment as CommonMark: nothing in it is HTML, and a reference to a type is code."""
    text = _LINTER.sub("", _INTERNAL.sub("", "\n".join(lines))).strip()
    parts = _CODE.split(text)
    return "".join(part if index % 2 else _safe(part) for index, part in enumerate(parts))


def summary(text: str, name: str) -> str:
    """The first sentence; without one, what the name says."""
    first = re.split(r"(?<=\.)\s|\n", text, maxsplit=1)[0].removesuffix(".")
    said = " ".join(_words(name))
    return first or said[:1].upper() + said[1:]


def sentences(*parts: str) -> str:
    """Those that say something, one after the other."""
    return " ".join(filter(None, parts))


def _safe(text: str) -> str:
    return _TAG.sub("&lt;", _REFERENCE.sub(r"`\1`", text))


def _words(name: str) -> list[str]:
    return [word if word.isupper() and len(word) > 1 else word.lower() for word in _WORD.findall(name)]
