"""The toolkit knows nothing of any application: words of messaging do not occur in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.codegen.schemas import ROOT

WORDS = {
    line
    for line in Path(__file__).with_name("forbidden_words.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
}
NOT_OURS = {"__pycache__", "buf", "build", "dist"}
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _found(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        for word in PART.findall(line):
            if word.lower() in WORDS:
                yield f"{path.relative_to(ROOT)}:{number}: {word}"


def test_no_word_of_messaging_stands_in_the_toolkit() -> None:
    paths = [path for path in ROOT.joinpath("codegen").rglob("*") if path.is_file()]
    ours = [path for path in paths if not NOT_OURS.intersection(path.relative_to(ROOT).parts)]
    assert len(ours) > 50
    assert [found for path in ours for found in _found(path)] == []
