"""Options of the tests of the whole system."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/end_to_end/test_page.py --screenshot docs/screenshot.png` writes the README's picture."""
    parser.addoption("--screenshot", metavar="PATH", help="write a picture of the page here")
