"""Two pieces of work against each other: in turn, in rounds, by processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians of all rounds."""

    ours: float
    """Seconds of processor time for one run of the work."""
    theirs: float
    ratio: float
    """Median of the rounds' ratios, theirs by ours."""


def seconds(work: Work, least: float) -> float:
    """Processor time of one run, from as many runs as take at least `least` seconds."""
    count, runs = 0, 1
    start = time.process_time()
    while True:
        for _ in range(runs):
            work()
        count += runs
        spent = time.process_time() - start
        if spent >= least:
            return spent / count
        runs = min(2 * runs, 1000)


def paired(ours: Work, theirs: Work, *, rounds: int, least: float) -> Pair:
    """Runs both in turn; each goes first in every other round.

    Args:
        ours: one unit of our work.
        theirs: the same by other means.
        rounds: at least five for a figure to be trusted.
        least: seconds that each side has in a round.
    """
    sides = (ours, theirs)
    measured: list[tuple[float, float]] = []
    for each in sides:
        each()
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        spent = [0.0, 0.0]
        for side in order:
            spent[side] = seconds(sides[side], least)
        measured.append((spent[0], spent[1]))
    return Pair(
        median(our for our, _ in measured),
        median(their for _, their in measured),
        median(their / our for our, their in measured),
    )
