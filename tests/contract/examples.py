"""For every unary rpc: requests that succeed, and requests that meet its errors."""

from __future__ import annotations

from collections.abc import Mapping

from tests.contract.examples_of_accounts import ACCOUNTS
from tests.contract.examples_of_conversations import CONVERSATIONS
from tests.contract.examples_of_rooms import ROOMS
from tests.contract.world import Example

EXAMPLES: Mapping[str, Example] = {**ACCOUNTS, **ROOMS, **CONVERSATIONS}
