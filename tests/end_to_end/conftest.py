"""Options of the tests of the whole system."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/end_to_end/test_page_rooms.py --screenshot PATH` writes the picture of the README."""
    parser.addoption("--screenshot", metavar="PATH", help="write a picture of the page here")
