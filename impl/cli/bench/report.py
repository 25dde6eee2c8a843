"""What a benchmark found: rows for people, and one JSON object for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One case. `theirs`, `ratio` and `target` are None where there is nothing to compare with."""

    case: str
    unit: str
    """Of `ours` and `theirs`."""
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    """How many times better we are: above 1 is better, whatever the unit."""
    target: float | None = None
    """Least ratio; without a ratio the largest value of `ours`."""
    cpu: str = ""
    """Processor time per unit of work, of each process."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.ours <= self.target if self.ratio is None else self.ratio >= self.target


@dataclass(slots=True)
class Report:
    """All rows of a benchmark."""

    name: str
    about: str
    """What the figures include."""
    rows: list[Row] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether every row with a target meets it."""
        return all(row.met is not False for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = [{**asdict(row), "met": row.met} for row in self.rows]
        return {"name": self.name, "rows": rows, "machine": machine(), "met": self.met, "about": self.about}

    def as_text(self) -> str:
        """For people."""
        head = ("case", "unit", "ours", "theirs", "ratio", "target", "met", "processor time")
        lines = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        table = "\n".join(
            "  ".join(
                cell.ljust(width) if i in _LEFT else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )
        return f"{self.about}\n{machine()['text']}\n\n{table}\n"


_LEFT = (0, 1, 7)


def machine() -> dict[str, Any]:
    """Where it was measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model, python = _model(), platform.python_version()
    return {
        "cores": cores,
        "model": model,
        "python": python,
        "text": f"{cores} cores, {model}, Python {python}",
    }


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")


def _cells(row: Row) -> tuple[str, ...]:
    target = "" if row.target is None else (f"≤ {row.target:g}" if row.ratio is None else f"≥ {row.target:g}")
    met = {None: "", True: "yes", False: "no"}[row.met]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.case, row.unit, _number(row.ours), _number(row.theirs), ratio, target, met, row.cpu


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - as people write them


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """How cost grows with work: the exponent of the best fitting power; 1 is linear, 0 is constant."""
    import math  # noqa: PLC0415 - of no use elsewhere

    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
