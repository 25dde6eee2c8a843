"""All rows."""

from __future__ import annotations

from tests.differential import rows_of_bodies, rows_of_paths, rows_of_queries
from tests.differential.row import APART, ROWS

__all__ = ["APART", "ROWS", "rows_of_bodies", "rows_of_paths", "rows_of_queries"]
