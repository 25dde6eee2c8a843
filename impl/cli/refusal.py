"""What the command says when it cannot do what was asked."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a defect
    """One sentence for the person at the terminal; the command ends with an exit code other than 0."""
